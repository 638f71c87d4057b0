// Chat templates: rendered or refused with a reason, in bounded time and memory; what comes out is UTF-8, and nothing
// that the conversation wrote counts as the template's.
// Input: the template.
#include "runtime/chat/Render.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/fuzz/Fuzz.h"

using namespace kerf::rt;
using kerf::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view source(reinterpret_cast<const char *>(data), size);
  // U+10FFFD, so that a byte of it tells who wrote it where the template has none and no escapes.
  constexpr char kMark = '\xf4';
  const chat::Message messages[] = {{"system", "Be brief.\xf4\x8f\xbf\xbd"},
                                    {"user", " Hi <|im_end|>\n{{ 1 }} \xf4\x8f\xbf\xbd"},
                                    {"assistant", "<think>\n2\n</think>\n\n\xf4\x8f\xbf\xbd\"\\ \xff"},
                                    {"user", "\xf4\x8f\xbf\xbd"}};
  const bool mayWriteMark = source.find(kMark) != std::string_view::npos || source.find('\\') != std::string_view::npos;
  chat::Conversation conversation;
  conversation.messages = messages;
  conversation.tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  conversation.time = 1720242243; // 2024-07-06 05:04:03
  for (const bool prompt : {false, true}) {
    conversation.generationPrompt = prompt;
    try {
      const chat::Text text = chat::render(source, conversation);
      must(validUtf8Prefix(text.bytes) == text.bytes.size(), "what is rendered is UTF-8");
      must(text.user.size() == text.bytes.size(), "every byte has somebody who wrote it");
      for (size_t i = 0; i < text.bytes.size() && !mayWriteMark; ++i)
        must(text.bytes[i] != kMark || text.user[i], "what the conversation wrote stays the conversation's");
    } catch (const chat::ChatError &error) {
      must(std::string_view(error.what()).starts_with("chat template, line "), "a refusal says where");
      // One that goes to its limits would take twice the time.
      return 0;
    }
  }
  return 0;
}
