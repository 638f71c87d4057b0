//===- TransformerConfigTest.cpp - config.json of every architecture ------===//

#include "dialects/import/Checkpoint.h"
#include "dialects/import/Import.h"
#include "dialects/kerf/KerfDialect.h"
#include "test/import/TestFiles.h"

#include "llvm/ADT/STLExtras.h"

#include <map>
#include <numeric>

using namespace kerf;
using namespace kerf::test;

static std::string refusal(const Changes &changes) { return message(readConfig(llamaConfig(changes))); }

static TransformerConfig accepted(const Changes &changes) {
  llvm::Expected<TransformerConfig> config = readConfig(llamaConfig(changes));
  EXPECT_TRUE(!!config) << message(config.takeError());
  return config ? *config : TransformerConfig();
}

static Changes qwen(const std::string &version, Changes changes = {}) {
  changes.insert(
      {{"architectures", "[\"Qwen" + version + "ForCausalLM\"]"}, {"model_type", "\"qwen" + version + "\""}});
  return changes;
}

static Changes mistral(Changes changes = {}, const std::string &name = "Mistral") {
  changes.insert({{"architectures", "[\"" + name + "ForCausalLM\"]"},
                  {"model_type", name == "Mistral" ? "\"mistral\"" : "\"ministral\""}});
  return changes;
}

TEST(TransformerConfig, TakesDefaultsOfTransformers) {
  TransformerConfig config = accepted({{"num_key_value_heads", ""}});
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.kvHeads, 6);
  EXPECT_EQ(config.headDim, 4);
  EXPECT_EQ(config.normEpsilon, 1e-6);
  EXPECT_EQ(config.activation, MlpActivation::Silu);
  EXPECT_FALSE(config.tiedEmbeddings || config.qkvBias || config.outputBias || config.mlpBias || config.qkNorm);
  EXPECT_FALSE(config.bos || config.pad || config.dtype);
  EXPECT_TRUE(config.eos.empty());
}

TEST(TransformerConfig, ReadsWhatArchitecturesAddThemselves) {
  TransformerConfig llama = accepted({{"attention_bias", "true"}, {"mlp_bias", "true"}, {"head_dim", "10"}});
  EXPECT_TRUE(llama.qkvBias && llama.outputBias && llama.mlpBias && !llama.qkNorm);
  EXPECT_EQ(llama.headDim, 10);
  TransformerConfig qwen2 = accepted(qwen("2"));
  EXPECT_TRUE(qwen2.qkvBias && !qwen2.outputBias && !qwen2.mlpBias && !qwen2.qkNorm);
  TransformerConfig qwen3 = accepted(qwen("3"));
  EXPECT_TRUE(!qwen3.qkvBias && !qwen3.outputBias && qwen3.qkNorm);
  EXPECT_EQ(qwen3.headDim, 128);
}

/// A small valid GPT-2 config.json with `changes`.
static std::string gpt2Config(const Changes &changes = {}) {
  Changes members = {{"architectures", "[\"GPT2LMHeadModel\"]"},
                     {"model_type", "\"gpt2\""},
                     {"hidden_size", ""},
                     {"intermediate_size", ""},
                     {"num_hidden_layers", ""},
                     {"num_attention_heads", ""},
                     {"num_key_value_heads", ""},
                     {"max_position_embeddings", ""},
                     {"n_embd", "24"},
                     {"n_layer", "3"},
                     {"n_head", "6"},
                     {"n_positions", "128"}};
  for (const auto &[key, value] : changes)
    members[key] = value;
  return llamaConfig(members);
}

