//===- Qwen3.cpp - Qwen3ForCausalLM ---------------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  readLlamaKeys(reader, config);
  config.qkNorm = true;
  config.qkvBias = config.outputBias = reader.booleanOr("attention_bias", false);
  // The class does not derive it from the hidden size.
  if (!config.headDim)
    config.headDim = 128;
  readQwenWindows(reader, config);
}

const Architecture kerf::qwen3Architecture = {"Qwen3ForCausalLM", "qwen3", read};
