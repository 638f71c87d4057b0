//===- TransformerConfig.h - one description of all models ------*- C++ -*-===//
//
// What config.json says about a decoder-only or encoder-only transformer, whichever architecture wrote it. Each
// architecture has one short file (Llama.cpp, Qwen2.cpp, GPT2.cpp, …) that reads its own keys and names its tensors;
// keys that all share are read in TransformerConfig.cpp.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_TRANSFORMERCONFIG_H
#define KERF_DIALECTS_IMPORT_TRANSFORMERCONFIG_H

#include "dialects/import/Json.h"
#include "dialects/import/Rope.h"
#include "dialects/import/SafeTensors.h"

#include "llvm/ADT/ArrayRef.h"

#include <optional>
#include <string>
#include <vector>

namespace kerf {

class Checkpoint;

/// The function between the two halves of the MLP. `GeluTanh` is the approximation by tanh.
enum class MlpActivation { Silu, Gelu, GeluTanh, Relu };

/// `Rms` divides by the root mean square; `Layer` subtracts the mean, divides by the deviation and adds a bias.
enum class NormKind { Rms, Layer };

/// What a checkpoint calls the parts of a model, without the `.weight` and `.bias` behind each. Those of a layer come
/// behind `<prefix><layers>.<index>.`, the others but `head` behind `<prefix>`.
struct TensorNames {
  std::string prefix = "model.";
  /// The whole prefix may be missing, as where the model was saved without its head.
  bool prefixOptional = false;
  llvm::StringRef embedding = "embed_tokens", positions = "", tokenTypes = "";
  /// Empty where the embedding has no norm.
  llvm::StringRef embeddingNorm = "";
  llvm::StringRef layers = "layers";
  llvm::StringRef attentionNorm = "input_layernorm";
  llvm::StringRef query = "self_attn.q_proj", key = "self_attn.k_proj", value = "self_attn.v_proj";
  /// One tensor in place of the three; empty where they are three.
  llvm::StringRef queryKeyValue = "";
  llvm::StringRef output = "self_attn.o_proj", queryNorm = "self_attn.q_norm", keyNorm = "self_attn.k_norm";
  llvm::StringRef mlpNorm = "post_attention_layernorm";
  llvm::StringRef gate = "mlp.gate_proj", up = "mlp.up_proj", down = "mlp.down_proj";
  llvm::StringRef norm = "norm", head = "lm_head";
};

/// A decoder: embedding, `layers` times (norm, attention, norm, MLP), norm, logits; or an encoder: embedding and norm,
/// `layers` times (attention, norm, MLP, norm), one vector for each text.
struct TransformerConfig {
  /// Class that transformers loads it with: `LlamaForCausalLM`.
  std::string architecture;
  /// What its tensors are called.
  TensorNames names;
  /// The matrices of layers are stored as `[in features, out features]`.
  bool transposedLinears = false;
  /// Every token sees its whole text, and what comes out is a vector for each text.
  bool encoder = false;
  /// Norms follow the sums at the end of attention and MLP, in place of what goes into them.
  bool normAfter = false;
  /// Rows of the table whose first one is added to the embedding of every token of a text; 0 where there is none.
  int64_t tokenTypes = 0;
  /// Rows of the embedding.
  int64_t vocab = 0;
  /// Width of the residual stream.
  int64_t hidden = 0;
  /// Width between the two halves of the MLP.
  int64_t intermediate = 0;
  /// Number of layers.
  int64_t layers = 0;
  /// Query heads.
  int64_t heads = 0;
  /// Key and value heads; divides `heads`.
  int64_t kvHeads = 0;
  /// Elements of one head; even. Need not be `hidden / heads`.
  int64_t headDim = 0;
  /// Longest sequence the model was made for.
  int64_t maxPositions = 0;
  /// What the norms are.
  NormKind norm = NormKind::Rms;
  /// Added to the mean square or the variance in every norm.
  double normEpsilon = 0;
  /// How positions enter queries and keys; absent where a learned vector for each position is added to the embedding.
  std::optional<RopeConfig> rope;
  /// Scores are divided by the root of `headDim`, and by the number of the layer, from 1.
  bool scaleScores = true, scaleScoresByLayer = false;
  /// The logits use the embedding's weight.
  bool tiedEmbeddings = false;
  /// The projections to queries, keys and values add a bias.
  bool qkvBias = false;
  /// The projection out of attention adds a bias.
  bool outputBias = false;
  /// The MLP's projections add a bias.
  bool mlpBias = false;
  /// Queries and keys pass an RMS norm over each head, before rope.
  bool qkNorm = false;
  /// By layer: how many positions a row sees, its own and those before it; 0 where it sees all of them.
  std::vector<int64_t> windows;
  /// The MLP is `down(f(gate x) * up x)`, else `down(f(up x))`.
  bool gatedMlp = true;
  /// The MLP's function.
  MlpActivation activation = MlpActivation::Silu;
  /// Begin-of-text token.
  std::optional<int64_t> bos;
  /// Tokens that end a text.
  std::vector<int64_t> eos;
  /// Padding token.
  std::optional<int64_t> pad;
  /// Type that transformers computes in by default; nothing where config.json does not say.
  std::optional<DType> dtype;
};

/// One architecture: how its config.json differs from what all share.
struct Architecture {
  /// Class name in `architectures`.
  llvm::StringLiteral name;
  /// `model_type` that goes with it.
  llvm::StringLiteral modelType;
  /// Reads the keys of this architecture only into a configuration whose shared part is filled.
  void (*read)(ObjectReader &reader, TransformerConfig &config);
};

/// Llama 1 to 3 and what copies it: SmolLM2, …
extern const Architecture llamaArchitecture;
/// Mistral: every layer sees through one window, or none does.
extern const Architecture mistralArchitecture;
/// Ministral: the window is a matter of the layer.
extern const Architecture ministralArchitecture;
/// Qwen2 and Qwen2.5: bias on queries, keys and values.
extern const Architecture qwen2Architecture;
/// Qwen3: norms on queries and keys.
extern const Architecture qwen3Architecture;
/// GPT-2: learned positions, layer norms, one transposed projection to queries, keys and values.
extern const Architecture gpt2Architecture;
/// BERT as an encoder of texts.
extern const Architecture bertArchitecture;

/// Reads `document`, a config.json, with the reader its `architectures` names. Every key is read, added to `ignored`
/// with a reason, or refused by name; all problems come in one error.
llvm::Expected<TransformerConfig> readTransformerConfig(const JsonDocument &document, std::vector<IgnoredKey> &ignored);

/// `sliding_window` as a number of positions, 0 for null; transformers' default of 4096 where it is not stated.
int64_t readWindow(ObjectReader &reader);

/// Reads the keys by which Qwen2 and Qwen3 give some of their layers a window.
void readQwenWindows(ObjectReader &reader, TransformerConfig &config);

/// Gives the layers that `layer_types` calls sliding a window, or, where that key is absent, those from `first` on.
/// A window of 0 is none, and then no layer may be sliding.
void setWindows(ObjectReader &reader, TransformerConfig &config, int64_t window, int64_t first);
/// Reads the sizes, norms, rope and activation by the keys that Llama introduced.
void readLlamaKeys(ObjectReader &reader, TransformerConfig &config);

/// Bounds of sizes far above any model, so that their products stay within 64 bits.
inline constexpr IntRange kSizes{1, 1 << 24}, kLayerCounts{1, 1 << 16}, kPositionCounts{1, 1 << 30};
/// Bounds of what norms add.
inline constexpr NumberRange kEpsilons{0, 1, /*minExclusive=*/true};

/// The activation that `key` names, `fallback` where it is absent.
MlpActivation readActivation(ObjectReader &reader, llvm::StringRef key, llvm::StringRef fallback);

/// A weight that an architecture needs.
struct ExpectedTensor {
  /// Its name in the checkpoint.
  std::string name;
  /// Its shape.
  llvm::SmallVector<int64_t, 2> shape;
  /// A linear multiplies with it, so its type decides what can be computed in.
  bool multiplied = false;
};

/// Takes the prefix out of `config.names` where it is optional and the checkpoint has the embedding without it.
void resolvePrefix(TransformerConfig &config, const Checkpoint &checkpoint);

/// All weights of `config`, in the order the model uses them.
std::vector<ExpectedTensor> expectedTensors(const TransformerConfig &config);

/// Compares the tensors of `checkpoint` with `expectedTensors(config)`. Missing, mis-shaped, unreadable and extra ones
/// are named in one error; extra ones that have no effect are added to `ignored`.
llvm::Error verifyTensors(const TransformerConfig &config, const Checkpoint &checkpoint,
                          std::vector<IgnoredKey> &ignored);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_TRANSFORMERCONFIG_H
