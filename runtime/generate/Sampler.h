/// Chooses the next token from a row of logits.
#ifndef KERF_RUNTIME_GENERATE_SAMPLER_H
#define KERF_RUNTIME_GENERATE_SAMPLER_H

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

/// How to choose.
struct Sampling {
  float temperature; ///< 0: the likeliest, the lowest id of equals
  uint32_t topK;     ///< keep the k likeliest; 0: all
  float topP;        ///< of these, the fewest likeliest whose probabilities reach this sum; 0 or ≥ 1: all
};

/// One entry of the scratch of drawToken.
struct Candidate {
  float logit;
  int32_t id;
};

/// Throws KERF_BAD_ARGUMENT on a temperature or top-p that is negative or no number.
void checkSampling(const Sampling &sampling);

/// The token that runtime/schema/Sampling.h defines for these logits and 64 random bits; -1 where the logits hold no
/// number. `sampling` is checked; `scratch` has room for `vocabulary` candidates.
int32_t drawToken(const Sampling &sampling, uint64_t random, const float *logits, uint32_t vocabulary,
                  Candidate *scratch);

} // namespace kerf::rt

#endif
