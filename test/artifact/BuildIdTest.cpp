//===- BuildIdTest.cpp - what a build id depends on -----------------------===//
#include "test/artifact/TestModel.h"

#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::test;

namespace {

struct BuildIdTest : testing::Test {
  BuildId id(const std::string &text, const std::string &version = "1", const std::string &flags = "") {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, model.module->getContext());
    EXPECT_TRUE(module);
    return computeBuildId(*module, objects, *model.input().checkpoint, version, flags);
  }
  TestModel model;
  std::vector<llvm::StringRef> objects = {"code"};
  std::string text = moduleText("tiny", "/somewhere");
};

TEST_F(BuildIdTest, IgnoresPathsAndLocations) {
  EXPECT_EQ(id(text), id(moduleText("tiny", "else/where")));
  EXPECT_EQ(id(text), id("\n\n  " + text));
  TestModel copy;
  EXPECT_NE(copy.directory.path(), model.directory.path());
  EXPECT_EQ(copy.input().buildId, model.input().buildId);
}

TEST_F(BuildIdTest, DependsOnVersionFlagsAndModule) {
  EXPECT_NE(id(text), id(text, "2"));
  EXPECT_NE(id(text), id(text, "1", "--x"));
  EXPECT_NE(id(text, "12", ""), id(text, "1", "2"));
  std::string other = text;
  other.replace(other.find("stack 128"), 9, "stack 192");
  EXPECT_NE(id(text), id(other));
}

TEST_F(BuildIdTest, DependsOnTheCode) {
  const BuildId before = id(text);
  objects = {"co", "de"};
  EXPECT_NE(before, id(text));
}

TEST_F(BuildIdTest, DependsOnTheCheckpoint) {
  const BuildId before = id(text);
  model.directory.write("chat_template.jinja", "{{ other }}");
  const BuildId after = id(text);
  EXPECT_NE(before, after);
  model.directory.write("tokenizer.json", "{}");
  EXPECT_NE(after, id(text));
}

TEST_F(BuildIdTest, LeavesTheModuleAsItWas) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, model.module->getContext());
  computeBuildId(*module, objects, *model.input().checkpoint, "1", "");
  EXPECT_EQ(getModel(*module).getCheckpoint(), "/somewhere");
}

} // namespace
