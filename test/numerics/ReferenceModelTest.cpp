// Whole programs on the reference path against scalar code, and what an evaluator sees of them.
#include "codegen/reference/ReferenceEvaluator.h"
#include "test/numerics/SmallModel.h"

#include <numeric>

using namespace kerf;
using namespace kerf::test;
using kerf::reference::Piece;

namespace {

/// The scalar code works in f64 from the same stored weights and the same rounded cache. Between them stand some 25
/// roundings and sums of at most 16 terms in f32 for each layer, of numbers that norms keep near 1; a bf16 cache may
/// round a key that lies near a tie the other way, which is one unit of bf16 of one key in a mean of several.
double tolerance(Element stored) { return stored == Element::F32 ? 1e-5 : 4 * unit(stored); }

void expectLogits(const FloatMatrix &found, int64_t row, const std::vector<double> &expected, Element stored) {
  double difference = 0, magnitude = 0;
  ASSERT_EQ(found.columns, static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(found.values[row * found.columns + i] - expected[i], 2);
    magnitude += expected[i] * expected[i];
  }
  EXPECT_LE(std::sqrt(difference), tolerance(stored) * std::sqrt(magnitude)) << "row " << row;
}

} // namespace

TEST(ReferenceModel, ragged_steps_equal_whole_texts) {
  for (Element stored : allElements) {
    SmallModel small(stored);
    Module module(small.program());
    ASSERT_TRUE(module.get());
    auto model = reference::Model::create(module.function("step"), small.source);
    ASSERT_TRUE(static_cast<bool>(model)) << llvm::toString(model.takeError());
    reference::Cache cache = (*model)->createCache(3, 9);
    const std::vector<int32_t> texts[] = {{1, 10, 4, 4, 0, 7, 3, 2, 9}, {5}, {8, 6, 2, 1}};
    std::vector<std::vector<double>> expected[3];
    for (int i = 0; i < 3; ++i)
      expected[i] = small.logits(texts[i]);

    // Two texts of different lengths, and all their logits.
    llvm::ArrayRef<int32_t> first = texts[0], third = texts[2];
    auto logits = (*model)->step(cache, {{2, third.take_front(3)}, {0, first.take_front(5)}}, {0, 1, 2, 3, 4, 5, 6, 7});
    ASSERT_TRUE(static_cast<bool>(logits)) << llvm::toString(logits.takeError());
    ASSERT_EQ(logits->rows, 8);
    for (int row = 0; row < 8; ++row)
      expectLogits(*logits, row, row < 3 ? expected[2][row] : expected[0][row - 3], stored);

    // They go on, a new one begins, and only some logits are asked for.
    logits = (*model)->step(cache, {{0, first.drop_front(5)}, {1, texts[1]}, {2, third.drop_front(3)}}, {3, 4, 5});
    ASSERT_TRUE(static_cast<bool>(logits)) << llvm::toString(logits.takeError());
    ASSERT_EQ(logits->rows, 3);
    expectLogits(*logits, 0, expected[0][8], stored);
    expectLogits(*logits, 1, expected[1][0], stored);
    expectLogits(*logits, 2, expected[2][3], stored);
    EXPECT_EQ(cache.lengths, (std::vector<int32_t>{9, 1, 4}));

    // A step of nothing is nothing.
    logits = (*model)->step(cache, {}, {});
    ASSERT_TRUE(static_cast<bool>(logits)) << llvm::toString(logits.takeError());
    EXPECT_EQ(logits->rows, 0);
  }
}

TEST(ReferenceModel, refuses_what_does_not_fit) {
  SmallModel small(Element::F32);
  Module module(small.program());
  auto model = reference::Model::create(module.function("step"), small.source);
  ASSERT_TRUE(static_cast<bool>(model)) << llvm::toString(model.takeError());
  reference::Cache cache = (*model)->createCache(1, 2);
  auto message = [&](std::vector<Piece> pieces, std::vector<int32_t> rows) {
    auto logits = (*model)->step(cache, pieces, rows);
    return logits ? std::string() : llvm::toString(logits.takeError());
  };
  const std::vector<int32_t> fitting = {1, 2}, tooMany = {1, 2, 3}, unknown = {11};
  EXPECT_EQ(message({{0, tooMany}}, {}), "sequence 0 must have at most 2 tokens, got 3");
  EXPECT_EQ(message({{0, unknown}}, {}), "token must be in [0, 11), got 11");
  EXPECT_EQ(message({{1, fitting}}, {}), "sequence must be in [0, 1) and occur once in a step, got 1");
  EXPECT_EQ(message({{0, fitting}}, {2}), "logit row must be in [0, 2), got 2");
  EXPECT_EQ(cache.lengths, std::vector<int32_t>{0});
  EXPECT_EQ(message({{0, fitting}}, {1}), "");
}

TEST(ReferenceModel, names_the_tensor_that_is_missing) {
  SmallModel small(Element::F32);
  Module module(small.program());
  small.source.tensors.erase("1.up_b");
  auto model = reference::Model::create(module.function("step"), small.source);
  ASSERT_FALSE(static_cast<bool>(model));
  EXPECT_EQ(llvm::toString(model.takeError()), "no tensor '1.up_b' of this type");
}

TEST(ReferenceEvaluator, gives_all_logits_and_records_every_op) {
  SmallModel small(Element::F32);
  Module module(small.program());
  ReferenceEvaluator evaluator(small.source);
  const std::vector<TokenSequence> texts = {{3, 1, 4}, {}, {1, 5}};
  std::vector<std::pair<mlir::Operation *, FloatMatrix>> recorded;
  auto logits = evaluator.evaluate(
      module.get(), texts, [&](const RecordedTensor &tensor) { recorded.emplace_back(tensor.op, tensor.matrix); });
  ASSERT_TRUE(static_cast<bool>(logits)) << llvm::toString(logits.takeError());
  ASSERT_EQ(logits->size(), 3u);
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ((*logits)[i].rows, static_cast<int64_t>(texts[i].size()));
    auto expected = small.logits(texts[i]);
    for (size_t row = 0; row < texts[i].size(); ++row)
      expectLogits((*logits)[i], row, expected[row], Element::F32);
  }
  // Rope table, embedding, 15 tensors for each layer (the append gives none), selection, norm and head, once each and
  // in the order of the program; the ops are those of this module.
  std::vector<mlir::Operation *> inOrder;
  module.get()->walk([&](mlir::Operation *op) {
    if (llvm::isa<KerfDialect>(op->getDialect()) && !llvm::isa<GetWeightOp, BatchFieldOp, LayerOp, ExtentOp>(op) &&
        llvm::any_of(op->getResultTypes(), llvm::IsaPred<mlir::RankedTensorType>))
      inOrder.push_back(op);
  });
  ASSERT_EQ(recorded.size(), 2u + 2 * 15 + 3);
  ASSERT_EQ(recorded.size(), inOrder.size());
  for (size_t i = 0; i < recorded.size(); ++i)
    EXPECT_EQ(recorded[i].first, inOrder[i]);
  // The last is what the logits are.
  EXPECT_EQ(recorded.back().second.rows, 5);
  EXPECT_EQ(std::vector<float>(recorded.back().second.values.begin(), recorded.back().second.values.begin() + 33),
            (*logits)[0].values);
}
