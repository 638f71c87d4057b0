//===- TransformerConfig.cpp - one description of every architecture ------===//

#include "dialects/import/TransformerConfig.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace kerf;
using namespace llvm;

static const Architecture *const kArchitectures[] = {&llamaArchitecture, &mistralArchitecture, &ministralArchitecture,
                                                     &qwen2Architecture, &qwen3Architecture,   &gpt2Architecture,
                                                     &bertArchitecture};

static std::string knownArchitectures() {
  return join(map_range(kArchitectures, [](const Architecture *known) { return known->name.str(); }), ", ");
}

/// The architecture that config.json names, or null after a problem was added.
static const Architecture *readArchitecture(ObjectReader &reader, Problems &problems) {
  std::vector<std::string> names = reader.strings("architectures");
  std::string modelType = reader.stringOr("model_type", "");
  if (names.size() > 1) {
    reader.problem("key 'architectures' must name one class, got " + join(names, ", "));
    return nullptr;
  }
  for (const Architecture *known : kArchitectures) {
    if (names.empty() ? known->modelType != modelType : known->name != names.front())
      continue;
    if (!modelType.empty() && known->modelType != modelType)
      reader.wrong("model_type", "be \"" + known->modelType + "\" for " + known->name);
    return known;
  }
  std::string got = !names.empty() ? names.front() : modelType.empty() ? "none" : "model_type \"" + modelType + "\"";
  reader.problem("key 'architectures' must be one of " + knownArchitectures() + ", got " + got);
  return nullptr;
}

/// A quantized checkpoint: its weights are not the model's numbers but somebody's codes for them.
static void refuseQuantized(ObjectReader &reader) {
  for (StringRef key : {"quantization_config", "compression_config"}) {
    if (!reader.has(key)) {
      reader.ignore(key, "null means not quantized");
      continue;
    }
    ObjectReader quantization = reader.object(key);
    std::string method = quantization.stringOr("quant_method", "");
    reader.problem("key '" + key + "' must be absent, got " + (method.empty() ? "a quantized model" : method) +
                   "; give the original checkpoint in bf16, f16 or f32: Kerf chooses the bits itself");
  }
}

MlpActivation kerf::readActivation(ObjectReader &reader, StringRef key, StringRef fallback) {
  auto result = StringSwitch<std::optional<MlpActivation>>(reader.stringOr(key, fallback))
                    .Cases({"silu", "swish"}, MlpActivation::Silu)
                    .Case("gelu", MlpActivation::Gelu)
                    .Cases({"gelu_pytorch_tanh", "gelu_new", "gelu_fast"}, MlpActivation::GeluTanh)
                    .Case("relu", MlpActivation::Relu)
                    .Default(std::nullopt);
  if (!result)
    reader.wrong(key, "be one of silu, swish, gelu, gelu_pytorch_tanh, gelu_new, gelu_fast and relu");
  return result.value_or(MlpActivation::Silu);
}

/// The type, which transformers 4 calls `torch_dtype` and transformers 5 `dtype`.
static std::optional<DType> readDType(ObjectReader &reader) {
  std::optional<DType> result;
  for (StringRef key : {"torch_dtype", "dtype"}) {
    std::string text = reader.stringOr(key, "");
    if (text.empty())
      continue;
    auto dtype = StringSwitch<std::optional<DType>>(text)
                     .Case("bfloat16", DType::BF16)
                     .Case("float16", DType::F16)
                     .Case("float32", DType::F32)
                     .Default(std::nullopt);
    if (!dtype || (result && result != dtype))
      reader.wrong(key, dtype ? "be the same as torch_dtype" : "be one of bfloat16, float16 and float32");
    result = dtype;
  }
  return result;
}

static void readTokens(ObjectReader &reader, TransformerConfig &config) {
  IntRange ids{0, config.vocab - 1};
  // Older Llama checkpoints write -1 for none.
  IntRange optionalIds{-1, config.vocab - 1};
  auto optionalId = [&](StringRef key) -> std::optional<int64_t> {
    int64_t id = reader.integerOr(key, -1, optionalIds);
    return id < 0 ? std::nullopt : std::optional(id);
  };
  config.bos = optionalId("bos_token_id");
  config.eos = reader.integerOrList("eos_token_id", ids);
  config.pad = optionalId("pad_token_id");
}

/// Keys that every configuration may have and that do not change what the model computes.
static void ignoreCommon(ObjectReader &reader) {
  reader.ignore("_name_or_path", "says where the checkpoint was loaded from");
  reader.ignore("transformers_version", "says what wrote the file");
  reader.ignore("transformers.js_config", "configures another program");
  reader.ignore("_attn_implementation_autoset", "chooses among implementations of the same attention");
  reader.ignore("_attn_implementation", "chooses among implementations of the same attention");
  reader.ignore("use_cache", "Kerf always keeps the cache; results are the same");
  reader.ignore("initializer_range", "used in training only");
  reader.ignore("torchscript", "chooses how Python runs the model");
  reader.ignore("return_dict", "says how Python receives the result");
  for (StringRef key : {"output_attentions", "output_hidden_states"})
    reader.ignore(key, "asks Python for further outputs; the logits are the same");
  reader.refuse("auto_map", "the model has Python code of its own, which Kerf cannot know");
}