TEST(TransformerConfig, ReadsGpt2) {
  TransformerConfig config = llvm::cantFail(readConfig(gpt2Config()));
  EXPECT_EQ(config.norm, NormKind::Layer);
  EXPECT_EQ(config.normEpsilon, 1e-5);
  EXPECT_EQ(config.intermediate, 96);
  EXPECT_EQ(config.headDim, 4);
  EXPECT_EQ(config.activation, MlpActivation::GeluTanh);
  EXPECT_TRUE(config.tiedEmbeddings && config.transposedLinears && config.scaleScores);
  EXPECT_TRUE(config.qkvBias && config.outputBias && config.mlpBias);
  EXPECT_FALSE(config.rope || config.gatedMlp || config.qkNorm || config.scaleScoresByLayer);

  config = llvm::cantFail(readConfig(gpt2Config({{"n_inner", "50"},
                                                 {"activation_function", "\"relu\""},
                                                 {"layer_norm_epsilon", "0.25"},
                                                 {"scale_attn_weights", "false"},
                                                 {"scale_attn_by_inverse_layer_idx", "true"},
                                                 {"tie_word_embeddings", "false"}})));
  EXPECT_EQ(config.intermediate, 50);
  EXPECT_EQ(config.activation, MlpActivation::Relu);
  EXPECT_EQ(config.normEpsilon, 0.25);
  EXPECT_FALSE(config.scaleScores || config.tiedEmbeddings);
  EXPECT_TRUE(config.scaleScoresByLayer);
}

TEST(TransformerConfig, IgnoresAndRefusesKeysOfGpt2) {
  std::vector<IgnoredKey> ignored;
  ASSERT_TRUE(!!readConfig(gpt2Config({{"n_ctx", "64"},
                                       {"reorder_and_upcast_attn", "true"},
                                       {"attn_pdrop", "0.1"},
                                       {"summary_type", "\"cls_index\""},
                                       {"task_specific_params", "{}"},
                                       {"add_cross_attention", "false"}}),
                           &ignored));
  EXPECT_EQ(ignored.size(), 6u);
  EXPECT_EQ(
      message(readConfig(gpt2Config({{"add_cross_attention", "true"}}))),
      "config.json: key 'add_cross_attention' must be false (Kerf does not implement attention to an encoder), got "
      "true");
  // Keys of Llama mean nothing to it.
  EXPECT_NE(message(readConfig(gpt2Config({{"rms_norm_eps", "1e-6"}}))).find("key 'rms_norm_eps' is not understood"),
            std::string::npos);
  EXPECT_EQ(message(readConfig(gpt2Config({{"n_head", ""}}))),
            "config.json: key 'n_head' must be an integer, got none");
  EXPECT_EQ(message(readConfig(gpt2Config({{"activation_function", "\"tanh\""}}))),
            "config.json: key 'activation_function' must be one of silu, swish, gelu, gelu_pytorch_tanh, gelu_new, "
            "gelu_fast and relu, got \"tanh\"");
}

static Changes bert(Changes changes = {}) {
  changes.insert({{"architectures", "[\"BertModel\"]"}, {"model_type", "\"bert\""}, {"num_key_value_heads", ""}});
  return changes;
}

TEST(TransformerConfig, ReadsBert) {
  TransformerConfig config = accepted(bert());
  EXPECT_TRUE(config.encoder && config.normAfter && config.qkvBias && config.outputBias && config.mlpBias);
  EXPECT_FALSE(config.rope || config.gatedMlp || config.qkNorm || config.transposedLinears);
  EXPECT_EQ(config.norm, NormKind::Layer);
  EXPECT_EQ(config.normEpsilon, 1e-12);
  EXPECT_EQ(config.activation, MlpActivation::Gelu);
  EXPECT_EQ(config.tokenTypes, 2);
  EXPECT_EQ(config.kvHeads, 6);
  config = accepted(bert({{"layer_norm_eps", "0.5"}, {"hidden_act", "\"relu\""}, {"type_vocab_size", "3"}}));
  EXPECT_EQ(config.normEpsilon, 0.5);
  EXPECT_EQ(config.activation, MlpActivation::Relu);
  EXPECT_EQ(config.tokenTypes, 3);

  std::vector<IgnoredKey> ignored;
  ASSERT_TRUE(!!readConfig(llamaConfig(bert({{"position_embedding_type", "\"absolute\""},
                                             {"hidden_dropout_prob", "0.1"},
                                             {"pooler_type", "\"first_token_transform\""},
                                             {"id2label", "{}"},
                                             {"directionality", "\"bidi\""},
                                             {"is_decoder", "false"}})),
                           &ignored));
  EXPECT_EQ(ignored.size(), 5u);
  EXPECT_EQ(refusal(bert({{"position_embedding_type", "\"relative_key\""}})),
            "config.json: key 'position_embedding_type' must be \"absolute\", got \"relative_key\"");
  EXPECT_EQ(refusal(bert({{"is_decoder", "true"}})),
            "config.json: key 'is_decoder' must be false (Kerf runs BERT as an encoder only), got true");
}

