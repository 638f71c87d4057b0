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
  /// Uniform in [0, 1): the upper 53 bits of next() times 2^-53.
  double uniform();

private:
  uint64_t state_[4];
};

/// How to choose.
struct Sampling {
  float temperature; ///< 0: the likeliest, the lowest id of equals
  uint32_t topK;     ///< keep the k likeliest; 0: all
  float topP;        ///< of these, the fewest likeliest whose probabilities reach this sum; 0 or ≥ 1: all
  uint64_t seed;
};

/// One entry of the sampler's scratch.
struct Candidate {
  float logit;
  int32_t id;
};

/// Draws tokens. Candidates are ordered by falling logit, then by rising id; probabilities are summed in f64 in that
/// order, or in the order of ids when all are kept, so that a seed gives the same tokens everywhere.
class Sampler {
public:
  /// `scratch` has room for `vocabulary` candidates and outlives this. Throws KERF_BAD_ARGUMENT on a temperature or
  /// top-p that is negative or no number.
  Sampler(const Sampling &sampling, Candidate *scratch, uint32_t vocabulary);

  /// The next token. NaN never wins; throws KERF_FAILED when there is nothing else.
  int32_t choose(const float *logits);

private:
  int32_t greedy(const float *logits) const;
  int32_t fromAll(const float *logits, float most);
  int32_t fromFew(const float *logits, float most);

  Sampling sampling_;
  Candidate *scratch_;
  uint32_t vocabulary_;
  Random random_;
};

} // namespace kerf::rt

#endif
