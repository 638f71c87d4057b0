//===- JsonTest.cpp - strict JSON -----------------------------------------===//

#include "test/import/TestFiles.h"

using namespace kerf;
using namespace kerf::test;

static std::string parseMessage(const std::string &text, const JsonLimits &limits = {}) {
  return message(JsonDocument::parse("f.json", text, limits));
}

TEST(Json, RefusesWhatIsNotJson) {
  EXPECT_NE(parseMessage("{\"a\":}").find("f.json: must be valid JSON"), std::string::npos);
  EXPECT_NE(parseMessage("").find("f.json: must be valid JSON"), std::string::npos);
  EXPECT_NE(parseMessage("{} {}").find("f.json: must be valid JSON"), std::string::npos);
  EXPECT_NE(parseMessage("{\"a\":NaN}").find("f.json: must be valid JSON"), std::string::npos);
  EXPECT_NE(parseMessage("{\"a\":\"\xff\"}").find("f.json: must be valid JSON"), std::string::npos);
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(parseMessage("{\"a\":[{\"b\":1,\"c\":2,\"b\":3}]}"),
            "f.json: key 'b' must be given once, got it twice in one object");
  EXPECT_EQ(parseMessage("{\"a\":{\"b\":1},\"b\":2}"), "");
}

TEST(Json, RefusesKeysThatAreEqualOnceUnescaped) {
  EXPECT_EQ(parseMessage("{\"a\":1,\"\\u0061\":2}"), "f.json: key 'a' must be given once, got it twice in one object");
}

TEST(Json, ShowsNamesFromFilesWithoutHarm) {
  EXPECT_EQ(parseMessage("{\"\\u001b[2J\\u0000\":1,\"\\u001b[2J\\u0000\":2}"),
            "f.json: key '\\x1b[2J\\x00' must be given once, got it twice in one object");
  const std::string key = "\"" + std::string(100000, 'k') + "\":1";
  EXPECT_LT(parseMessage("{" + key + "," + key + "}").size(), 17000u);
}

TEST(Json, RefusesDepthBeyondTheLimit) {
  auto nested = [](int depth) { return std::string(depth, '[') + "1" + std::string(depth, ']'); };
  EXPECT_EQ(parseMessage(nested(32)), "");
  EXPECT_EQ(parseMessage(nested(33)), "f.json: must be nested at most 32 deep, got more");
  EXPECT_EQ(parseMessage(nested(100000)), "f.json: must be nested at most 32 deep, got more");
}

TEST(Json, RefusesSizeBeyondTheLimit) {
  EXPECT_EQ(parseMessage("[1,2,3]", {7, 32}), "");
  EXPECT_EQ(parseMessage("[1,2,3]", {6, 32}), "f.json: must have at most 6 bytes, got 7");
  TempDir dir;
  dir.write("f.json", "[1,2,3]");
  EXPECT_EQ(message(JsonDocument::readFile(dir / "f.json", {6, 32})),
            dir / "f.json" + ": must have at most 6 bytes, got 7");
}

TEST(Json, ReadsWholeFiles) {
  TempDir dir;
  std::string text = "[\"" + std::string(300000, 'x') + "\"]";
  dir.write("f.json", text);
  EXPECT_EQ(llvm::cantFail(readSmallFile(dir / "f.json", 1 << 20)), text);
  EXPECT_NE(message(readSmallFile(dir / "none.json", 1)).find("No such file"), std::string::npos);
  EXPECT_EQ(message(readSmallFile(dir.path(), 1)), dir.path() + ": must be a regular file");
}

namespace {
/// A reader of one object and what it found.
struct Reading {
  explicit Reading(const std::string &text)
      : document(llvm::cantFail(JsonDocument::parse("f.json", text))),
        reader("f.json", document.root(), problems, ignored) {}
  std::string finish() {
    reader.finish("remove it");
    return message(problems.take());
  }
  JsonDocument document;
  Problems problems;
  std::vector<IgnoredKey> ignored;
  ObjectReader reader;
};
} // namespace

TEST(ObjectReader, NamesEveryUnreadKey) {
  Reading r("{\"a\":1,\"b\":2,\"c\":null}");
  EXPECT_EQ(r.reader.integer("a", {0, 1}), 1);
  EXPECT_EQ(r.finish(), "f.json: key 'b' is not understood; remove it\nf.json: key 'c' is not understood; remove it");
}

TEST(ObjectReader, RefusesWrongTypesAndRanges) {
  Reading r("{\"a\":1.5,\"b\":\"x\",\"c\":7,\"d\":[1],\"e\":-1,\"f\":1,\"g\":[1,\"2\"],\"h\":18446744073709551615}");
  r.reader.integerOr("a", 0, {0, 9});
  r.reader.numberOr("b", 0, {});
  r.reader.integerOr("c", 0, {0, 6});
  r.reader.stringOr("d", "");
  r.reader.numberOr("e", 0, {0, 1});
  r.reader.booleanOr("f", true);
  r.reader.integerOrList("g", {0, 9});
  r.reader.integerOr("h", 0, {0, 9});
  EXPECT_EQ(r.finish(), "f.json: key 'a' must be an integer from 0 to 9, got 1.5\n"
                        "f.json: key 'b' must be a number, got \"x\"\n"
                        "f.json: key 'c' must be an integer from 0 to 6, got 7\n"
                        "f.json: key 'd' must be a string, got an array\n"
                        "f.json: key 'e' must be a number not below 0 and not above 1, got -1\n"
                        "f.json: key 'f' must be true or false, got 1\n"
                        "f.json: key 'g' must be an integer from 0 to 9, got \"2\"\n"
                        "f.json: key 'h' must be an integer from 0 to 9, got 18446744073709551615");
}

TEST(ObjectReader, TellsAbsentFromNull) {
  Reading r("{\"a\":null}");
  r.reader.integer("a", {});
  r.reader.number("b", {});
  EXPECT_EQ(r.finish(), "f.json: key 'a' must be an integer, got null\nf.json: key 'b' must be a number, got none");
}

TEST(ObjectReader, IgnoresForAReasonOnlyTheAllowedValue) {
  Reading r("{\"a\":1,\"b\":false,\"c\":true,\"d\":2}");
  r.reader.ignore("a", "reason");
  r.reader.allowOnly("b", false, "off", "advice");
  r.reader.allowOnly("c", false, "off", "advice");
  r.reader.allowOnly("d", 1.0, "neutral", "advice");
  EXPECT_EQ(r.finish(), "f.json: key 'c' must be false (advice), got true\n"
                        "f.json: key 'd' must be 1 (advice), got 2");
  ASSERT_EQ(r.ignored.size(), 2u);
  EXPECT_EQ(r.ignored[0].key + ": " + r.ignored[0].reason, "f.json: a: reason");
  EXPECT_EQ(r.ignored[1].key + ": " + r.ignored[1].reason, "f.json: b: off");
}

TEST(ObjectReader, ShowsTheFirstProblemsAndCountsTheRest) {
  std::string text = "{\"k0\":0";
  for (int i = 1; i < 20; ++i)
    text += ",\"k" + std::to_string(i) + "\":0";
  std::string shown = Reading(text + "}").finish();
  EXPECT_NE(shown.find("key 'k7'"), std::string::npos);
  EXPECT_EQ(shown.find("key 'k8'"), std::string::npos);
  EXPECT_NE(shown.find("\nand 12 more"), std::string::npos);
}

TEST(ObjectReader, RefusesWhatIsNoObject) {
  EXPECT_EQ(Reading("[1]").finish(), "f.json: must be an object, got an array");
}
