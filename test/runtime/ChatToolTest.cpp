// kerf-run chat, run as a program on a hand-written model.
#include "test/runtime/ToolsFixture.h"

using namespace kerf::test;

namespace {

// Standard input of a program: `lines` in printf's escapes.
std::string input(const std::string &lines) { return "printf '" + lines + "' |"; }

// A package whose template writes the first letter of the role, the text and "<mark>", and ends with "a".
void withTemplate(const std::string &path, const std::string &source) {
  FakePackage fake;
  const std::string circle = "abcdef";
  for (size_t i = 0; i < circle.size(); ++i)
    fake.weights.next[uint8_t(circle[i])] = uint8_t(circle[(i + 1) % circle.size()]);
  fake.manifest.chat_template = source;
  fake.write(path);
}

constexpr const char *kTemplate = "{% for m in messages %}{{ m.role[0] }}{{ m.content }}<mark>{% endfor %}"
                                  "{% if messages[0].content == 'no' %}{{ raise_exception('not no') }}{% endif %}"
                                  "{% if add_generation_prompt %}a{% endif %}";

TEST_F(ToolsTest, ChatKeepsWhatItHasRun) {
  withTemplate(package, kTemplate);
  Output output = run(KERF_RUN, "chat " + package + " -n 3", input("x\\n\\ny\\n"));
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(output.out, "bcd\nbcd\n");
  // u x <mark> a, and of the answer b c have been run; d <mark> u y <mark> a have not.
  EXPECT_TRUE(contains(output.err, "[0 prompt tokens kept, 4 run in")) << output.err;
  EXPECT_TRUE(contains(output.err, "[6 prompt tokens kept, 6 run in")) << output.err;
  EXPECT_TRUE(contains(output.err, "3 new tokens in")) << output.err;

  // Text that spells a special token is six characters and not one token.
  output = run(KERF_RUN, "chat " + package + " -n 1", input("<mark>x"));
  EXPECT_TRUE(contains(output.err, "[0 prompt tokens kept, 10 run in")) << output.err;
  output = run(KERF_RUN, "chat " + package + " -n 2 -q --system s", input("x\\n"));
  EXPECT_EQ(output.out, "bc\n");
  EXPECT_EQ(output.err, "");
}

TEST_F(ToolsTest, ChatTakesPlainTextWithoutTemplate) {
  Output output = run(KERF_RUN, "chat " + package + " -n 3", input("xa\\nyb\\n"));
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_EQ(output.out, "bcd\ncde\n");
  EXPECT_TRUE(contains(output.err, "the package has no chat template: lines are continued as plain text"))
      << output.err;
  // "xabcd", a line end and "yb": x a b c are kept.
  EXPECT_TRUE(contains(output.err, "[4 prompt tokens kept, 4 run in")) << output.err;
  withTemplate(package, "{{ messages[0].content }}\n{% macro m() %}");
  output = run(KERF_RUN, "chat " + package + " -n 1", input("a\\n"));
  EXPECT_EQ(output.out, "b\n");
  EXPECT_TRUE(contains(output.err, "chat template, line 2: tag 'macro' is not among those that Kerf renders: if, for"))
      << output.err;
  EXPECT_TRUE(contains(output.err, ": lines are continued as plain text")) << output.err;
  withTemplate(package, kTemplate);
  output = run(KERF_RUN, "chat " + package + " -n 1 --plain", input("b\\n"));
  EXPECT_EQ(output.out, "c\n");
}

TEST_F(ToolsTest, ChatRefuses) {
  auto expect = [&](const std::string &arguments, const std::string &lines, const std::string &message) {
    const Output output = run(KERF_RUN, "chat " + arguments, input(lines));
    EXPECT_EQ(output.status, 1) << arguments;
    EXPECT_TRUE(contains(output.err, message)) << output.err;
  };
  expect(package + " --system s", "", "--system needs a chat template that Kerf renders");
  withTemplate(package, kTemplate);
  expect(package, "no\\n", "chat template, line 1: it refuses the conversation: not no");
  expect(package + " --system no", "", "it refuses the conversation: not no");
  expect(package + " --context 8", "12345\\n", "shorter than the context of 8 tokens, got 8; begin another, or give a");
}

} // namespace
