#include "runtime/generate/Sampler.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace kerf::rt {
namespace {

bool likelier(const Candidate &a, const Candidate &b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

} // namespace

Random::Random(uint64_t seed) {
  for (uint64_t &word : state_) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::uniform() { return double(next() >> 11) * 0x1.0p-53; }

Sampler::Sampler(const Sampling &sampling, Candidate *scratch, uint32_t vocabulary)
    : sampling_(sampling), scratch_(scratch), vocabulary_(vocabulary), random_(sampling.seed) {
  if (!(sampling.temperature >= 0) || std::isinf(sampling.temperature))
    fail(KERF_BAD_ARGUMENT, "temperature must be a number of at least 0, got ", sampling.temperature);
  if (!(sampling.topP >= 0 && sampling.topP <= 1))
    fail(KERF_BAD_ARGUMENT, "top_p must be 0 to 1, got ", sampling.topP);
}

int32_t Sampler::greedy(const float *logits) const {
  int32_t best = -1;
  for (uint32_t i = 0; i < vocabulary_; ++i)
    if (best < 0 ? !std::isnan(logits[i]) : logits[i] > logits[best])
      best = int32_t(i);
  if (best < 0)
    fail(KERF_FAILED, "the logits hold no number");
  return best;
}

int32_t Sampler::choose(const float *logits) {
  const int32_t best = greedy(logits);
  if (sampling_.temperature == 0 || sampling_.topK == 1 || std::isinf(logits[best]))
    return best;
  const bool keepsAll =
      (sampling_.topK == 0 || sampling_.topK >= vocabulary_) && (sampling_.topP == 0 || sampling_.topP >= 1);
  return keepsAll ? fromAll(logits, logits[best]) : fromFew(logits, logits[best]);
}

int32_t Sampler::fromAll(const float *logits, float most) {
  auto weight = [&](uint32_t i) {
    return std::isnan(logits[i]) ? 0 : std::exp((double(logits[i]) - most) / sampling_.temperature);
  };
  double sum = 0;
  for (uint32_t i = 0; i < vocabulary_; ++i)
    sum += weight(i);
  const double target = random_.uniform() * sum;
  double reached = 0;
  int32_t last = -1;
  for (uint32_t i = 0; i < vocabulary_; ++i) {
    const double w = weight(i);
    if (w == 0)
      continue;
    reached += w;
    last = int32_t(i);
    if (reached > target)
      return last;
  }
  return last;
}

int32_t Sampler::fromFew(const float *logits, float most) {
  Candidate *end = scratch_;
  for (uint32_t i = 0; i < vocabulary_; ++i)
    if (!std::isnan(logits[i]))
      *end++ = {logits[i], int32_t(i)};
  if (sampling_.topK && sampling_.topK < uint32_t(end - scratch_)) {
    std::nth_element(scratch_, scratch_ + sampling_.topK, end, likelier);
    end = scratch_ + sampling_.topK;
  }
  auto weight = [&](const Candidate &c) { return std::exp((double(c.logit) - most) / sampling_.temperature); };

  // The nucleus is usually a few tokens of many: sort prefixes of growing length until it lies within.
  const bool nucleus = sampling_.topP > 0 && sampling_.topP < 1;
  double total = 0;
  if (nucleus)
    for (const Candidate *c = scratch_; c < end; ++c)
      total += weight(*c);
  Candidate *sorted = scratch_, *kept = end;
  double sum = 0;
  for (ptrdiff_t length = nucleus ? 64 : end - scratch_; sorted < end && kept == end; length *= 8) {
    Candidate *until = end - sorted > length ? sorted + length : end;
    std::partial_sort(sorted, until, end, likelier);
    for (; sorted < until; ++sorted) {
      sum += weight(*sorted);
      if (nucleus && sum >= sampling_.topP * total) {
        kept = ++sorted;
        break;
      }
    }
    if (sorted == end || kept != end)
      break;
  }
  const double target = random_.uniform() * sum;
  double reached = 0;
  for (const Candidate *c = scratch_; c < kept; ++c) {
    reached += weight(*c);
    if (reached > target)
      return c->id;
  }
  return kept[-1].id;
}

} // namespace kerf::rt
