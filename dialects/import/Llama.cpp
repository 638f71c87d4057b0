//===- Llama.cpp - LlamaForCausalLM ---------------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  readLlamaKeys(reader, config);
  config.qkvBias = config.outputBias = reader.booleanOr("attention_bias", false);
  config.mlpBias = reader.booleanOr("mlp_bias", false);
  setWindows(reader, config, 0, 0);
  reader.ignore("pretraining_tp", "only says how products were cut in pretraining; the sums are the same");
  reader.ignore("is_llama_config", "written by the converter of SmolLM2; read by nothing");
  reader.allowOnly("rope_interleaved", false, "halves of a head are paired, as in transformers",
                   "Kerf pairs the halves of a head, as LlamaForCausalLM does");
}

const Architecture kerf::llamaArchitecture = {"LlamaForCausalLM", "llama", read};