TEST(TransformerConfig, ReadsTokensAndTypes) {
  TransformerConfig config = accepted({{"bos_token_id", "1"},
                                       {"eos_token_id", "[2,98]"},
                                       {"pad_token_id", "-1"},
                                       {"torch_dtype", "\"float16\""},
                                       {"hidden_act", "\"gelu_pytorch_tanh\""}});
  EXPECT_EQ(config.bos, 1);
  EXPECT_EQ(config.eos, (std::vector<int64_t>{2, 98}));
  EXPECT_EQ(config.pad, std::nullopt);
  EXPECT_EQ(config.dtype, DType::F16);
  EXPECT_EQ(config.activation, MlpActivation::GeluTanh);
}

TEST(TransformerConfig, RefusesUnknownKeysByName) {
  EXPECT_EQ(refusal({{"foo", "1"}}), "config.json: key 'foo' is not understood; Kerf cannot tell whether it changes "
                                     "what the model computes; if it does not, remove it");
  // A key of one architecture is unknown to another.
  EXPECT_NE(refusal({{"use_mrope", "false"}}).find("key 'use_mrope' is not understood"), std::string::npos);
  EXPECT_NE(refusal(qwen("2", {{"mlp_bias", "false"}})).find("key 'mlp_bias' is not understood"), std::string::npos);
}

TEST(TransformerConfig, ListsIgnoredKeysWithReasons) {
  std::vector<IgnoredKey> ignored;
  ASSERT_TRUE(!!readConfig(llamaConfig({{"use_cache", "true"}, {"pretraining_tp", "1"}}), &ignored));
  ASSERT_EQ(ignored.size(), 2u);
  EXPECT_EQ(ignored[0].key, "config.json: use_cache");
  EXPECT_EQ(ignored[1].key, "config.json: pretraining_tp");
  EXPECT_FALSE(ignored[0].reason.empty() || ignored[1].reason.empty());
}

TEST(TransformerConfig, RefusesUnknownArchitectures) {
  const std::string known = "must be one of LlamaForCausalLM, MistralForCausalLM, MinistralForCausalLM, "
                            "Qwen2ForCausalLM, Qwen3ForCausalLM, GPT2LMHeadModel, BertModel, got ";
  EXPECT_EQ(refusal({{"architectures", "[\"MambaForCausalLM\"]"}}),
            "config.json: key 'architectures' " + known + "MambaForCausalLM");
  EXPECT_EQ(refusal({{"architectures", ""}, {"model_type", "\"mamba\""}}),
            "config.json: key 'architectures' " + known + "model_type \"mamba\"");
  EXPECT_EQ(refusal({{"architectures", ""}, {"model_type", ""}}), "config.json: key 'architectures' " + known + "none");
  EXPECT_EQ(refusal({{"model_type", "\"qwen2\""}}),
            "config.json: key 'model_type' must be \"llama\" for LlamaForCausalLM, got \"qwen2\"");
  EXPECT_EQ(refusal({{"architectures", "[\"A\",\"B\"]"}}),
            "config.json: key 'architectures' must name one class, got A, B");
  EXPECT_EQ(accepted({{"architectures", ""}}).architecture, "LlamaForCausalLM");
  EXPECT_EQ(message(readConfig("[]")), "config.json: must be an object, got an array");
}

TEST(TransformerConfig, RefusesQuantizedModels) {
  EXPECT_EQ(refusal({{"quantization_config", "{\"quant_method\":\"gptq\",\"bits\":4}"}}),
            "config.json: key 'quantization_config' must be absent, got gptq; give the original checkpoint in bf16, "
            "f16 or f32: Kerf chooses the bits itself");
  EXPECT_EQ(refusal({{"quantization_config", "null"}}), "");
}

