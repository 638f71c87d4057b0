// Whole compiled models, from the checkpoint to logits, against transformers. The goldens are made so that
// anything dropped or exchanged moves the logits by more than 1e-2 (test/goldens/README.md).
#include "test/numerics/Compiled.h"
#include "test/numerics/Goldens.h"

#include "llvm/Support/FormatVariadic.h"

#include <random>

using namespace kerf::test;

namespace {

class CompiledGolden : public testing::TestWithParam<std::tuple<std::string, const char *>> {};

/// Both sides sum in f32 in different orders. Over the at most 52 terms of a product that is a few units of 2^-24 for
/// each of some ten products in a row; transformers itself is within 1.2e-6 of f64 here.
constexpr double tolerance = 1e-4;

TEST_P(CompiledGolden, GivesTheLogitsOfTransformers) {
  auto [name, variant] = GetParam();
  const std::string checkpoint = modelsDirectory + "/" + name;
  CompiledModel model(compileCheckpoint(checkpoint, "f32", optionsFor(variant)), variant);
  if (!model.unsupported.empty())
    GTEST_SKIP() << model.unsupported;
  ASSERT_TRUE(model.handle);
  const std::vector<Golden> goldens = readGoldens(checkpoint);
  ASSERT_EQ(goldens.size(), 3u);

  // All prompts in one step: none may see another's keys.
  uint32_t tokens = 0;
  for (const Golden &golden : goldens)
    tokens += golden.ids.size();
  CompiledContext context(model, tokens, 6);
  std::vector<StepPiece> pieces;
  for (const Golden &golden : goldens)
    pieces.push_back({context.create(), golden.ids});
  const LogitRows whole = context.step(pieces);
  ASSERT_EQ(whole.size(), tokens);
  size_t row = 0;
  for (size_t i = 0; i < goldens.size(); ++i) {
    std::vector<float> logits;
    for (size_t token = 0; token < goldens[i].ids.size(); ++token, ++row)
      logits.insert(logits.end(), whole[row].begin(), whole[row].end());
    ASSERT_EQ(logits.size(), goldens[i].logits.size());
    const double error = relativeError(logits, goldens[i].logits);
    EXPECT_LE(error, tolerance) << "prompt " << i;
    RecordProperty("error_" + std::to_string(i), llvm::formatv("{0:e}", error).str());
  }

  // Cut into steps at random, the prompts give the same bits.
  std::mt19937 random(1);
  std::vector<LogitRows> found(goldens.size());
  std::vector<size_t> done(goldens.size());
  for (StepPiece &piece : pieces)
    piece.sequence = context.create();
  for (size_t left = tokens; left;) {
    std::vector<StepPiece> some;
    std::vector<size_t> which;
    for (size_t i = 0; i < goldens.size(); ++i)
      if (size_t rest = goldens[i].ids.size() - done[i]) {
        const size_t count = std::uniform_int_distribution<size_t>(0, rest)(random);
        some.push_back({pieces[i].sequence, std::span(goldens[i].ids).subspan(done[i], count)});
        which.push_back(i);
        done[i] += count;
        left -= count;
      }
    const LogitRows rows = context.step(some);
    for (size_t i = 0, next = 0; i < some.size(); ++i)
      for (size_t token = 0; token < some[i].ids.size(); ++token, ++next) {
        ASSERT_LT(next, rows.size());
        found[which[i]].push_back(rows[next]);
      }
  }
  LogitRows joined;
  for (const LogitRows &rows : found)
    joined.insert(joined.end(), rows.begin(), rows.end());
  EXPECT_EQ(firstDifference(joined, whole), "");
}

INSTANTIATE_TEST_SUITE_P(All, CompiledGolden,
                         testing::Combine(testing::ValuesIn(goldenModels()), testing::ValuesIn(everyVariant())),
                         [](const auto &info) {
                           std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(CompiledGoldens, AreAllThere) { EXPECT_GE(goldenModels().size(), 24u); }

} // namespace
