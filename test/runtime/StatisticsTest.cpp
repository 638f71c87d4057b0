// The statistics of kerf-run against sums written out.
#include "tools/kerf-run/Statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

using namespace kerf::tools;

namespace {

TEST(BlockMean, is_the_ratio_estimator_over_blocks) {
  // Windows of 300 tokens: blocks of 600, 600 and 300.
  const double sums[] = {310, 290, 450, 150, 330};
  BlockMean mean;
  EXPECT_TRUE(std::isnan(mean.mean()));
  for (const double sum : sums) {
    mean.add(sum, 300);
    if (mean.blocks() < 2) {
      EXPECT_TRUE(std::isnan(mean.error()));
    }
  }
  EXPECT_EQ(mean.tokens(), 1500u);
  EXPECT_EQ(mean.blocks(), 3u);
  const double mu = 1530.0 / 1500;
  EXPECT_DOUBLE_EQ(mean.mean(), mu);
  const double squares = std::pow(600 - 600 * mu, 2) + std::pow(600 - 600 * mu, 2) + std::pow(330 - 300 * mu, 2);
  EXPECT_NEAR(mean.error(), std::sqrt(squares * 3 / 2) / 1500, 1e-12);
}

// The reason for blocks: where neighbours are alike, tokens taken for independent claim too small an error.
TEST(BlockMean, error_covers_the_truth_when_neighbours_correlate) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  unsigned covered = 0, coveredByTokens = 0;
  constexpr unsigned kTrials = 400, kWindows = 60, kWindow = 512;
  for (unsigned trial = 0; trial < kTrials; ++trial) {
    BlockMean mean;
    double squares = 0, sum = 0, state = normal(random);
    for (unsigned w = 0; w < kWindows; ++w) {
      double windowSum = 0;
      for (unsigned i = 0; i < kWindow; ++i) {
        state = 0.9 * state + std::sqrt(1 - 0.81) * normal(random);
        windowSum += state;
        squares += state * state;
      }
      sum += windowSum;
      mean.add(windowSum, kWindow);
    }
    const double n = kWindows * kWindow;
    covered += std::abs(mean.mean()) < 1.96 * mean.error();
    coveredByTokens += std::abs(sum / n) < 1.96 * std::sqrt(squares / n / n);
  }
  // 95 %, less what 60 blocks cost, within 3.5 standard deviations of 400 trials.
  EXPECT_GT(covered, 0.90 * kTrials);
  EXPECT_LT(coveredByTokens, 0.60 * kTrials);
}

TEST(QuantileSketch, is_within_its_relative_error) {
  std::mt19937 random(1);
  std::lognormal_distribution<double> draw(-9, 3);
  for (const size_t count : {1u, 2u, 3u, 100u, 20000u}) {
    QuantileSketch sketch;
    std::vector<double> values;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(i % 10 == 3 ? 0 : draw(random));
      sketch.add(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 1.0}) {
      const double exact = values[size_t(q * double(count - 1))];
      EXPECT_NEAR(sketch.quantile(q), exact, 1.0001 * QuantileSketch::kRelativeError * exact) << count << " " << q;
    }
    EXPECT_EQ(sketch.most(), values.back());
  }
  EXPECT_TRUE(std::isnan(QuantileSketch().quantile(0.5)));
  QuantileSketch negative;
  negative.add(-1e-18);
  EXPECT_EQ(negative.quantile(0.5), 0);
}

TEST(Divergence, is_the_sum_written_out) {
  const std::vector<float> p = {1.5f, -2, 0.25f, 3, 3}, q = {1, -2, 4, 2, 0.5f};
  long double sumP = 0, sumQ = 0, kl = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    sumP += std::exp((long double)p[i]);
    sumQ += std::exp((long double)q[i]);
  }
  for (size_t i = 0; i < p.size(); ++i)
    kl += std::exp((long double)p[i]) / sumP * ((p[i] - std::log(sumP)) - (q[i] - std::log(sumQ)));
  const Divergence d = divergence(p.data(), q.data(), p.size());
  EXPECT_NEAR(d.logSumP, double(std::log(sumP)), 1e-14);
  EXPECT_NEAR(d.logSumQ, double(std::log(sumQ)), 1e-14);
  EXPECT_NEAR(d.kl, double(kl), 1e-14);
  EXPECT_EQ(d.largest, 3.75);
  EXPECT_EQ(d.bestP, 3); // the lowest of equals
  EXPECT_EQ(d.bestQ, 2);
  EXPECT_EQ(logSumExp(p.data(), p.size()), d.logSumP);
  const Divergence same = divergence(p.data(), p.data(), p.size());
  EXPECT_EQ(same.kl, 0);
  EXPECT_EQ(same.largest, 0);
}

// Logits far from zero neither overflow nor vanish, and those that are no numbers are told.
TEST(Divergence, of_extreme_logits) {
  const std::vector<float> high = {3e38f, 3e38f}, low = {-3e38f, 3e38f};
  EXPECT_DOUBLE_EQ(logSumExp(high.data(), 2), double(3e38f));
  EXPECT_TRUE(std::isfinite(divergence(high.data(), low.data(), 2).kl));
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> some = {1, bad}, good = {1, 2};
    EXPECT_TRUE(std::isnan(logSumExp(some.data(), 2)));
    EXPECT_TRUE(std::isnan(divergence(some.data(), good.data(), 2).logSumP));
    EXPECT_TRUE(std::isnan(divergence(good.data(), some.data(), 2).logSumQ));
  }
}

} // namespace
