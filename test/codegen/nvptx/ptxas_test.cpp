//===- ptxas_test.cpp - what the assembler makes of the GPU kernels -------===//
//
// Every kernel assembles for every GPU without spills, stack, warnings or accesses of single bytes, whatever the
// version of ptxas. Where figures/VERSION.txt is kept for it, registers, shared memory and instructions are those.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Lower.h"
#include "test/codegen/nvptx/Figures.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace kerf::test;

namespace {

/// The table that is kept for a version of ptxas; empty where there is none.
std::string keptTable(const std::string &version) {
  std::ifstream file(std::string(KERF_TEST_DATA) + "/codegen/nvptx/figures/" + version + ".txt");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string howToWrite(const std::string &version) {
  return "build/release/bin/kerf-kernel-figures > test/codegen/nvptx/figures/" + version + ".txt writes the table";
}

/// Lines of `text` that begin with `word`.
std::vector<std::string> linesOf(const std::string &text, const std::string &word) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (line.compare(0, word.size() + 1, word + " ") == 0)
      lines.push_back(line);
  return lines;
}

class PtxasFigures : public testing::TestWithParam<std::string> {};

TEST_P(PtxasFigures, AreTheKeptOnes) {
  const auto ptxas = kerf::nvptx::findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "ptxas must be on PATH";
  const Figures figures = figuresOf(*ptxas, GetParam());
  EXPECT_EQ(figures.faults, "");
  const std::string version = versionOf(*ptxas), kept = keptTable(version);
  if (kept.empty())
    return;
  EXPECT_EQ(linesOf(kept, "#"), linesOf(figuresHead(), "#")) << howToWrite(version);
  const auto before = linesOf(kept, GetParam()), now = linesOf(figures.table, GetParam());
  std::string difference;
  for (const std::string &line : before)
    if (std::find(now.begin(), now.end(), line) == now.end())
      difference += "- " + line + "\n";
  for (const std::string &line : now)
    if (std::find(before.begin(), before.end(), line) == before.end())
      difference += "+ " + line + "\n";
  EXPECT_EQ(difference, "") << howToWrite(version);
}

INSTANTIATE_TEST_SUITE_P(Architectures, PtxasFigures, testing::ValuesIn(assembledArchitectures()),
                         [](const auto &info) { return info.param; });

/// Beside the others, which pass without a table as long as nothing spills.
TEST(KernelFigures, AreKeptForThisAssembler) {
  const auto ptxas = kerf::nvptx::findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "ptxas must be on PATH";
  const std::string version = versionOf(*ptxas);
  ASSERT_NE(version, "") << *ptxas << " must tell its version";
  if (keptTable(version).empty())
    GTEST_SKIP() << "there is no table for ptxas " << version << "; " << howToWrite(version);
}

} // namespace
