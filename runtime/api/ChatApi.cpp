// kerf_chat_*.
#include "runtime/api/Options.h"
#include "runtime/chat/Render.h"
#include "runtime/loader/Model.h"

#include <cstring>

using namespace kerf::rt;

namespace {

chat::Text rendered(const kerf_model *model, const kerf_chat *given) {
  needArgument(model, "model");
  needArgument(given, "chat");
  const kerf_chat read = readStruct(given, "kerf_chat");
  const kerf::schema::Manifest &manifest = model->impl->package().manifest();
  if (!manifest.chat_template())
    fail(KERF_BAD_ARGUMENT,
         "the package must have a chat template, got none; write the prompt as the model expects it");
  if (read.message_count)
    needArgument(read.messages, "messages");
  if (read.message_size != sizeof(kerf_chat_message))
    fail(KERF_BAD_ARGUMENT, "message_size must be sizeof(kerf_chat_message), ", sizeof(kerf_chat_message), ", got ",
         read.message_size);
  std::vector<chat::Message> messages;
  for (uint32_t i = 0; i < read.message_count; ++i) {
    const kerf_chat_message &message = read.messages[i];
    needArgument(message.role, "role");
    needArgument(message.content, "content");
    messages.push_back(
        {message.role,
         {message.content, message.content_bytes ? message.content_bytes : std::strlen(message.content)}});
  }
  chat::Conversation conversation;
  conversation.messages = messages;
  conversation.generationPrompt = read.generation_prompt;
  if (read.time)
    conversation.time = read.time;
  if (manifest.chat_tokens())
    for (const kerf::schema::KeyValue *token : *manifest.chat_tokens())
      conversation.tokens.emplace_back(token->key()->str(), token->value()->str());
  try {
    return chat::render(manifest.chat_template()->string_view(), conversation);
  } catch (const chat::ChatError &error) {
    fail(error.cause() == chat::ChatError::Cause::Template ? KERF_BAD_ARTIFACT : KERF_BAD_ARGUMENT, error.what());
  }
}

} // namespace

kerf_code kerf_chat_render(const kerf_model *model, const kerf_chat *chat, char *text, size_t capacity, size_t *bytes,
                           kerf_error *error) {
  return guarded(error, [&] {
    needArgument(bytes, "bytes");
    *bytes = 0;
    if (capacity)
      needArgument(text, "text");
    const std::string all = rendered(model, chat).bytes;
    std::copy_n(all.begin(), std::min(capacity, all.size()), text);
    *bytes = all.size();
  });
}

kerf_code kerf_chat_tokenize(const kerf_model *model, const kerf_chat *chat, int32_t *ids, size_t capacity,
                             size_t *count, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(count, "count");
    *count = 0;
    if (capacity)
      needArgument(ids, "ids");
    const chat::Text text = rendered(model, chat);
    const std::vector<int32_t> all = model->impl->encodeMarked(text.bytes, text.user);
    std::copy_n(all.begin(), std::min(capacity, all.size()), ids);
    *count = all.size();
  });
}
