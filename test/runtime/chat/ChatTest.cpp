//===- ChatTest.cpp - equality to transformers' chat templates ------------===//
#include "runtime/chat/Render.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

using namespace kerf::rt::chat;

namespace {

std::string contents(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// goldens.txt, whose layout test/goldens/make_chat_goldens.py states.
class Goldens {
public:
  Goldens() : file(KERF_TEST_DATA "/goldens/chat/goldens.txt", std::ios::binary) {}
  bool line(std::string &text) { return bool(std::getline(file, text)); }
  std::string line() {
    std::string text;
    EXPECT_TRUE(line(text));
    return text;
  }
  std::string block() {
    std::string text(std::stoul(line()), '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    file.ignore(1);
    return text;
  }

private:
  std::ifstream file;
};

TEST(Chat, equals_transformers) {
  Goldens goldens;
  std::string name;
  std::map<std::string, std::pair<int, int>> counts;
  while (goldens.line(name)) {
    Conversation conversation;
    conversation.generationPrompt = goldens.line() == "1";
    std::vector<std::string> texts(2 * std::stoul(goldens.line()));
    for (size_t i = 0; i < texts.size(); i += 2) {
      texts[i] = goldens.line();
      texts[i + 1] = goldens.block();
    }
    std::vector<Message> messages;
    for (size_t i = 0; i < texts.size(); i += 2)
      messages.push_back({texts[i], texts[i + 1]});
    conversation.messages = messages;
    conversation.tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    conversation.time = 1720242243; // 2024-07-06 05:04:03
    const bool refused = goldens.line() == "error";
    const std::string expected = goldens.block();

    SCOPED_TRACE(name + ", " + (texts.empty() ? "" : texts[1]));
    auto &[equal, all] = counts[name];
    ++all;
    try {
      Text text = render(contents(KERF_TEST_DATA "/goldens/chat/" + name + ".jinja"), conversation);
      EXPECT_FALSE(refused) << expected;
      EXPECT_EQ(text.bytes, expected);
      EXPECT_EQ(text.user.size(), text.bytes.size());
      equal += text.bytes == expected;
    } catch (const ChatError &error) {
      EXPECT_TRUE(refused) << error.what();
      EXPECT_EQ(error.cause(), ChatError::Cause::Conversation);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      equal += refused;
    }
  }
  EXPECT_EQ(counts.size(), 11u);
  for (const auto &[name, count] : counts) {
    EXPECT_EQ(count.first, count.second) << name;
    std::printf("%s: %d of %d conversations equal\n", name.c_str(), count.first, count.second);
  }
}

// The bytes that the conversation wrote, in order.
std::string userBytes(const Text &text) {
  std::string bytes;
  for (size_t i = 0; i < text.bytes.size(); ++i)
    if (text.user[i])
      bytes += text.bytes[i];
  return bytes;
}

TEST(Chat, marks_what_the_conversation_wrote) {
  const Message messages[] = {{"user", " <|im_end|>\né "}};
  Conversation conversation;
  conversation.messages = messages;
  auto user = [&](const std::string &source) { return userBytes(render(source, conversation)); };
  EXPECT_EQ(user("<|im_start|>{{ messages[0].role }}<|im_end|>"), "user");
  EXPECT_EQ(user("{{ '[' + messages[0].content | trim + ']' }}"), "<|im_end|>\né");
  EXPECT_EQ(user("{{ messages[0].content[1:5] }}x"), "<|im");
  EXPECT_EQ(user("{{ messages[0].content.split('|')[1] }}|"), "im_end");
  EXPECT_EQ(user("{{ messages[0].content.replace('im', '|') }}"), " <|_end|>\né ");
  EXPECT_EQ(user("{{ 'a-b'.replace('-', messages[0].role) }}"), "user");
  EXPECT_EQ(user("{{ messages[0].content | tojson }}"), " <|im_end|>\\né ");
  EXPECT_EQ(user("{{ [messages[0].role, 'x'] | join(',') }}"), "user");
  EXPECT_EQ(user("{{ 'x'.join(messages[0].role) | upper }}"), "USER");
  EXPECT_EQ(user("{{ messages[0].role | reverse | join }}"), "resu");
  EXPECT_EQ(user("{% set x %}a{{ messages[0].role }}{% endset %}{{ x * 1 if false else x ~ 'b' }}"), "user");
  EXPECT_EQ(user("{% set ns = namespace(t=messages[0].role) %}{{ ns.t ~ {'k': ns.t}.k }}"), "useruser");
  EXPECT_EQ(user("{% for c in messages[0].role %}{{ c }}-{% endfor %}"), "user");
  conversation.time = 1;
  EXPECT_EQ(user("{{ strftime_now(messages[0].role) }}"), "user");
}

TEST(Chat, takes_broken_utf8_as_replacement_characters) {
  const Message messages[] = {{"user", "a\xff\xe2\x82"}};
  Conversation conversation;
  conversation.messages = messages;
  EXPECT_EQ(render("{{ messages[0].content }}", conversation).bytes, "a\ufffd\ufffd");
}

} // namespace
