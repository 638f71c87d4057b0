//===- GPT2.cpp - GPT2LMHeadModel -----------------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  config.names = {.prefix = "transformer.",
                  .prefixOptional = true,
                  .embedding = "wte",
                  .positions = "wpe",
                  .layers = "h",
                  .attentionNorm = "ln_1",
                  .queryKeyValue = "attn.c_attn",
                  .output = "attn.c_proj",
                  .mlpNorm = "ln_2",
                  .up = "mlp.c_fc",
                  .down = "mlp.c_proj",
                  .norm = "ln_f"};
  config.transposedLinears = true;
  config.hidden = reader.integer("n_embd", kSizes);
  config.intermediate = reader.integerOr("n_inner", 4 * config.hidden, kSizes);
  config.layers = reader.integer("n_layer", kLayerCounts);
  config.heads = config.kvHeads = reader.integer("n_head", kSizes);
  config.maxPositions = reader.integer("n_positions", kPositionCounts);
  config.windows.assign(config.layers, 0);
  config.norm = NormKind::Layer;
  config.normEpsilon = reader.numberOr("layer_norm_epsilon", 1e-5, kEpsilons);
  config.scaleScores = reader.booleanOr("scale_attn_weights", true);
  config.scaleScoresByLayer = reader.booleanOr("scale_attn_by_inverse_layer_idx", false);
  config.tiedEmbeddings = reader.booleanOr("tie_word_embeddings", true);
  config.qkvBias = config.outputBias = config.mlpBias = true;
  config.gatedMlp = false;
  config.activation = readActivation(reader, "activation_function", "gelu_new");
  reader.ignore("n_ctx", "the older name of n_positions, which comes first in transformers");
  reader.ignore("reorder_and_upcast_attn", "chooses the order of factors; Kerf computes scores in f32 always");
  for (llvm::StringRef key : {"attn_pdrop", "embd_pdrop", "resid_pdrop"})
    reader.ignore(key, "used in training only");
  for (llvm::StringRef key :
       {"summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"})
    reader.ignore(key, "of a head for choices, which this class does not have");
  for (llvm::StringRef key : {"n_special", "predict_special_tokens"})
    reader.ignore(key, "written by the first converter of GPT-2; read by nothing");
  reader.ignore("task_specific_params", "settings of Python's pipelines");
  reader.allowOnly("add_cross_attention", false, "there is no encoder to attend to",
                   "Kerf does not implement attention to an encoder");
}

const Architecture kerf::gpt2Architecture = {"GPT2LMHeadModel", "gpt2", read};
