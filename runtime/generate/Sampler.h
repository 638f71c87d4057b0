/// Chooses the next token from a row of logits.
#ifndef KERF_RUNTIME_GENERATE_SAMPLER_H
#define KERF_RUNTIME_GENERATE_SAMPLER_H

#include "kerf/abi.h"

#include <cstdint>

namespace kerf::rt {

/// xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled by
/// splitmix64 from the seed, as its authors advise. The sequence of a seed never changes.
class Random {
public:
  /// The generator of a seed.
  explicit Random(uint64_t seed);
  /// The next 64 bits.
  uint64_t next();

private:
  uint64_t state_[4];
};

/// One entry of the scratch of drawToken.
struct Candidate {
  float logit;
  int32_t id;
};

/// The token that runtime/schema/Sampling.h defines for these logits; -1 where they hold no number. The temperature is
/// finite and at least 0, top_p 0 to 1; `scratch` has room for `vocabulary` candidates.
int32_t drawToken(const kerf_sampling &sampling, const float *logits, uint32_t vocabulary, Candidate *scratch);

/// Throws KERF_BAD_ARGUMENT, naming entry `entry` of the step if that is not negative, where the options are not such.
void checkSampling(const kerf_sampling &sampling, int64_t entry = -1);

} // namespace kerf::rt

#endif
