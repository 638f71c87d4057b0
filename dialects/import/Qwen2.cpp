//===- Qwen2.cpp - Qwen2ForCausalLM ---------------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  readLlamaKeys(reader, config);
  // The class has these biases always; no key of config.json switches them.
  config.qkvBias = true;
  readQwenWindows(reader, config);
  reader.allowOnly("use_mrope", false, "positions are one number, as in every text model",
                   "positions of several axes belong to vision models");
}

const Architecture kerf::qwen2Architecture = {"Qwen2ForCausalLM", "qwen2", read};
