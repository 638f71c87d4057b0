// Whole encoders compiled for x86, from the checkpoint to vectors, against transformers and PyTorch's pooling
// (test/goldens/README.md); and kerf_context_embed on them.
#include "codegen/reference/ReferenceEvaluator.h"
#include "dialects/import/Import.h"
#include "test/numerics/Compiled.h"
#include "test/numerics/Encoders.h"

#include "llvm/Support/FormatVariadic.h"

using namespace kerf::test;

namespace {

/// The vectors of `texts` from kerf_context_embed, and what it says.
struct Embedded {
  std::vector<std::vector<float>> vectors;
  std::vector<uint32_t> tokens;
  kerf_embed_result result = {};
  kerf_error error = {};

  Embedded(kerf_context *context, const std::vector<std::vector<int32_t>> &texts, size_t columns) {
    std::vector<kerf_embed_input> inputs;
    const int32_t none = 0;
    for (const std::vector<int32_t> &ids : texts)
      inputs.push_back({nullptr, 0, ids.empty() ? &none : ids.data(), uint32_t(ids.size()), 0});
    std::vector<float> values(texts.size() * columns, NAN);
    tokens.assign(texts.size(), 0);
    kerf_embed_options options = {};
    options.struct_size = sizeof options;
    options.input_size = sizeof(kerf_embed_input);
    options.input_count = inputs.size();
    options.inputs = inputs.data();
    options.vectors = values.data();
    options.tokens = tokens.data();
    result.struct_size = sizeof result;
    kerf_context_embed(context, &options, &result, &error);
    for (size_t row = 0; row < texts.size(); ++row)
      vectors.emplace_back(values.begin() + row * columns, values.begin() + (row + 1) * columns);
  }
};

class EncoderGolden : public testing::TestWithParam<std::tuple<Encoder, const char *>> {};

/// Both sides sum in f32 in different orders; transformers itself is within 1e-6 of f64 here.
constexpr double tolerance = 1e-4;

TEST_P(EncoderGolden, GivesTheVectorsOfTransformers) {
  auto [encoder, variant] = GetParam();
  std::vector<std::string> options = optionsFor(variant);
  if (!encoder.stated)
    options.push_back(std::string("--pooling=") + encoder.pooling);
  CompiledModel model(compileCheckpoint(encodersDirectory + "/" + encoder.name, "f32", options), variant);
  if (!model.unsupported.empty())
    GTEST_SKIP() << model.unsupported;
  ASSERT_TRUE(model.handle);
  const Texts texts(encoder);
  ASSERT_EQ(texts.ids.size(), 4u);
  const size_t columns = texts.vectors.front().size();
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(kerf_model_get_info(model.handle, &info, nullptr), KERF_OK);
  EXPECT_EQ(info.vector, columns);
  EXPECT_EQ(info.generates, 0u);

  // All in one step: none may see another's tokens.
  CompiledContext whole(model, 128, 4);
  const Embedded together(whole.handle, texts.ids, columns);
  ASSERT_EQ(together.error.code, KERF_OK) << together.error.message;
  EXPECT_EQ(together.result.steps, 1u);
  EXPECT_EQ(together.result.tokens, 73u);
  EXPECT_EQ(together.result.cut, 0u);
  for (size_t i = 0; i < texts.ids.size(); ++i) {
    const double error = relativeError(together.vectors[i], texts.vectors[i]);
    EXPECT_LE(error, tolerance) << "text " << i;
    RecordProperty("error_" + std::to_string(i), llvm::formatv("{0:e}", error).str());
    EXPECT_EQ(together.tokens[i], texts.ids[i].size());
  }
  // In steps of what fits, and again in the same context, the bits are the same.
  CompiledContext small(model, 50, 2);
  for (int round = 0; round < 2; ++round) {
    const Embedded apart(small.handle, texts.ids, columns);
    ASSERT_EQ(apart.error.code, KERF_OK) << apart.error.message;
    EXPECT_EQ(apart.result.steps, 3u);
    EXPECT_EQ(apart.vectors, together.vectors);
  }

  // Nothing else can be done with it.
  kerf_sequence *sequence = nullptr;
  ASSERT_EQ(kerf_sequence_create(small.handle, &sequence, nullptr), KERF_OK);
  const int32_t id = 1;
  const kerf_step_entry entry = {sequence, &id, 1, KERF_LOGITS_NONE, nullptr};
  const kerf_step step = {sizeof step, sizeof entry, 1, &entry};
  kerf_error error = {};
  EXPECT_EQ(kerf_context_step(small.handle, &step, &error), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'step'"), std::string::npos) << error.message;
  kerf_sequence_close(sequence);
}

TEST(Encoder, RefusesWhatItCannotEmbed) {
  CompiledModel model(compileCheckpoint(encodersDirectory + "/bert-mean", "f32"), "avx2");
  ASSERT_TRUE(model.handle);
  CompiledContext context(model, 40, 1);
  auto message = [&](const std::vector<std::vector<int32_t>> &texts) {
    const Embedded embedded(context.handle, texts, 30);
    EXPECT_EQ(embedded.error.code, KERF_BAD_ARGUMENT);
    return std::string(embedded.error.message);
  };
  EXPECT_EQ(message({{1}, {}}), "input 1 must have at least one token, got none");
  EXPECT_EQ(message({{1, 131}}), "id 1 of input 0 must be 0 to 130, got 131");
  EXPECT_EQ(message({std::vector<int32_t>(51, 1)}),
            "input 0 must have at most the planned context of 50 tokens, got 51");
  EXPECT_EQ(
      message({std::vector<int32_t>(41, 1)}),
      "input 0 has 41 tokens, which a step must take as a whole, but only 40 are planned; plan for more max_tokens");
  kerf_sequence *sequence = nullptr;
  ASSERT_EQ(kerf_sequence_create(context.handle, &sequence, nullptr), KERF_OK);
  EXPECT_EQ(message({{1}}),
            "there must be a free sequence, but all 1 that were planned are open; close one or plan for "
            "more");
  kerf_sequence_close(sequence);
  // No texts are no work.
  const Embedded none(context.handle, {}, 30);
  EXPECT_EQ(none.error.code, KERF_OK);
  EXPECT_EQ(none.result.steps, 0u);
}

TEST(Encoder, ADecoderGivesNoVectors) {
  CompiledModel model(compileCheckpoint(modelsDirectory + "/gpt2", "f32"), "avx2");
  ASSERT_TRUE(model.handle);
  CompiledContext context(model, 16, 1);
  const Embedded embedded(context.handle, {{1}}, 30);
  EXPECT_EQ(embedded.error.code, KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(embedded.error.message).find("'encode'"), std::string::npos) << embedded.error.message;
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(kerf_model_get_info(model.handle, &info, nullptr), KERF_OK);
  EXPECT_EQ(info.vector, 0u);
  EXPECT_EQ(info.generates, 1u);
}

class EncoderInBf16 : public testing::TestWithParam<const char *> {};

/// Every op rounds its result to bf16: the vectors are as far from those of f32 as some ten independent roundings of
/// at most 2^-9 leave them. The reference path rounds the same numbers at the same places, so that only those differ
/// which another order of sums puts on the other side of a tie (CompiledReferenceTest.cpp).
constexpr double fromF32 = 6.0 / 256, fromReference = 4.0 / 256, mostly = 2.4e-6;

TEST_P(EncoderInBf16, RoundsWhereTheReferenceRounds) {
  const std::string directory = encodersDirectory + "/bert-cls";
  CompiledModel model(compileCheckpoint(directory, "bf16", optionsFor(GetParam())), GetParam());
  if (!model.unsupported.empty())
    GTEST_SKIP() << model.unsupported;
  ASSERT_TRUE(model.handle);
  mlir::MLIRContext mlirContext(mlir::MLIRContext::Threading::DISABLED);
  kerf::Checkpoint checkpoint = llvm::cantFail(kerf::Checkpoint::open(directory));
  kerf::ImportOptions options;
  options.computeType = kerf::DType::BF16;
  std::vector<kerf::IgnoredKey> ignored;
  auto module = kerf::importCheckpoint(mlirContext, checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << llvm::toString(module.takeError());
  kerf::CheckpointSource tensors(checkpoint);

  const Texts texts(encoders[1]);
  kerf::ReferenceEvaluator evaluator(tensors);
  auto reference = evaluator.evaluate(**module, std::vector<kerf::TokenSequence>(texts.ids.begin(), texts.ids.end()));
  ASSERT_TRUE(!!reference) << llvm::toString(reference.takeError());
  CompiledContext context(model, 128, 4);
  const Embedded embedded(context.handle, texts.ids, texts.vectors.front().size());
  ASSERT_EQ(embedded.error.code, KERF_OK) << embedded.error.message;
  std::vector<double> distances;
  for (size_t i = 0; i < texts.ids.size(); ++i) {
    const double error = relativeError(embedded.vectors[i], texts.vectors[i]);
    EXPECT_LE(error, fromF32) << "text " << i;
    EXPECT_GT(error, 1e-4) << "text " << i << ": nothing was rounded to bf16";
    distances.push_back(relativeError(embedded.vectors[i], (*reference)[i].values));
    EXPECT_LE(distances.back(), fromReference) << "text " << i;
  }
  std::ranges::sort(distances);
  EXPECT_LE(distances[distances.size() / 2], mostly);
}

INSTANTIATE_TEST_SUITE_P(All, EncoderInBf16, testing::ValuesIn(everyVariant()),
                         [](const auto &info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, EncoderGolden,
                         testing::Combine(testing::ValuesIn(encoders), testing::ValuesIn(everyVariant())),
                         [](const auto &info) {
                           return testName(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
                         });

} // namespace