TEST(TransformerConfig, ReadsWindows) {
  using Windows = std::vector<int64_t>;
  const std::string mixed = "[\"full_attention\",\"sliding_attention\",\"full_attention\"]";
  EXPECT_EQ(accepted({}).windows, Windows(3, 0));
  // Stated, null and not stated; all layers or none.
  EXPECT_EQ(accepted(mistral({{"sliding_window", "64"}})).windows, Windows(3, 64));
  EXPECT_EQ(accepted(mistral({{"sliding_window", "null"}})).windows, Windows(3, 0));
  EXPECT_EQ(accepted(mistral()).windows, Windows(3, 4096));
  EXPECT_EQ(
      accepted(mistral({{"sliding_window", "8"}, {"head_dim", "6"}, {"layer_types", mixed}}, "Ministral")).windows,
      (Windows{0, 8, 0}));
  EXPECT_EQ(accepted(mistral({{"sliding_window", "8"}, {"head_dim", "6"}}, "Ministral")).windows, Windows(3, 8));
  for (const char *version : {"2", "3"}) {
    Changes on = {{"use_sliding_window", "true"}, {"sliding_window", "64"}};
    EXPECT_EQ(accepted(qwen(version, on)).windows, Windows(3, 0)) << "from layer 28 on by default";
    on["max_window_layers"] = "1";
    EXPECT_EQ(accepted(qwen(version, on)).windows, (Windows{0, 64, 64}));
    on["layer_types"] = mixed;
    EXPECT_EQ(accepted(qwen(version, on)).windows, (Windows{0, 64, 0})) << "layer_types is what counts";
    on["sliding_window"] = "null";
    on["layer_types"] = "null";
    EXPECT_EQ(accepted(qwen(version, on)).windows, Windows(3, 0));
    EXPECT_EQ(
        accepted(qwen(version, {{"use_sliding_window", "false"}, {"sliding_window", "64"}, {"max_window_layers", "0"}}))
            .windows,
        Windows(3, 0));
  }
}

TEST(TransformerConfig, RefusesWindowsThatTransformersDoesNotHave) {
  const std::string mixed = "[\"full_attention\",\"sliding_attention\",\"full_attention\"]";
  const std::string fullOnly =
      "config.json: key 'layer_types' must hold \"full_attention\" only, got \"sliding_attention\" for layer 1";
  EXPECT_EQ(refusal({{"layer_types", mixed}}), fullOnly);
  EXPECT_EQ(refusal(qwen("2", {{"layer_types", mixed}})), fullOnly);
  EXPECT_EQ(refusal(mistral({{"sliding_window", "null"}, {"layer_types", mixed}})), fullOnly);
  EXPECT_EQ(refusal({{"layer_types", "[\"full_attention\"]"}}),
            "config.json: key 'layer_types' must have one entry for each of 3 layers, got 1");
  EXPECT_EQ(refusal(mistral({{"sliding_window", "8"}, {"layer_types", mixed}})),
            "config.json: key 'layer_types' must be \"sliding_attention\" for all layers where sliding_window is not "
            "null; a model with layers of both kinds is a MinistralForCausalLM");
  EXPECT_EQ(refusal(mistral({{"sliding_window", "8"},
                             {"layer_types", "[\"full_attention\",\"chunked_attention\",\"full_attention\"]"}})),
            "config.json: key 'layer_types' must hold \"full_attention\" and \"sliding_attention\" only, got "
            "\"chunked_attention\" for layer 1\nconfig.json: key 'layer_types' must be \"sliding_attention\" for all "
            "layers where sliding_window is not null; a model with layers of both kinds is a MinistralForCausalLM");
  EXPECT_EQ(refusal(mistral({{"sliding_window", "0"}})),
            "config.json: key 'sliding_window' must be an integer from 1 to 1073741824, got 0");
  EXPECT_EQ(refusal(mistral({{"sliding_window", "null"}}, "Ministral")),
            "config.json: key 'sliding_window' must be a number, got null\n"
            "config.json: key 'head_dim' must be a number, got none");
}

