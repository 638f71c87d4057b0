//===- DecoderTensors.cpp - the weights that a decoder needs --------------===//

#include "dialects/import/Checkpoint.h"
#include "dialects/import/DecoderConfig.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace kerf;
using namespace llvm;

std::vector<ExpectedTensor> kerf::expectedTensors(const DecoderConfig &config) {
  std::vector<ExpectedTensor> result;
  auto vector = [&](const Twine &name, int64_t extent) { result.push_back({name.str(), {extent}}); };
  auto linear = [&](const Twine &name, int64_t out, int64_t in, bool bias) {
    result.push_back({(name + ".weight").str(), {out, in}});
    if (bias)
      result.push_back({(name + ".bias").str(), {out}});
  };
  int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
  linear("model.embed_tokens", config.vocab, config.hidden, false);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    vector(prefix + "input_layernorm.weight", config.hidden);
    linear(prefix + "self_attn.q_proj", queries, config.hidden, config.qkvBias);
    linear(prefix + "self_attn.k_proj", keys, config.hidden, config.qkvBias);
    linear(prefix + "self_attn.v_proj", keys, config.hidden, config.qkvBias);
    if (config.qkNorm) {
      vector(prefix + "self_attn.q_norm.weight", config.headDim);
      vector(prefix + "self_attn.k_norm.weight", config.headDim);
    }
    linear(prefix + "self_attn.o_proj", config.hidden, queries, config.outputBias);
    vector(prefix + "post_attention_layernorm.weight", config.hidden);
    linear(prefix + "mlp.gate_proj", config.intermediate, config.hidden, config.mlpBias);
    linear(prefix + "mlp.up_proj", config.intermediate, config.hidden, config.mlpBias);
    linear(prefix + "mlp.down_proj", config.hidden, config.intermediate, config.mlpBias);
  }
  vector("model.norm.weight", config.hidden);
  if (!config.tiedEmbeddings)
    linear("lm_head", config.vocab, config.hidden, false);
  return result;
}

/// Why an unexpected tensor has no effect; empty if it may have one.
static StringRef reasonToIgnore(const DecoderConfig &config, StringRef name) {
  if (config.tiedEmbeddings && name == "lm_head.weight")
    return "tie_word_embeddings is true: transformers uses the embedding's weight too";
  if (name.ends_with(".rotary_emb.inv_freq"))
    return "computed from config.json, as in transformers";
  return "";
}

/// Appends `<what> <count> tensors: a, b, c …` unless there are none.
static void addList(Problems &problems, const Checkpoint &checkpoint, StringRef what, ArrayRef<std::string> items) {
  if (items.empty())
    return;
  std::string text = (checkpoint.directory() + ": " + what + " (" + Twine(items.size()) + "):").str();
  constexpr size_t shown = 5;
  for (const std::string &item : items.take_front(shown))
    text += "\n  " + item;
  if (items.size() > shown)
    text += "\n  and " + std::to_string(items.size() - shown) + " more";
  problems.add(text);
}

Error kerf::verifyTensors(const DecoderConfig &config, const Checkpoint &checkpoint, std::vector<IgnoredKey> &ignored) {
  std::vector<std::string> missing, misshaped, unreadable, extra;
  StringSet<> known;
  for (const ExpectedTensor &expected : expectedTensors(config)) {
    known.insert(expected.name);
    const LocatedTensor *found = checkpoint.find(expected.name);
    if (!found) {
      missing.push_back(expected.name);
      continue;
    }
    if (ArrayRef(found->info->shape) != ArrayRef(expected.shape))
      misshaped.push_back(expected.name + " must be " + formatShape(expected.shape) + ", got " +
                          formatShape(found->info->shape));
    if (found->info->dtype == DType::Other)
      unreadable.push_back(expected.name + " is " + found->info->dtypeName);
  }
  for (const auto &[name, located] : checkpoint.tensors()) {
    if (known.contains(name))
      continue;
    StringRef reason = reasonToIgnore(config, name);
    if (reason.empty())
      extra.push_back(name + " " + located.info->dtypeName + formatShape(located.info->shape));
    else
      ignored.push_back({name, reason.str()});
  }
  Problems problems;
  std::string of = " that " + config.architecture + " needs by its config.json";
  addList(problems, checkpoint, "must hold the tensors" + of + ", misses some", missing);
  addList(problems, checkpoint, "must hold tensors of the shapes" + of + ", some differ", misshaped);
  addList(problems, checkpoint, "must hold its weights as BF16, F16 or F32, some are of another type", unreadable);
  addList(problems, checkpoint, "must hold no tensors but those" + of + ", some are unknown", extra);
  return problems.take();
}
