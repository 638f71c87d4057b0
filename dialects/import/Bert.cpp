//===- Bert.cpp - BertModel -----------------------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  config.names = {.prefix = "bert.",
                  .prefixOptional = true,
                  .embedding = "embeddings.word_embeddings",
                  .positions = "embeddings.position_embeddings",
                  .tokenTypes = "embeddings.token_type_embeddings",
                  .embeddingNorm = "embeddings.LayerNorm",
                  .layers = "encoder.layer",
                  .attentionNorm = "attention.output.LayerNorm",
                  .query = "attention.self.query",
                  .key = "attention.self.key",
                  .value = "attention.self.value",
                  .output = "attention.output.dense",
                  .mlpNorm = "output.LayerNorm",
                  .up = "intermediate.dense",
                  .down = "output.dense"};
  config.encoder = config.normAfter = true;
  config.hidden = reader.integer("hidden_size", kSizes);
  config.intermediate = reader.integer("intermediate_size", kSizes);
  config.layers = reader.integer("num_hidden_layers", kLayerCounts);
  config.heads = config.kvHeads = reader.integer("num_attention_heads", kSizes);
  config.maxPositions = reader.integer("max_position_embeddings", kPositionCounts);
  config.tokenTypes = reader.integerOr("type_vocab_size", 2, kSizes);
  config.windows.assign(config.layers, 0);
  config.norm = NormKind::Layer;
  config.normEpsilon = reader.numberOr("layer_norm_eps", 1e-12, kEpsilons);
  config.qkvBias = config.outputBias = config.mlpBias = true;
  config.gatedMlp = false;
  config.activation = readActivation(reader, "hidden_act", "gelu");
  if (reader.stringOr("position_embedding_type", "absolute") != "absolute")
    reader.wrong("position_embedding_type", "be \"absolute\"");
  for (llvm::StringRef key :
       {"attention_probs_dropout_prob", "hidden_dropout_prob", "classifier_dropout", "gradient_checkpointing"})
    reader.ignore(key, "used in training only");
  for (llvm::StringRef key :
       {"pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"})
    reader.ignore(key, "of the pooler, which vectors of pooled rows do not use");
  for (llvm::StringRef key : {"id2label", "label2id", "tie_word_embeddings"})
    reader.ignore(key, "of a head, which this class does not have");
  reader.ignore("directionality", "written by the first converter of BERT; read by nothing");
  for (llvm::StringRef key : {"is_decoder", "add_cross_attention"})
    reader.allowOnly(key, false, "the model is an encoder", "Kerf runs BERT as an encoder only");
}

const Architecture kerf::bertArchitecture = {"BertModel", "bert", read};
