// config.json: refused with reasons, or sizes within bounds and frequencies that are numbers.
#include "dialects/import/TransformerConfig.h"
#include "test/fuzz/Fuzz.h"

#include <cmath>

using namespace kerf;
using kerf::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  llvm::Expected<JsonDocument> document = JsonDocument::parse("config.json", text);
  std::vector<IgnoredKey> ignored;
  llvm::Expected<TransformerConfig> config =
      document ? readTransformerConfig(*document, ignored) : llvm::Expected<TransformerConfig>(document.takeError());
  if (!config) {
    must(!llvm::toString(config.takeError()).empty(), "a refusal says why");
    return 0;
  }
  must(config->headDim > 0 && (!config->rope || config->headDim % 2 == 0) && config->heads % config->kvHeads == 0,
       "heads are consistent");
  must(std::isfinite(config->normEpsilon) && config->normEpsilon > 0, "epsilon is a number above 0");
  for (int64_t id : config->eos)
    must(id >= 0 && id < config->vocab, "an end token is in the vocabulary");
  // Larger ones differ in nothing but the time they take.
  if (config->rope && config->headDim <= 1024)
    for (float frequency : ropeInverseFrequencies(*config->rope, config->headDim).inverse)
      must(std::isfinite(frequency) && frequency >= 0, "a frequency is a number, not below 0");
  if (config->layers <= 64)
    for (const ExpectedTensor &tensor : expectedTensors(*config))
      for (int64_t extent : tensor.shape)
        must(extent > 0 && extent <= int64_t(1) << 48, "an extent is above 0 and far from overflow");
  return 0;
}
