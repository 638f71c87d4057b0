// The bundled model, compiled for x86, against transformers: what it writes, and what it thinks of held-out text.
#include "test/numerics/Compiled.h"
#include "test/numerics/Goldens.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

using namespace kerf;
using namespace kerf::test;

namespace {

std::string readText(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::vector<int32_t> readIds(std::istream &file) {
  std::string line;
  std::getline(file, line);
  std::istringstream numbers(line);
  return std::vector<int32_t>(std::istream_iterator<int32_t>(numbers), {});
}

class CompiledText : public testing::TestWithParam<const char *> {};

// Greedy text is a fact about the model and not about the order of sums: the least margin of any token here is 2.2e-3,
// some hundred times what that order moves a logit.
TEST_P(CompiledText, WritesWhatTransformersWrites) {
  CompiledModel model(compileCheckpoint(bundledCheckpoint, "f32"), GetParam());
  if (!model.unsupported.empty())
    GTEST_SKIP() << model.unsupported;
  ASSERT_TRUE(model.handle);
  CompiledContext context(model, 512, 1);
  int texts = 0;
  for (;; ++texts) {
    const std::string stem =
        std::string(KERF_TEST_DATA "/goldens/text/") + (texts < 10 ? "0" : "") + std::to_string(texts);
    std::ifstream file(stem + ".ids.txt");
    if (!file)
      break;
    const std::vector<int32_t> promptIds = readIds(file), ids = readIds(file);
    const std::string prompt = readText(stem + ".prompt.txt");
    ASSERT_EQ(ids.size(), 128u) << stem;

    size_t count = 0;
    std::vector<int32_t> tokens(promptIds.size() + 1);
    EXPECT_EQ(
        kerf_tokenize(model.handle, prompt.data(), prompt.size(), 0, tokens.data(), tokens.size(), &count, nullptr),
        KERF_OK);
    tokens.resize(std::min(count, tokens.size()));
    EXPECT_EQ(tokens, promptIds) << stem;

    kerf_generate_options options = {};
    options.struct_size = sizeof options;
    options.max_tokens = 128;
    options.prompt = prompt.data();
    options.prompt_bytes = prompt.size();
    kerf_generate_result result = {};
    result.struct_size = sizeof result;
    kerf_error error = {};
    ASSERT_EQ(kerf_generate(context.handle, &options, &result, &error), KERF_OK) << stem << ": " << error.message;
    EXPECT_EQ(std::vector<int32_t>(result.ids, result.ids + result.id_count), ids) << stem;
    EXPECT_EQ(std::string(result.text, result.text_bytes), readText(stem + ".output.txt")) << stem;
    kerf_generate_result_free(&result);
  }
  EXPECT_GE(texts, 8);
}

/// How a model's probabilities differ from those of transformers in f32 under teacher forcing.
struct Divergence {
  double mean = 0;
  double largest = 0;
  double agreement = 0;
  double perplexity = 0;
};

Divergence measure(const LogitRows &logits, const std::vector<int64_t> &ids, const std::vector<int32_t> &topIds,
                   const std::vector<float> &topLogprobs) {
  const size_t positions = ids.size(), top = topIds.size() / positions;
  Divergence result;
  double surprise = 0;
  for (size_t t = 0; t < positions; ++t) {
    const std::vector<float> &row = logits[t];
    const double largest = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (float logit : row)
      sum += std::exp(logit - largest);
    const double logSum = largest + std::log(sum);
    // All tokens but the stored ones count as one.
    double kl = 0, rest = 1, otherRest = 1;
    for (size_t k = 0; k < top; ++k) {
      const double p = topLogprobs[t * top + k], q = row[topIds[t * top + k]] - logSum;
      kl += std::exp(p) * (p - q);
      rest -= std::exp(p);
      otherRest -= std::exp(q);
    }
    rest = std::max(rest, 1e-12);
    otherRest = std::max(otherRest, 1e-12);
    kl += rest * std::log(rest / otherRest);
    result.mean += kl / positions;
    result.largest = std::max(result.largest, kl);
    result.agreement += (std::max_element(row.begin(), row.end()) - row.begin() == topIds[t * top]) / double(positions);
    if (t + 1 < positions)
      surprise += logSum - row[ids[t + 1]];
  }
  result.perplexity = std::exp(surprise / (positions - 1));
  return result;
}

/// What a compute type may cost.
struct Bounds {
  double mean;
  double largest;
  double agreement;
  double perplexity;
};

void compareForced(const char *computeType, const char *variant, const Bounds &bounds) {
  CompiledModel model(compileCheckpoint(bundledCheckpoint, computeType), variant);
  if (!model.unsupported.empty())
    GTEST_SKIP() << model.unsupported;
  ASSERT_TRUE(model.handle);
  SafeTensorsFile file = llvm::cantFail(SafeTensorsFile::open(KERF_TEST_DATA "/goldens/forced/golden.safetensors"));
  const auto ids = readTensor<int64_t>(file, *file.find("ids"));
  const auto topIds = readTensor<int32_t>(file, *file.find("top_ids"));
  const auto topLogprobs = readTensor<float>(file, *file.find("top_logprobs"));
  const double perplexity = readTensor<double>(file, *file.find("perplexity"))[0];
  ASSERT_GE(ids.size(), 300u);
  const std::vector<int32_t> narrow(ids.begin(), ids.end());
  const LogitRows logits = logitsAlone(model, narrow);
  ASSERT_EQ(logits.size(), ids.size());
  const Divergence found = measure(logits, ids, topIds, topLogprobs);
  std::printf("%s, %s: KL mean %.2e, largest %.2e, top-1 agreement %.4f, perplexity %.5f (f32: %.5f)\n", computeType,
              variant, found.mean, found.largest, found.agreement, found.perplexity, perplexity);
  EXPECT_LE(found.mean, bounds.mean);
  EXPECT_LE(found.largest, bounds.largest);
  EXPECT_GE(found.agreement, bounds.agreement);
  EXPECT_LE(std::abs(found.perplexity / perplexity - 1), bounds.perplexity);
}

// The order of f32 sums moves a log-probability here by about 1e-5, of which a KL divergence is half the square, and
// the least margin of a best token is far larger. Measured: mean 1.5e-12, largest 1.5e-11, perplexity the same to 6
// digits.
TEST_P(CompiledText, ForcedInF32) { compareForced("f32", GetParam(), {1e-10, 1e-9, 1, 1e-5}); }

// What linears read and what the cache keeps is rounded to bf16, all else stays in f32: less than PyTorch rounds in
// bf16, whose mean KL (1.2e-4), largest (1.0e-3), agreement (0.994) and perplexity (within 6e-4) are therefore bounds,
// with room for two more of the 353 positions to change sides of a tie. Measured: mean 1.6e-5, largest 2.5e-4,
// agreement at least 0.997, perplexity within 2.1e-4.
TEST_P(CompiledText, ForcedInBf16) { compareForced("bf16", GetParam(), {1.2e-4, 1e-3, 0.988, 6e-4}); }

INSTANTIATE_TEST_SUITE_P(Variants, CompiledText, testing::ValuesIn(allVariants),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
