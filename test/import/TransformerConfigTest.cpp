//===- TransformerConfigTest.cpp - config.json of every architecture ------===//

#include "test/import/TestFiles.h"

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
