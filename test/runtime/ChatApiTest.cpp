// kerf_chat_render and kerf_chat_tokenize.
#include "test/runtime/fake/Fixture.h"

using namespace kerf::test;

namespace {

class ChatApiTest : public testing::Test {
protected:
  TempFolder folder;
  kerf_model *model = nullptr;
  kerf_error error = {};
  kerf_chat_message messages[2] = {{"user", "hi <mark>", 0}, {"assistant", "yes, no", 3}};
  kerf_chat chat = {};

  void open(const std::string &source) {
    kerf_model_close(model);
    FakePackage fake;
    fake.manifest.chat_template = source;
    auto token = std::make_unique<kerf::schema::KeyValueT>();
    token->key = "eos_token";
    token->value = "<end>";
    fake.manifest.chat_tokens.push_back(std::move(token));
    fake.write(folder.file("chat.kerf"));
    ASSERT_EQ(kerf_model_open(folder.file("chat.kerf").c_str(), &fakeLibrary(), nullptr, &model, &error), KERF_OK)
        << error.message;
  }
  void SetUp() override {
    chat.struct_size = sizeof chat;
    chat.message_size = sizeof(kerf_chat_message);
    chat.message_count = 2;
    chat.messages = messages;
  }
  void TearDown() override { kerf_model_close(model); }

  std::string rendered() {
    char text[200];
    size_t bytes = 0;
    EXPECT_EQ(kerf_chat_render(model, &chat, text, sizeof text, &bytes, &error), KERF_OK) << error.message;
    return {text, bytes};
  }
  void expectRefused(kerf_code code, const std::string &message) {
    size_t count = 7;
    EXPECT_EQ(kerf_chat_tokenize(model, &chat, nullptr, 0, &count, &error), code);
    EXPECT_EQ(count, 0u);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
  }
};

TEST_F(ChatApiTest, RendersWithTokensAndTime) {
  open("{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}\n{% endfor %}"
       "{{ bos_token is defined }} {{ add_generation_prompt }}");
  EXPECT_EQ(rendered(), "user:hi <mark><end>\nassistant:yes<end>\nFalse False");
  chat.generation_prompt = 1;
  chat.message_count = 0;
  EXPECT_EQ(rendered(), "False True");
  size_t bytes = 0;
  char head[3] = {'.', '.', '.'};
  EXPECT_EQ(kerf_chat_render(model, &chat, head, 2, &bytes, &error), KERF_OK);
  EXPECT_EQ(bytes, 10u);
  EXPECT_EQ(std::string(head, 3), "Fa.");
  open("{{ strftime_now('%Y') }}");
  chat.time = 1;
  EXPECT_EQ(rendered(), "1970");
}

TEST_F(ChatApiTest, MessagesMakeNoSpecialTokens) {
  open("<mark>{{ messages[0].content }}<mark>{{ eos_token }}");
  int32_t ids[40];
  size_t count = 0;
  ASSERT_EQ(kerf_chat_tokenize(model, &chat, ids, 40, &count, &error), KERF_OK) << error.message;
  std::vector<int32_t> expected = {kSpecialToken};
  for (char c : std::string("hi <mark>"))
    expected.push_back(c);
  expected.insert(expected.end(), {kSpecialToken, kEndToken});
  EXPECT_EQ(std::vector<int32_t>(ids, ids + count), expected);
  // Nor do they with the template's help.
  open("<ma{{ 'rk>' }}{{ messages[0].role[:0] }}<m{{ messages[0].content[5:] }}");
  ASSERT_EQ(kerf_chat_tokenize(model, &chat, ids, 40, &count, &error), KERF_OK) << error.message;
  expected = {kSpecialToken};
  for (char c : std::string("<mark>"))
    expected.push_back(c);
  EXPECT_EQ(std::vector<int32_t>(ids, ids + count), expected);
}

TEST_F(ChatApiTest, Refuses) {
  open("{{ raise_exception('never') }}");
  expectRefused(KERF_BAD_ARGUMENT, "chat template, line 1: it refuses the conversation: never");
  open("\n\n{% macro %}");
  expectRefused(KERF_BAD_ARTIFACT, "chat template, line 3: tag 'macro' is not among");
  open("{{ strftime_now('%Y') }}");
  expectRefused(KERF_BAD_ARGUMENT, "the conversation must state its time");
  chat.message_size = 8;
  expectRefused(KERF_BAD_ARGUMENT, "message_size must be sizeof(kerf_chat_message), 24, got 8");
  chat.message_size = sizeof(kerf_chat_message);
  messages[1].content = nullptr;
  expectRefused(KERF_BAD_ARGUMENT, "content must not be NULL");
  messages[1].role = nullptr;
  expectRefused(KERF_BAD_ARGUMENT, "role must not be NULL");
  chat.messages = nullptr;
  expectRefused(KERF_BAD_ARGUMENT, "messages must not be NULL");
  chat.struct_size = 3;
  expectRefused(KERF_BAD_ARGUMENT, "struct_size of kerf_chat must be sizeof it");
  EXPECT_EQ(kerf_chat_render(model, nullptr, nullptr, 0, nullptr, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_chat_tokenize(nullptr, &chat, nullptr, 0, nullptr, &error), KERF_BAD_ARGUMENT);
  kerf_model_close(model);
  model = nullptr;
  FakePackage fake;
  fake.write(folder.file("none.kerf"));
  ASSERT_EQ(kerf_model_open(folder.file("none.kerf").c_str(), &fakeLibrary(), nullptr, &model, &error), KERF_OK);
  chat.struct_size = sizeof chat;
  expectRefused(KERF_BAD_ARGUMENT, "the package must have a chat template, got none");
}

} // namespace
