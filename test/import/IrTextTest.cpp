//===- IrTextTest.cpp - what is refused before IR is parsed ---------------===//
#include "dialects/import/IrText.h"

#include "test/import/TestFiles.h"

using namespace kerf;
using namespace kerf::test;

namespace {

std::string check(const std::string &text) { return message(checkIrText("m.mlir", text)); }

std::string repeated(const std::string &part, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i)
    all += part;
  return all;
}

constexpr const char *kTooDeep = "brackets must be nested at most 256 deep, aliases written out, got more";

TEST(IrText, Nesting) {
  for (const char *bracket : {"(", "[", "{", "<", "({[<"}) {
    const size_t count = 256 / std::string(bracket).size();
    EXPECT_EQ(check(repeated(bracket, count)), "") << bracket;
    EXPECT_NE(check(repeated(bracket, count + 1)).find(kTooDeep), std::string::npos) << bracket;
  }
  EXPECT_EQ(check(repeated("([])", 100000)), "") << "side by side";
  EXPECT_EQ(check("ab\n  " + repeated("(", 300)), std::string("m.mlir:2:259: ") + kTooDeep);
}

TEST(IrText, StringsCommentsAndArrows) {
  const std::string deep = repeated("(", 300);
  EXPECT_EQ(check("// " + deep + "\n\"" + deep + "\"\n\"\\\"" + deep + "\"\n\"" + deep + "\nfunc"), "");
  EXPECT_NE(check("//\n" + deep), "");
  EXPECT_NE(check("\"\\\\\"" + deep), "") << "the string has ended";
  // An arrow or comparison is no bracket, so that nothing can be hidden behind it.
  EXPECT_EQ(check("(" + repeated("<() -> i32>", 1000)), "");
  EXPECT_NE(check(repeated("<->", 300)), "");
  EXPECT_NE(check(repeated("< >= ", 300)), "");
  EXPECT_EQ(check(repeated("affine_set<(d0) : (d0 >= 0, d0 <= 4)>\n", 1000)), "");
  // Nor does a bracket that closes nothing.
  EXPECT_NE(check(repeated("(>]}", 300)), "");
}

TEST(IrText, Aliases) {
  std::string chain = "#a0 = []\n", types = "!a0 = tuple<>\n";
  for (int i = 1; i < 300; ++i) {
    const std::string now = std::to_string(i), before = std::to_string(i - 1);
    chain += "#a" + now + " = [#a" + before + "]\n";
    types += "!a" + now + " =\n  tuple\n<!a" + before + ">\n";
  }
  EXPECT_EQ(check(chain), std::string("m.mlir:257:10: ") + kTooDeep);
  EXPECT_NE(check(types).find(kTooDeep), std::string::npos);

  std::string doubled = "#a0 = []\n";
  for (int i = 1; i < 40; ++i)
    doubled += "#a" + std::to_string(i) + " = [#a" + std::to_string(i - 1) + ", #a" + std::to_string(i - 1) + "]\n";
  EXPECT_NE(check(doubled).find("an alias must stand for at most 65536 brackets, got more"), std::string::npos);

  std::string large = "#a = [" + repeated("[], ", 60000) + "[]]\n";
  EXPECT_EQ(check(large + repeated("x {y = #a}\n", 200)), "");
  EXPECT_NE(check(large + repeated("x {y = #a}\n", 300)).find("aliases must stand for at most 16777216 brackets"),
            std::string::npos);
  // What comes after an alias is no part of it.
  EXPECT_EQ(check("#map = affine_map<(d0) -> (d0)>\nmodule {\n" + repeated("  x {y = #map, z = []}\n", 70000) + "}\n"),
            "");
  // Names of a dialect are no aliases; nor is one that is defined later, as locations are.
  EXPECT_EQ(check("#kerf.dense<f32> #kerf loc(#loc1)\n#loc1 = loc(\"a\"(#loc))\n#loc = loc(unknown)\n"), "");
}

TEST(IrText, LongItems) {
  EXPECT_NE(check("affine_map<(d0) -> (d0" + repeated(" + d0", 2000) + ")>")
                .find("what stands between commas in brackets must have at most 4096 characters"),
            std::string::npos);
  EXPECT_NE(check("affine_map<(d0) -> (" + repeated("- ", 5000) + "d0)>"), "");
  EXPECT_EQ(check("[" + repeated("1.0, ", 5000) + "1.0] {" + repeated("a = 1 ", 5000) + "}"), "");
}

TEST(IrText, Files) {
  EXPECT_NE(check("ML\xefR\x01").find("must be IR as text, got MLIR bytecode"), std::string::npos);
  TempDir folder;
  EXPECT_NE(message(readIrFile(folder / "none.mlir")).find("could not open input file"), std::string::npos);
  folder.write("deep.mlir", repeated("{", 300));
  EXPECT_EQ(message(readIrFile(folder / "deep.mlir")), (folder / "deep.mlir") + ":1:257: " + kTooDeep);
  folder.write("good.mlir", "module {}");
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> text = readIrFile(folder / "good.mlir");
  ASSERT_TRUE(bool(text));
  EXPECT_EQ((*text)->getBuffer(), "module {}");
}

} // namespace
