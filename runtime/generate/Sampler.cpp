#include "runtime/generate/Sampler.h"

#include "runtime/schema/Sampling.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace kerf::rt {
namespace {

bool likelier(const Candidate &a, const Candidate &b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// The greatest that is a number, or -infinity: in lanes, so that it becomes vector instructions.
float greatest(const float *logits, uint32_t count) {
  constexpr uint32_t lanes = 16;
  float most[lanes];
  std::fill_n(most, lanes, -std::numeric_limits<float>::infinity());
  uint32_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (uint32_t lane = 0; lane < lanes; ++lane)
      most[lane] = logits[i + lane] > most[lane] ? logits[i + lane] : most[lane];
  for (; i < count; ++i)
    most[0] = logits[i] > most[0] ? logits[i] : most[0];
  return *std::max_element(most, most + lanes);
}

// Step 1 of the definition.
class Weights {
public:
  Weights(float most, float temperature, uint32_t vocabulary)
      : most_(most), scale_(schema::kSampleScale / double(temperature)), shift_(schema::sampleShift(vocabulary)) {}

  uint64_t operator()(float logit) const {
    const double u = (most_ - double(logit)) * scale_;
    if (!(u < schema::kSampleFar)) // NaN too
      return 0;
    const uint64_t q = uint64_t(int64_t(u)), f = q & 0xffffffff;
    uint64_t h = 0;
    for (uint32_t k = std::size(schema::kSampleSeries); k-- > 0;)
      h = f * (schema::kSampleSeries[k] - h) >> 32;
    return ((uint64_t(1) << 32) - h) << 30 >> std::min<uint64_t>((q >> 32) + shift_, 63);
  }

private:
  double most_, scale_;
  uint32_t shift_;
};

// The last of the kept: step 2. What comes behind every candidate where all are kept.
Candidate lastKept(const kerf_sampling &sampling, const Weights &weight, const float *logits, uint32_t vocabulary,
                   Candidate *scratch) {
  const Candidate all = {-std::numeric_limits<float>::infinity(), std::numeric_limits<int32_t>::max()};
  const bool few = sampling.top_k && sampling.top_k < vocabulary, nucleus = sampling.top_p > 0 && sampling.top_p < 1;
  if (!few && !nucleus)
    return all;
  Candidate *end = scratch;
  for (uint32_t i = 0; i < vocabulary; ++i)
    if (!std::isnan(logits[i]))
      *end++ = {logits[i], int32_t(i)};
  const bool cut = few && sampling.top_k < end - scratch;
  if (cut) {
    std::nth_element(scratch, scratch + sampling.top_k - 1, end, likelier);
    end = scratch + sampling.top_k;
  }
  if (!nucleus)
    return cut ? end[-1] : all;

  uint64_t total = 0, sum = 0;
  for (const Candidate *c = scratch; c < end; ++c)
    total += weight(c->logit);
  const uint64_t needed = std::max<uint64_t>(1, uint64_t(std::ceil(double(sampling.top_p) * double(total))));
  // The nucleus is usually a few tokens of many: sort prefixes of growing length until it lies within.
  Candidate *sorted = scratch;
  for (ptrdiff_t length = 64;; length *= 8) {
    Candidate *until = end - sorted > length ? sorted + length : end;
    std::partial_sort(sorted, until, end, likelier);
    for (; sorted < until; ++sorted)
      if ((sum += weight(sorted->logit)) >= needed)
        return *sorted;
  }
}

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

void checkSampling(const kerf_sampling &sampling, int64_t entry) {
  const auto where = [&] { return entry < 0 ? std::string() : " of entry " + std::to_string(entry); };
  if (!(sampling.temperature >= 0) || std::isinf(sampling.temperature))
    fail(KERF_BAD_ARGUMENT, "temperature", where(), " must be a number of at least 0, got ", sampling.temperature);
  if (!(sampling.top_p >= 0 && sampling.top_p <= 1))
    fail(KERF_BAD_ARGUMENT, "top_p", where(), " must be 0 to 1, got ", sampling.top_p);
  if (sampling.reserved)
    fail(KERF_BAD_ARGUMENT, "reserved field of the sampling", where(), " must be 0, got ", sampling.reserved);
}

int32_t drawToken(const kerf_sampling &sampling, const float *logits, uint32_t vocabulary, Candidate *scratch) {
  const float most = greatest(logits, vocabulary);
  int32_t best = 0;
  while (best < int32_t(vocabulary) && logits[best] != most)
    ++best;
  if (best == int32_t(vocabulary))
    return -1; // all NaN
  if (sampling.temperature == 0 || sampling.top_k == 1 || std::isinf(most))
    return best;

  const Weights weight(most, sampling.temperature, vocabulary);
  const Candidate last = lastKept(sampling, weight, logits, vocabulary, scratch);
  const auto weightOfKept = [&](uint32_t i) { return likelier(last, {logits[i], int32_t(i)}) ? 0 : weight(logits[i]); };
  uint64_t sum = 0;
  for (uint32_t i = 0; i < vocabulary; ++i)
    sum += weightOfKept(i);
  const uint64_t target = uint64_t((unsigned __int128)sampling.random * sum >> 64); // below the sum
  uint32_t id = 0;
  for (uint64_t reached = weightOfKept(0); reached <= target; reached += weightOfKept(id))
    ++id;
  return int32_t(id);
}

} // namespace kerf::rt
