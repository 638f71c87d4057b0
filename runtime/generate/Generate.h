/// The high-level path: prompt in, text out.
#ifndef KERF_RUNTIME_GENERATE_GENERATE_H
#define KERF_RUNTIME_GENERATE_GENERATE_H

#include "runtime/context/Context.h"

#include <string>
#include <vector>

namespace kerf::rt {

/// What a generation made.
struct Generated {
  kerf_finish finish = KERF_FINISH_LENGTH;
  std::string text;
  std::vector<int32_t> ids;
  uint32_t promptTokens = 0, decodeSteps = 0;
  uint64_t promptNs = 0, decodeNs = 0, firstNs = 0;
};

/// Runs kerf_generate; throws Error, and then a sequence given in the options is as it was.
Generated generate(Context &context, const kerf_generate_options &options);

} // namespace kerf::rt

#endif
