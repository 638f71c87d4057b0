//===- Mistral.cpp - MistralForCausalLM -----------------------------------===//

#include "dialects/import/TransformerConfig.h"

using namespace kerf;

static void read(ObjectReader &reader, TransformerConfig &config) {
  readLlamaKeys(reader, config);
  int64_t window = readWindow(reader);
  setWindows(reader, config, window, 0);
  // The class does not look at layer_types; a checkpoint that means them is of another.
  for (int64_t layer : config.windows)
    if (layer != window)
      return reader.problem(
          "key 'layer_types' must be \"sliding_attention\" for all layers where sliding_window is not "
          "null; a model with layers of both kinds is a MinistralForCausalLM");
}

const Architecture kerf::mistralArchitecture = {"MistralForCausalLM", "mistral", read};
