#include "tools/kerf-run/Statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kerf::tools {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

bool allFinite(const float *values, size_t count) {
  // A sum of zeros, unless one is infinite or NaN.
  float sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += values[i] * 0.0f;
  return sum == 0;
}

double logGrowth() {
  static const double growth = std::log((1 + QuantileSketch::kRelativeError) / (1 - QuantileSketch::kRelativeError));
  return growth;
}

} // namespace

void BlockMean::Sums::addBlock(double blockSum, uint64_t blockTokens) {
  const double n = double(blockTokens);
  sum += blockSum;
  sumSquared += blockSum * blockSum;
  sumTokens += blockSum * n;
  tokensSquared += n * n;
  tokens += blockTokens;
  ++blocks;
}

void BlockMean::add(double sum, uint64_t tokens) {
  sum_ += sum;
  tokens_ += tokens;
  if (tokens_ < kBlockTokens)
    return;
  closed_.addBlock(sum_, tokens_);
  sum_ = 0;
  tokens_ = 0;
}

BlockMean::Sums BlockMean::all() const {
  Sums sums = closed_;
  if (tokens_)
    sums.addBlock(sum_, tokens_);
  return sums;
}

double BlockMean::error() const {
  const Sums sums = all();
  if (sums.blocks < 2)
    return kNone;
  const double m = double(sums.blocks), mu = sums.mean();
  // Sum over blocks of (sum - mu * tokens)^2.
  const double squares = sums.sumSquared - 2 * mu * sums.sumTokens + mu * mu * sums.tokensSquared;
  return std::sqrt(std::max(0.0, squares) * m / (m - 1)) / double(sums.tokens);
}

void QuantileSketch::add(double value) {
  size_t bin = 0;
  if (value > kLeast)
    bin = size_t(std::max(1.0, std::ceil(std::log(value / kLeast) / logGrowth())));
  if (bin >= bins_.size())
    bins_.resize(bin + 1);
  ++bins_[bin];
  ++count_;
  most_ = std::max(most_, value);
}

double QuantileSketch::quantile(double q) const {
  if (!count_)
    return kNone;
  const uint64_t rank = uint64_t(q * double(count_ - 1));
  uint64_t seen = 0;
  size_t bin = 0;
  while ((seen += bins_[bin]) <= rank)
    ++bin;
  // The middle of the bin, from which its ends are kRelativeError away.
  return bin ? kLeast * std::exp(double(bin) * logGrowth()) * (1 - kRelativeError) : 0;
}

double logSumExp(const float *logits, size_t count) {
  if (!allFinite(logits, count))
    return kNone;
  const double most = *std::max_element(logits, logits + count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += std::exp(double(logits[i]) - most);
  return most + std::log(sum);
}

Divergence divergence(const float *p, const float *q, size_t count) {
  Divergence result;
  result.logSumQ = logSumExp(q, count);
  result.bestP = int32_t(std::max_element(p, p + count) - p);
  result.bestQ = int32_t(std::max_element(q, q + count) - q);
  if (!allFinite(p, count)) {
    result.logSumP = kNone;
    return result;
  }
  const double most = p[result.bestP];
  double sum = 0, weighted = 0;
  for (size_t i = 0; i < count; ++i) {
    const double weight = std::exp(double(p[i]) - most), difference = double(p[i]) - double(q[i]);
    sum += weight;
    weighted += weight * difference;
    result.largest = std::max(result.largest, std::abs(difference));
  }
  result.logSumP = most + std::log(sum);
  // Never negative but for rounding.
  result.kl = std::max(0.0, weighted / sum - (result.logSumP - result.logSumQ));
  return result;
}

} // namespace kerf::tools