TEST(TransformerConfig, RefusesWrongRelations) {
  EXPECT_EQ(refusal({{"num_key_value_heads", "4"}}),
            "config.json: num_attention_heads must be a multiple of num_key_value_heads, got 6 and 4");
  EXPECT_EQ(refusal({{"hidden_size", "25"}}),
            "config.json: hidden_size must be a multiple of num_attention_heads where head_dim is not stated, got 25 "
            "and 6");
  EXPECT_EQ(refusal({{"hidden_size", "25"}, {"head_dim", "4"}}), "");
  EXPECT_EQ(refusal({{"head_dim", "5"}}), "config.json: head_dim must be even, got 5");
}

TEST(TransformerConfig, RefusesWrongValues) {
  EXPECT_EQ(refusal({{"vocab_size", ""}}), "config.json: key 'vocab_size' must be an integer, got none");
  EXPECT_EQ(refusal({{"num_hidden_layers", "0"}}),
            "config.json: key 'num_hidden_layers' must be an integer from 1 to 65536, got 0");
  EXPECT_EQ(refusal({{"hidden_size", "16777217"}}),
            "config.json: key 'hidden_size' must be an integer from 1 to 16777216, got 16777217");
  EXPECT_EQ(refusal({{"rms_norm_eps", "0"}}),
            "config.json: key 'rms_norm_eps' must be a number above 0 and not above 1, got 0");
  EXPECT_EQ(
      refusal({{"hidden_act", "\"relu6\""}}),
      "config.json: key 'hidden_act' must be one of silu, swish, gelu, gelu_pytorch_tanh, gelu_new, gelu_fast and "
      "relu, got \"relu6\"");
  EXPECT_EQ(refusal({{"dtype", "\"int8\""}}),
            "config.json: key 'dtype' must be one of bfloat16, float16 and float32, got \"int8\"");
  EXPECT_EQ(refusal({{"dtype", "\"float32\""}, {"torch_dtype", "\"bfloat16\""}}),
            "config.json: key 'dtype' must be the same as torch_dtype, got \"float32\"");
  EXPECT_EQ(refusal({{"eos_token_id", "[2,99]"}}),
            "config.json: key 'eos_token_id' must be an integer from 0 to 98, got 99");
  EXPECT_NE(refusal({{"auto_map", "{\"AutoModel\":\"m.M\"}"}}).find("key 'auto_map' must be absent"),
            std::string::npos);
  EXPECT_NE(refusal({{"rope_interleaved", "true"}}).find("key 'rope_interleaved' must be false"), std::string::npos);
  EXPECT_NE(refusal(qwen("2", {{"use_mrope", "true"}})).find("key 'use_mrope' must be false"), std::string::npos);
}

TEST(TransformerConfig, TellsAllProblemsAtOnce) {
  std::string text = refusal({{"vocab_size", "\"x\""}, {"foo", "1"}, {"head_dim", "true"}});
  for (const char *key : {"'vocab_size'", "'foo'", "'head_dim'"})
    EXPECT_NE(text.find(key), std::string::npos) << text;
}

//===----------------------------------------------------------------------===//
// Published configurations
//===----------------------------------------------------------------------===//

// 22.7 million parameters on the model's page, 147,840 of them in the pooler.
TEST(PublishedEncoder, ReadsMiniLm) {
  std::string config =
      llvm::cantFail(readSmallFile(KERF_TEST_DATA "/import/configs/all-MiniLM-L6-v2/config.json", 1 << 20));
  TransformerConfig read = llvm::cantFail(readConfig(config));
  EXPECT_EQ(read.hidden, 384);
  EXPECT_EQ(read.layers, 6);
  EXPECT_EQ(read.headDim, 32);
  EXPECT_EQ(read.maxPositions, 512);
  int64_t parameters = 0;
  for (const ExpectedTensor &tensor : expectedTensors(read))
    parameters += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t(1), std::multiplies<>());
  EXPECT_EQ(parameters, 22713216 - 147840);
}

