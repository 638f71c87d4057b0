//===- Ministral.cpp - MinistralForCausalLM -------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  readLlamaKeys(reader, config);
  // The class makes a mask for windows whether or not a layer has one, and derives no head_dim.
  int64_t window = readWindow(reader);
  if (!window)
    reader.problem("key 'sliding_window' must be a number, got null");
  if (!config.headDim)
    reader.problem("key 'head_dim' must be a number, got none");
  setWindows(reader, config, window, 0);
}

const Architecture kerf::ministralArchitecture = {"MinistralForCausalLM", "ministral", read};
