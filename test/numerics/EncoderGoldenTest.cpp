// Whole encoders compiled for x86, from the checkpoint to vectors, against transformers and PyTorch's pooling
// (test/goldens/README.md); and kerf_context_embed on them.
#include "test/numerics/Compiled.h"
#include "test/numerics/Goldens.h"

using namespace kerf::test;

namespace {

const std::string encodersDirectory = KERF_TEST_DATA "/goldens/encoders";

struct Encoder {
  const char *name;
  /// Which of the golden's vectors; what --pooling says, or nothing where the checkpoint's files say it.
  const char *pooling;
  bool stated;
};
constexpr Encoder encoders[] = {{"bert-mean", "mean", true},  {"bert-cls", "first", true},
                                {"bert-bare", "mean", false}, {"bert-bare", "first", false},
                                {"bert-bare", "last", false}, {"bert-bare", "max", false}};

/// The prompts of a golden and the vectors of one pooling.
struct Texts {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<float>> vectors;

  explicit Texts(const Encoder &encoder) {
    kerf::SafeTensorsFile file =
        llvm::cantFail(kerf::SafeTensorsFile::open(encodersDirectory + "/" + encoder.name + "/golden.safetensors"));
    while (const kerf::TensorInfo *tensor = file.find("ids_" + std::to_string(ids.size()))) {
      const std::vector<int64_t> wide = readTensor<int64_t>(file, *tensor);
      const std::string name = std::string(encoder.pooling) + "_" + std::to_string(ids.size());
      ids.emplace_back(wide.begin(), wide.end());
      vectors.push_back(readTensor<float>(file, *file.find(name)));
    }
  }
};

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
  const std::string pooling = encoder.stated ? "" : std::string("--pooling=") + encoder.pooling;
  CompiledModel model(compileCheckpoint(encodersDirectory + "/" + encoder.name, "f32", pooling), variant);
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
    EXPECT_LE(relativeError(together.vectors[i], texts.vectors[i]), tolerance) << "text " << i;
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
  const kerf_step_entry entry = {sequence, &id, 1, KERF_LOGITS_NONE};
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

INSTANTIATE_TEST_SUITE_P(All, EncoderGolden,
                         testing::Combine(testing::ValuesIn(encoders), testing::ValuesIn(allVariants)),
                         [](const auto &info) {
                           const Encoder &encoder = std::get<0>(info.param);
                           std::string name =
                               std::string(encoder.name) + "_" + encoder.pooling + "_" + std::get<1>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