namespace {
/// What a published configuration must come out as.
struct Published {
  const char *name;
  const char *architecture;
  int64_t vocab, hidden, intermediate, layers, heads, kvHeads, headDim, positions;
  /// 0 where positions are learned.
  double theta;
  RopeType rope;
  bool tied;
  /// Number of parameters: what the model's publisher states, to the last one.
  int64_t parameters;
  /// Of every layer; 0 for none.
  int64_t window = 0;
};
class PublishedConfig : public testing::TestWithParam<Published> {};
} // namespace

// Parameter counts are those of the tensors on the model pages (in millions there: 134.5, 361.8, 1711, 1236, 3213,
// 7242, 7248, 494, 1544, 7616, 596, 8191, 124, 355).
static const Published kPublished[] = {
    {"SmolLM2-135M", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default, true, 134515008},
    {"SmolLM2-135M-Instruct", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default, true,
     134515008},
    {"SmolLM2-135M-transformers5", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default,
     true, 134515008},
    {"SmolLM2-360M", "LlamaForCausalLM", 49152, 960, 2560, 32, 15, 5, 64, 8192, 1e5, RopeType::Default, true,
     361821120},
    {"SmolLM2-1.7B", "LlamaForCausalLM", 49152, 2048, 8192, 24, 32, 32, 64, 8192, 1.3e5, RopeType::Default, true,
     1711376384},
    {"SmolLM2-1.7B-Instruct", "LlamaForCausalLM", 49152, 2048, 8192, 24, 32, 32, 64, 8192, 1.3e5, RopeType::Default,
     true, 1711376384},
    {"Llama-3.2-1B", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3, true,
     1235814400},
    {"Llama-3.2-1B-Instruct", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3,
     true, 1235814400},
    {"Llama-3.2-1B-transformers5", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3,
     true, 1235814400},
    {"Llama-3.2-3B", "LlamaForCausalLM", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 5e5, RopeType::Llama3, true,
     3212749824},
    {"Llama-3.2-3B-Instruct", "LlamaForCausalLM", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 5e5, RopeType::Llama3,
     true, 3212749824},
    {"Mistral-7B-v0.1", "MistralForCausalLM", 32000, 4096, 14336, 32, 32, 8, 128, 32768, 1e4, RopeType::Default, false,
     7241732096, 4096},
    {"Mistral-7B-v0.3", "MistralForCausalLM", 32768, 4096, 14336, 32, 32, 8, 128, 32768, 1e6, RopeType::Default, false,
     7248023552},
    {"Qwen2.5-0.5B", "Qwen2ForCausalLM", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1e6, RopeType::Default, true,
     494032768},
    {"Qwen2.5-0.5B-Instruct", "Qwen2ForCausalLM", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1e6, RopeType::Default, true,
     494032768},
    {"Qwen2.5-1.5B", "Qwen2ForCausalLM", 151936, 1536, 8960, 28, 12, 2, 128, 131072, 1e6, RopeType::Default, true,
     1543714304},
    {"Qwen2.5-7B", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 131072, 1e6, RopeType::Default, false,
     7615616512},
    {"Qwen2.5-7B-Instruct-yarn", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 32768, 1e6, RopeType::Yarn,
     false, 7615616512},
    {"Qwen2.5-7B-Instruct-yarn-transformers5", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 32768, 1e6,
     RopeType::Yarn, false, 7615616512},
    {"Qwen3-0.6B", "Qwen3ForCausalLM", 151936, 1024, 3072, 28, 16, 8, 128, 40960, 1e6, RopeType::Default, true,
     596049920},
    {"Qwen3-0.6B-transformers5", "Qwen3ForCausalLM", 151936, 1024, 3072, 28, 16, 8, 128, 40960, 1e6, RopeType::Default,
     true, 596049920},
    {"Qwen3-8B", "Qwen3ForCausalLM", 151936, 4096, 12288, 36, 32, 8, 128, 40960, 1e6, RopeType::Default, false,
     8190735360},
    {"gpt2", "GPT2LMHeadModel", 50257, 768, 3072, 12, 12, 12, 64, 1024, 0, {}, true, 124439808},
    {"gpt2-medium", "GPT2LMHeadModel", 50257, 1024, 4096, 24, 16, 16, 64, 1024, 0, {}, true, 354823168},
};

