//===- TransformerTensors.cpp - the weights that a model needs ------------===//

#include "dialects/import/Checkpoint.h"
#include "dialects/import/TransformerConfig.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace kerf;
using namespace llvm;

std::vector<ExpectedTensor> kerf::expectedTensors(const TransformerConfig &config) {
  std::vector<ExpectedTensor> result;
  const TensorNames &names = config.names;
  auto table = [&](const Twine &name, int64_t rows, bool multiplied) {
    result.push_back({(name + ".weight").str(), {rows, config.hidden}, multiplied});
  };
  auto norm = [&](const Twine &name, int64_t extent, NormKind kind) {
    result.push_back({(name + ".weight").str(), {extent}});
    if (kind == NormKind::Layer)
      result.push_back({(name + ".bias").str(), {extent}});
  };
  auto linear = [&](const Twine &name, int64_t out, int64_t in, bool bias) {
    if (config.transposedLinears)
      result.push_back({(name + ".weight").str(), {in, out}, true});
    else
      result.push_back({(name + ".weight").str(), {out, in}, true});
    if (bias)
      result.push_back({(name + ".bias").str(), {out}});
  };
  int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
  table(names.prefix + names.embedding, config.vocab, config.tiedEmbeddings);
  if (!config.rope)
    table(names.prefix + names.positions, config.maxPositions, false);
  if (config.tokenTypes)
    table(names.prefix + names.tokenTypes, config.tokenTypes, false);
  if (!names.embeddingNorm.empty())
    norm(names.prefix + names.embeddingNorm, config.hidden, config.norm);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    std::string prefix = (names.prefix + names.layers + "." + Twine(layer) + ".").str();
    norm(prefix + names.attentionNorm, config.hidden, config.norm);
    if (!names.queryKeyValue.empty()) {
      linear(prefix + names.queryKeyValue, queries + 2 * keys, config.hidden, config.qkvBias);
    } else {
      linear(prefix + names.query, queries, config.hidden, config.qkvBias);
      linear(prefix + names.key, keys, config.hidden, config.qkvBias);
      linear(prefix + names.value, keys, config.hidden, config.qkvBias);
    }
    if (config.qkNorm) {
      norm(prefix + names.queryNorm, config.headDim, NormKind::Rms);
      norm(prefix + names.keyNorm, config.headDim, NormKind::Rms);
    }
    linear(prefix + names.output, config.hidden, queries, config.outputBias);
    norm(prefix + names.mlpNorm, config.hidden, config.norm);
    if (config.gatedMlp)
      linear(prefix + names.gate, config.intermediate, config.hidden, config.mlpBias);
    linear(prefix + names.up, config.intermediate, config.hidden, config.mlpBias);
    linear(prefix + names.down, config.hidden, config.intermediate, config.mlpBias);
  }
  if (config.encoder)
    return result;
  norm(names.prefix + names.norm, config.hidden, config.norm);
  if (!config.tiedEmbeddings)
    table(names.head, config.vocab, true);
  return result;
}

void kerf::resolvePrefix(TransformerConfig &config, const Checkpoint &checkpoint) {
  TensorNames &names = config.names;
  std::string bare = (names.embedding + ".weight").str();
  if (names.prefixOptional && !checkpoint.find(names.prefix + bare) && checkpoint.find(bare))
    names.prefix.clear();
}

/// Why an unexpected tensor has no effect; empty if it may have one.
static StringRef reasonToIgnore(const TransformerConfig &config, StringRef name) {
  if (config.tiedEmbeddings && name == (config.names.head + ".weight").str())
    return "tie_word_embeddings is true: transformers uses the embedding's weight too";
  if (name.ends_with(".rotary_emb.inv_freq"))
    return "computed from config.json, as in transformers";
  if (config.encoder && name.ends_with("embeddings.position_ids"))
    return "the numbers from 0 on";
  if (config.encoder && name.starts_with((config.names.prefix + "pooler.")))
    return "of the pooler, which vectors of pooled rows do not use";
  if (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"))
    return "the causal mask, which transformers makes anew";
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

Error kerf::verifyTensors(const TransformerConfig &config, const Checkpoint &checkpoint,
                          std::vector<IgnoredKey> &ignored) {
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
