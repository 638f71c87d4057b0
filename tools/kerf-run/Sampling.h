/// How new tokens are chosen: the options that generate and chat share.
#ifndef KERF_TOOLS_KERFRUN_SAMPLING_H
#define KERF_TOOLS_KERFRUN_SAMPLING_H

#include "tools/runtime-support/CommandLine.h"

#include <cstdint>

namespace kerf::tools {

/// What a command that makes tokens asks for; zero has the meaning that kerf_generate_options gives it.
struct SamplingOptions : RunOptions {
  uint32_t maxTokens = 0, topK = 0, context = 0;
  float temperature = 0, topP = 0;
  uint64_t seed = 0;
  bool sample = false;
};

/// Adds --max-tokens (described by `most`), --temperature, --top-k, --top-p, --sample and --seed.
void addSamplingOptions(CLI::App &command, SamplingOptions &options, const char *most);

/// `options` for kerf_generate, which still want a prompt. Throws std::runtime_error with the API's message.
kerf_generate_options samplingOf(const Model &model, const SamplingOptions &options);

} // namespace kerf::tools

#endif