TEST_P(PublishedConfig, IsReadUnchangedAndFitsItsWeights) {
  const Published &want = GetParam();
  TempDir dir;
  std::string config = llvm::cantFail(
      readSmallFile(std::string(KERF_TEST_DATA "/import/configs/") + want.name + "/config.json", 1 << 20));
  dir.write("config.json", config);
  llvm::Expected<TransformerConfig> read = readConfig(config);
  ASSERT_TRUE(!!read) << message(read.takeError());
  EXPECT_EQ(read->architecture, want.architecture);
  EXPECT_EQ(read->vocab, want.vocab);
  EXPECT_EQ(read->hidden, want.hidden);
  EXPECT_EQ(read->intermediate, want.intermediate);
  EXPECT_EQ(read->layers, want.layers);
  EXPECT_EQ(read->heads, want.heads);
  EXPECT_EQ(read->kvHeads, want.kvHeads);
  EXPECT_EQ(read->headDim, want.headDim);
  EXPECT_EQ(read->maxPositions, want.positions);
  ASSERT_EQ(read->rope.has_value(), want.theta != 0);
  if (read->rope) {
    EXPECT_EQ(read->rope->theta, want.theta);
    EXPECT_EQ(read->rope->type, want.rope);
  }
  EXPECT_EQ(read->tiedEmbeddings, want.tied);
  EXPECT_EQ(read->windows, std::vector<int64_t>(want.layers, want.window));
  // The configurations of GPT-2 are older than the key.
  EXPECT_EQ(read->dtype, read->rope ? std::optional(DType::BF16) : std::nullopt);
  EXPECT_TRUE(read->bos);
  EXPECT_FALSE(read->eos.empty());
  int64_t parameters = 0;
  for (const ExpectedTensor &tensor : expectedTensors(*read))
    parameters += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t(1), std::multiplies<>());
  EXPECT_EQ(parameters, want.parameters);

  writeZeros(dir / "model.safetensors", specsOf(*read));
  llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(!!checkpoint) << message(checkpoint.takeError());
  std::vector<IgnoredKey> ignored;
  EXPECT_EQ(message(verifyTensors(*read, *checkpoint, ignored)), "");

  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  ImportOptions options;
  options.name = want.name;
  auto module = importCheckpoint(context, *checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << message(module.takeError());
  ModelOp model = getModel(**module);
  EXPECT_EQ(model.getName(), want.name);
  EXPECT_EQ(model.getArchitecture(), want.architecture);
  EXPECT_EQ(model.getContext(), want.positions);
  EXPECT_EQ(model.getLayers(), want.layers);
  auto group = (*module)->lookupSymbol<KvGroupOp>("kv");
  EXPECT_EQ(group.getPlanes(), want.layers);
  EXPECT_EQ(group.getHeads(), want.kvHeads);
  EXPECT_EQ(group.getHeadDim(), want.headDim);
  EXPECT_TRUE(group.getElement().isBF16());
  // Every tensor is read by one weight, or by three if it holds the three projections.
  std::map<std::string, int> taken;
  for (WeightOp weight : (*module)->getOps<WeightOp>())
    llvm::cast<SourceAttrInterface>(weight.getSource()).walkTensors([&](llvm::StringRef name) { ++taken[name.str()]; });
  EXPECT_EQ(taken.size(), expectedTensors(*read).size());
  for (const auto &[name, count] : taken)
    EXPECT_EQ(count, name.find("c_attn") == std::string::npos ? 1 : 3) << name;
}

INSTANTIATE_TEST_SUITE_P(All, PublishedConfig, testing::ValuesIn(kPublished), [](const auto &info) {
  std::string name = info.param.name;
  llvm::erase_if(name, [](char c) { return !llvm::isAlnum(c); });
  return name;
});
