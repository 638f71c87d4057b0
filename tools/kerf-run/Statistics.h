/// Statistics of a text's tokens, in bounded memory (docs/quality.md).
#ifndef KERF_TOOLS_KERFRUN_STATISTICS_H
#define KERF_TOOLS_KERFRUN_STATISTICS_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kerf::tools {

/// Mean over tokens and its standard error, with blocks of consecutive tokens as the independent units: the ratio
/// estimator of a cluster sample (Cochran, "Sampling Techniques", 1977, section 6.3), for blocks of unequal size.
class BlockMean {
public:
  /// A block ends with the window that makes it at least this long.
  static constexpr uint64_t kBlockTokens = 512;

  /// The sum over the next `tokens` tokens, a window's.
  void add(double sum, uint64_t tokens);
  /// Mean of all tokens; NaN without any.
  double mean() const { return all().mean(); }
  /// Standard error of the mean; NaN with fewer than two blocks.
  double error() const;
  uint64_t tokens() const { return all().tokens; }
  uint64_t blocks() const { return all().blocks; }

private:
  struct Sums {
    double sum = 0, sumSquared = 0, sumTokens = 0, tokensSquared = 0;
    uint64_t tokens = 0, blocks = 0;
    void addBlock(double blockSum, uint64_t blockTokens);
    double mean() const { return sum / double(tokens); }
  };
  /// The unfinished block counts as one.
  Sums all() const;

  Sums closed_;
  double sum_ = 0; // of the block that is not full yet
  uint64_t tokens_ = 0;
};

/// Quantiles of values that are not negative, within a relative error: DDSketch (Masson, Rim, Lee, "DDSketch: a fast
/// and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019). Bin i > 0 holds the values in
/// (kLeast * g^(i-1), kLeast * g^i] with g = (1 + a) / (1 - a) and a = kRelativeError; bin 0 those up to kLeast, which
/// count as 0.
class QuantileSketch {
public:
  static constexpr double kRelativeError = 1e-3, kLeast = 1e-15;

  /// A value; negative ones count as 0.
  void add(double value);
  /// The value of rank floor(q * (n - 1)) in ascending order, from 0; NaN when there are none. q is in 0 to 1.
  double quantile(double q) const;
  /// The largest, exactly; 0 when there are none.
  double most() const { return most_; }

private:
  std::vector<uint64_t> bins_;
  uint64_t count_ = 0;
  double most_ = 0;
};

/// The natural logarithm of the sum of exponentials, in f64; NaN when a logit is not finite.
double logSumExp(const float *logits, size_t count);

/// How the next-token distribution q of one model differs from p of another.
struct Divergence {
  double logSumP = 0, logSumQ = 0; ///< logSumExp of each; NaN when a logit is not finite
  double kl = 0;                   ///< sum of p * (ln p - ln q), in nats
  double largest = 0;              ///< largest |difference| of two logits of one token
  int32_t bestP = 0, bestQ = 0;    ///< tokens of the largest logits; the lowest of equals
};

/// Compares two rows of logits, in f64.
Divergence divergence(const float *p, const float *q, size_t count);

} // namespace kerf::tools

#endif
