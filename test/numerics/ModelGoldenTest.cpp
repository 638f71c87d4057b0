// Whole models on the reference path, from the checkpoint to logits, against transformers. The goldens are made so that
// anything dropped or exchanged moves the logits by more than 1e-2 (test/goldens/README.md).
#include "codegen/reference/ReferenceEvaluator.h"
#include "dialects/import/Import.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

using namespace kerf;

namespace {

const std::string modelsDirectory = KERF_TEST_DATA "/goldens/models";

/// The names of all golden checkpoints.
std::set<std::string> goldenModels() {
  std::set<std::string> names;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator it(modelsDirectory, code), end; it != end && !code; it.increment(code))
    names.insert(llvm::sys::path::filename(it->path()).str());
  return names;
}

template <typename T> std::vector<T> readTensor(const SafeTensorsFile &file, const TensorInfo &tensor) {
  std::vector<T> values(tensor.bytes / sizeof(T));
  llvm::cantFail(
      file.read(tensor, 0, llvm::MutableArrayRef(reinterpret_cast<char *>(values.data()), values.size() * sizeof(T))));
  return values;
}

/// A prompt and the logits that transformers gives for each of its tokens.
struct Golden {
  TokenSequence ids;
  std::vector<float> logits;
};

std::vector<Golden> readGoldens(const std::string &directory) {
  SafeTensorsFile file = llvm::cantFail(SafeTensorsFile::open(directory + "/golden.safetensors"));
  std::vector<Golden> goldens;
  while (const TensorInfo *ids = file.find("ids_" + std::to_string(goldens.size()))) {
    const TensorInfo *logits = file.find("logits_" + std::to_string(goldens.size()));
    EXPECT_EQ(ids->dtypeName, "I64");
    std::vector<int64_t> wide = readTensor<int64_t>(file, *ids);
    goldens.push_back({TokenSequence(wide.begin(), wide.end()), readTensor<float>(file, *logits)});
  }
  return goldens;
}

/// The largest difference, relative to the largest number of `want`.
double relativeError(const std::vector<float> &got, const std::vector<float> &want) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i]))
      return INFINITY;
    difference = std::max(difference, std::abs(double(got[i]) - want[i]));
    largest = std::max(largest, std::abs(double(want[i])));
  }
  return difference / largest;
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
  auto compare = [&](const char *form) {
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
  };
  compare("imported");
  mlir::PassManager passes(&context);
  buildOptimizePhase(passes, OptimizePhaseOptions());
  ASSERT_TRUE(mlir::succeeded(passes.run(**module)));
  compare("optimized");
}

INSTANTIATE_TEST_SUITE_P(All, ModelGolden, testing::ValuesIn(goldenModels()), [](const auto &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ModelGoldens, AreAllThere) { EXPECT_GE(goldenModels().size(), 17u); }

} // namespace