void kerf::readLlamaKeys(ObjectReader &reader, TransformerConfig &config) {
  config.hidden = reader.integer("hidden_size", kSizes);
  config.intermediate = reader.integer("intermediate_size", kSizes);
  config.layers = reader.integer("num_hidden_layers", kLayerCounts);
  config.heads = reader.integer("num_attention_heads", kSizes);
  config.maxPositions = reader.integer("max_position_embeddings", kPositionCounts);
  config.kvHeads = reader.integerOr("num_key_value_heads", config.heads, kSizes);
  config.headDim = reader.integerOr("head_dim", 0, kSizes);
  config.normEpsilon = reader.numberOr("rms_norm_eps", 1e-6, kEpsilons);
  config.tiedEmbeddings = reader.booleanOr("tie_word_embeddings", false);
  config.activation = readActivation(reader, "hidden_act", "silu");
  // Transformers' default for all architectures.
  config.rope = readRope(reader, config.maxPositions, /*defaultTheta=*/10000);
  reader.ignore("attention_dropout", "used in training only");
}

/// What all architectures share.
static void readCommon(ObjectReader &reader, TransformerConfig &config) {
  config.vocab = reader.integer("vocab_size", kSizes);
  config.dtype = readDType(reader);
  readTokens(reader, config);
  refuseQuantized(reader);
  ignoreCommon(reader);
}

/// Relations between sizes; they make sense only once every size has been read without a problem.
static void verifyRelations(ObjectReader &reader, TransformerConfig &config) {
  if (config.heads % config.kvHeads)
    reader.problem(formatv("num_attention_heads must be a multiple of num_key_value_heads, got {0} and {1}",
                           config.heads, config.kvHeads));
  if (!config.headDim) {
    if (config.hidden % config.heads)
      return reader.problem(formatv("hidden_size must be a multiple of num_attention_heads where head_dim is not "
                                    "stated, got {0} and {1}",
                                    config.hidden, config.heads));
    config.headDim = config.hidden / config.heads;
  }
  if (config.headDim % 2)
    reader.problem(formatv("head_dim must be even, got {0}", config.headDim));
}

int64_t kerf::readWindow(ObjectReader &reader) {
  constexpr int64_t byDefault = 4096;
  return reader.integerOr("sliding_window", reader.states("sliding_window") ? 0 : byDefault, kPositionCounts);
}

void kerf::readQwenWindows(ObjectReader &reader, TransformerConfig &config) {
  if (reader.booleanOr("use_sliding_window", false)) {
    int64_t window = readWindow(reader);
    setWindows(reader, config, window, reader.integerOr("max_window_layers", 28, {0, kLayerCounts.max}));
    return;
  }
  for (StringRef key : {"sliding_window", "max_window_layers"})
    reader.ignore(key, "without effect while use_sliding_window is false");
  setWindows(reader, config, 0, 0);
}

void kerf::setWindows(ObjectReader &reader, TransformerConfig &config, int64_t window, int64_t first) {
  config.windows.assign(config.layers, 0);
  if (!reader.has("layer_types")) {
    reader.ignore("layer_types", "null means what the other keys say");
    for (int64_t layer = first; layer < config.layers; ++layer)
      config.windows[layer] = window;
    return;
  }
  std::vector<std::string> types = reader.strings("layer_types");
  if (int64_t(types.size()) != config.layers)
    return reader.problem(
        formatv("key 'layer_types' must have one entry for each of {0} layers, got {1}", config.layers, types.size()));
  for (auto [layer, type] : enumerate(types)) {
    if (type == "sliding_attention" && window)
      config.windows[layer] = window;
    else if (type != "full_attention")
      return reader.problem(formatv("key 'layer_types' must hold \"full_attention\"{0} only, got \"{1}\" for layer {2}",
                                    window ? " and \"sliding_attention\"" : "", type, layer));
  }
}

Expected<TransformerConfig> kerf::readTransformerConfig(const JsonDocument &document,
                                                        std::vector<IgnoredKey> &ignored) {
  Problems problems;
  ObjectReader reader(document.name(), document.root(), problems, ignored);
  const Architecture *architecture = problems.empty() ? readArchitecture(reader, problems) : nullptr;
  if (!architecture)
    return problems.take();
  TransformerConfig config;
  config.architecture = architecture->name.str();
  readCommon(reader, config);
  architecture->read(reader, config);
  reader.finish("Kerf cannot tell whether it changes what the model computes; if it does not, remove it");
  if (problems.empty())
    verifyRelations(reader, config);
  if (Error error = problems.take())
    return std::move(error);
  return config;
}
