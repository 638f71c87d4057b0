// Whole models on the reference path, from the checkpoint to logits, against transformers. The goldens are made so that
// anything dropped or exchanged moves the logits by more than 1e-2 (test/goldens/README.md).
#include "codegen/reference/ReferenceEvaluator.h"
#include "dialects/import/Import.h"
#include "passes/Passes.h"
#include "test/numerics/Encoders.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"

#include <string>

using namespace kerf;
using namespace kerf::test;

namespace {

/// Hands an imported module to `compare`, then what the optimize phase makes of it, with the name of the form.
void inBothForms(mlir::ModuleOp module, llvm::function_ref<void(const char *)> compare) {
  compare("imported");
  mlir::PassManager passes(module.getContext());
  buildOptimizePhase(passes, OptimizePhaseOptions());
  ASSERT_TRUE(mlir::succeeded(passes.run(module)));
  compare("optimized");
}

class ModelGolden : public testing::TestWithParam<std::string> {};

/// Both sides sum in f32 in different orders. Over the at most 52 terms of a product that is a few units of 2^-24 for
/// each of some ten products in a row; transformers itself is within 1.2e-6 of f64 here.
constexpr double tolerance = 1e-4;

TEST_P(ModelGolden, GivesTheLogitsOfTransformers) {
  std::string directory = modelsDirectory + "/" + GetParam();
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Checkpoint checkpoint = llvm::cantFail(Checkpoint::open(directory));
  ImportOptions options;
  options.computeType = DType::F32;
  std::vector<IgnoredKey> ignored;
  auto module = importCheckpoint(context, checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << llvm::toString(module.takeError());

  std::vector<Golden> goldens = readGoldens(directory);
  ASSERT_EQ(goldens.size(), 3u);
  std::vector<TokenSequence> prompts;
  for (const Golden &golden : goldens)
    prompts.push_back(golden.ids);
  CheckpointSource tensors(checkpoint);
  ReferenceEvaluator evaluator(tensors);
  inBothForms(**module, [&](const char *form) {
    // All prompts in one evaluation: none may see another's keys.
    auto logits = evaluator.evaluate(**module, prompts);
    ASSERT_TRUE(!!logits) << form << ": " << llvm::toString(logits.takeError());
    ASSERT_EQ(logits->size(), goldens.size());
    for (size_t i = 0; i < goldens.size(); ++i) {
      EXPECT_EQ((*logits)[i].rows, int64_t(prompts[i].size()));
      ASSERT_EQ((*logits)[i].values.size(), goldens[i].logits.size());
      double error = relativeError((*logits)[i].values, goldens[i].logits);
      EXPECT_LE(error, tolerance) << form << ", prompt " << i;
      RecordProperty(std::string(form) + "_" + std::to_string(i), llvm::formatv("{0:e}", error).str());
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, ModelGolden, testing::ValuesIn(goldenModels()), [](const auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class EncoderModelGolden : public testing::TestWithParam<Encoder> {};

TEST_P(EncoderModelGolden, GivesTheVectorsOfTransformers) {
  const Encoder &encoder = GetParam();
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Checkpoint checkpoint = llvm::cantFail(Checkpoint::open(encodersDirectory + "/" + encoder.name));
  ImportOptions options;
  options.computeType = DType::F32;
  if (!encoder.stated)
    options.pooling = encoder.mode;
  std::vector<IgnoredKey> ignored;
  auto module = importCheckpoint(context, checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << llvm::toString(module.takeError());

  const Texts texts(encoder);
  CheckpointSource tensors(checkpoint);
  ReferenceEvaluator evaluator(tensors);
  inBothForms(**module, [&](const char *form) {
    auto vectors = evaluator.evaluate(**module, std::vector<TokenSequence>(texts.ids.begin(), texts.ids.end()));
    ASSERT_TRUE(!!vectors) << form << ": " << llvm::toString(vectors.takeError());
    ASSERT_EQ(vectors->size(), texts.vectors.size());
    for (size_t i = 0; i < texts.vectors.size(); ++i) {
      EXPECT_EQ((*vectors)[i].rows, 1);
      ASSERT_EQ((*vectors)[i].values.size(), texts.vectors[i].size());
      EXPECT_LE(relativeError((*vectors)[i].values, texts.vectors[i]), tolerance) << form << ", text " << i;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, EncoderModelGolden, testing::ValuesIn(encoders),
                         [](const auto &info) { return testName(info.param); });

TEST(ModelGoldens, AreAllThere) { EXPECT_GE(goldenModels().size(), 24u); }

} // namespace
