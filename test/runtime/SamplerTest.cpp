// The sampler, its random numbers, and stop strings.
#include "runtime/generate/Sampler.h"
#include "runtime/generate/StopMatcher.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace kerf::rt;

namespace {

// xoshiro256** after splitmix64(0): the first state words are splitmix64's published outputs for seed 0.
TEST(SamplerTest, Generator) {
  Random random(0);
  // rotl(0x6e789e6aa1b965f4 * 5, 7) * 9 with s[1], the second splitmix64 output of seed 0.
  const uint64_t s1 = 0x6e789e6aa1b965f4u;
  const uint64_t five = s1 * 5;
  EXPECT_EQ(random.next(), ((five << 7) | (five >> 57)) * 9);
}

/// The options without the random bits.
struct How {
  float temperature, topP;
  uint32_t topK;
  kerf_sampling with(uint64_t random) const { return {temperature, topP, topK, 0, random}; }
};

// The definition once more, plainly: everything sorted, weights from e^x in f64. The weights may differ from the
// sampler's by 2^-29 of theirs.
struct Reference {
  std::vector<int32_t> kept; ///< by id
  std::vector<double> probability;

  Reference(const How &how, const std::vector<float> &logits) {
    std::vector<int32_t> order;
    for (size_t i = 0; i < logits.size(); ++i)
      if (!std::isnan(logits[i]))
        order.push_back(int32_t(i));
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    if (how.topK && how.topK < order.size())
      order.resize(how.topK);
    const double most = logits[size_t(order[0])];
    auto weight = [&](int32_t id) { return std::exp((double(logits[size_t(id)]) - most) / double(how.temperature)); };
    double total = 0, sum = 0;
    for (int32_t id : order)
      total += weight(id);
    if (how.topP > 0 && how.topP < 1) {
      size_t length = 0;
      while (sum < how.topP * total)
        sum += weight(order[length++]);
      order.resize(length);
    } else {
      sum = total;
    }
    std::sort(order.begin(), order.end());
    kept = order;
    for (int32_t id : kept)
      probability.push_back(weight(id) / sum);
  }
};

int32_t draw(const How &how, uint64_t random, const std::vector<float> &logits) {
  checkSampling(how.with(random));
  std::vector<Candidate> scratch(logits.size());
  return drawToken(how.with(random), logits.data(), uint32_t(logits.size()), scratch.data());
}

TEST(SamplerTest, Greedy) {
  for (const How &how : {How{0, 0, 0}, {1, 0, 1}, {2, 0.5f, 1}}) {
    EXPECT_EQ(draw(how, ~uint64_t(0), {1, 3, 3, 2}), 1) << "the lowest id of equal maxima";
    EXPECT_EQ(draw(how, 0, {NAN, -INFINITY, NAN, -5}), 3);
    EXPECT_EQ(draw(how, 0, {-0.f, 0.f}), 0);
    EXPECT_EQ(draw(how, 0, {NAN, NAN}), -1);
  }
  EXPECT_EQ(draw({1, 0, 0}, ~uint64_t(0), {1, INFINITY, 3, INFINITY}), 1) << "infinite";
  EXPECT_EQ(draw({1, 0, 0}, ~uint64_t(0), {NAN, -INFINITY, -INFINITY}), 1);
  EXPECT_EQ(draw({1, 0, 0}, ~uint64_t(0), {7}), 0);
}

TEST(SamplerTest, Refusals) {
  for (float temperature : {-1.f, NAN, INFINITY})
    EXPECT_THROW(checkSampling({temperature, 0, 0, 0, 0}), Error) << temperature;
  for (float topP : {-0.1f, 1.5f, NAN})
    EXPECT_THROW(checkSampling({1, topP, 0, 0, 0}), Error) << topP;
  EXPECT_THROW(checkSampling({1, 0, 0, 1, 0}), Error) << "reserved";
}

// Pearson's statistic of draws from random logits stays below what chance exceeds once in 10^6: for n degrees of
// freedom n + 4.9 sqrt(2 n) + 13 is above that point of the distribution (Wilson and Hilferty, 1931).
TEST(SamplerTest, Frequencies) {
  std::mt19937 engine(5);
  Random random(7);
  const int draws = 20000;
  for (const How &how :
       {How{1, 0, 0}, {1, 1, 0}, {1, 0, 7}, {0.5f, 0, 0}, {3, 0, 0}, {1, 0.9f, 0}, {1, 0.5f, 0}, {1, 0.7f, 12}})
    for (size_t vocabulary : {2, 3, 16, 50}) {
      std::normal_distribution<float> normal(0, 1);
      std::vector<float> logits(vocabulary);
      for (float &logit : logits)
        logit = normal(engine);
      logits[vocabulary / 2] = NAN;
      const Reference reference(how, logits);
      std::map<int32_t, int> counts;
      for (int i = 0; i < draws; ++i)
        ++counts[draw(how, random.next(), logits)];
      double statistic = 0;
      int counted = 0;
      for (size_t i = 0; i < reference.kept.size(); ++i) {
        const double expected = draws * reference.probability[i];
        statistic += std::pow(counts[reference.kept[i]] - expected, 2) / expected;
        counted += counts[reference.kept[i]];
      }
      EXPECT_EQ(counted, draws) << "a token that is not kept was drawn";
      const double freedom = double(reference.kept.size()) - 1;
      EXPECT_LT(statistic, freedom + 4.9 * std::sqrt(2 * freedom) + 13);
    }
}

// Equal random bits on a grid find each token on its own stretch of [0, 1), in the order of ids.
TEST(SamplerTest, Stretches) {
  const std::vector<float> logits = {std::log(1.f), -INFINITY, std::log(4.f), NAN, std::log(3.f), std::log(2.f)};
  const auto at = [&](const How &how, double point) { return draw(how, uint64_t(std::ldexp(point, 64)), logits); };
  for (double point : {0.0, 0.099})
    EXPECT_EQ(at({1, 0, 0}, point), 0);
  for (double point : {0.101, 0.499})
    EXPECT_EQ(at({1, 0, 0}, point), 2);
  for (double point : {0.501, 0.799})
    EXPECT_EQ(at({1, 0, 0}, point), 4);
  EXPECT_EQ(at({1, 0, 0}, 0.801), 5);
  EXPECT_EQ(draw({1, 0, 0}, ~uint64_t(0), logits), 5);
  EXPECT_EQ(at({1, 0, 2}, 0.57), 2) << "4 of 7";
  EXPECT_EQ(at({1, 0, 2}, 0.58), 4);
  EXPECT_EQ(at({1, 0.5f, 3}, 0.57), 2) << "4 of 9 are less than half";
  EXPECT_EQ(at({1, 0.5f, 3}, 0.58), 4);
  EXPECT_EQ(at({1, 1e-30f, 0}, 0.99), 2) << "at least one";
}

// Equal logits are kept by rising id, and each is as likely.
TEST(SamplerTest, Ties) {
  const std::vector<float> flat(1000, 0.5f);
  for (uint64_t i = 0; i < 900; ++i) {
    const uint64_t middle = (2 * i + 1) * (~uint64_t(0) / 1800);
    EXPECT_EQ(draw({1, 0.9f, 0}, middle, flat), int32_t(i));
    EXPECT_EQ(draw({1, 0, 900}, middle, flat), int32_t(i));
  }
}

// Tokens of a hundred thousand: the tail's share is right, and a sum of the largest weights does not overflow.
TEST(SamplerTest, LargeVocabulary) {
  std::vector<float> logits(128000, -12.f);
  logits[77777] = 0;
  const double share = 1 / (1 + 127999 * std::exp(-12.0)); // 0.56
  const auto point = [&](double p) { return uint64_t(std::ldexp(p, 64)); };
  const double before = 77777 * std::exp(-12.0) * share;
  EXPECT_EQ(draw({1, 0, 0}, point(before + share / 2), logits), 77777);
  EXPECT_EQ(draw({1, 0, 0}, point(before / 2), logits), 38888);
  EXPECT_EQ(draw({1, 0, 0}, ~uint64_t(0), logits), 127999);
  EXPECT_EQ(draw({1e30f, 0, 0}, ~uint64_t(0), logits), 127999);
  EXPECT_EQ(draw({1e-45f, 0, 0}, ~uint64_t(0), logits), 77777);
}

TEST(StopMatcherTest, Pieces) {
  // The same result however the text is cut.
  const std::string text = "aababcab\xc3\xa9<en<end>rest";
  for (const auto &[stops, expected] :
       std::map<std::vector<std::string>, std::string>{{{"<end>"}, "aababcab\xc3\xa9<en"},
                                                       {{"abc", "bca"}, "aab"},
                                                       {{"bab"}, "aa"},
                                                       {{"\xc3\xa9x"}, text},
                                                       {{"rest!", "t?"}, text},
                                                       {{"nothing"}, text}})
    for (size_t piece = 1; piece < text.size(); ++piece) {
      StopMatcher matcher(stops);
      std::string out;
      for (size_t at = 0; at < text.size(); at += piece)
        out += matcher.put(text.substr(at, piece));
      const bool stopped = matcher.stopped();
      out += matcher.flush();
      EXPECT_EQ(out, expected) << piece;
      EXPECT_EQ(stopped, expected != text);
    }
}

} // namespace
