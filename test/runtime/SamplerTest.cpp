// The sampler, its random numbers, and stop strings.
#include "runtime/generate/Sampler.h"
#include "runtime/generate/StopMatcher.h"
#include "runtime/support/Error.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
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
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
  }
}

std::vector<double> frequencies(const Sampling &sampling, const std::vector<float> &logits, int draws = 20000) {
  std::vector<Candidate> scratch(logits.size());
  Sampler sampler(sampling, scratch.data(), uint32_t(logits.size()));
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i)
    counts[size_t(sampler.choose(logits.data()))] += 1.0 / draws;
  return counts;
}

TEST(SamplerTest, Greedy) {
  EXPECT_EQ(frequencies({0, 0, 0, 1}, {1, 3, 3, 2}, 1)[1], 1) << "the lowest id of equal maxima";
  EXPECT_EQ(frequencies({0, 0, 0, 1}, {NAN, -INFINITY, NAN, -5}, 1)[3], 1);
  EXPECT_THROW(frequencies({0, 0, 0, 1}, {NAN, NAN}, 1), Error);
}

// Frequencies are within five standard deviations, sqrt(p (1 - p) / 20000) ≤ 0.0036, of what softmax says.
TEST(SamplerTest, Frequencies) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.4f), NAN, std::log(0.3f), std::log(0.2f)};
  auto expect = [&](const Sampling &sampling, std::vector<double> expected) {
    const std::vector<double> got = frequencies(sampling, logits);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(got[i], expected[i], 0.018) << i;
      EXPECT_EQ(got[i] == 0, expected[i] == 0) << i;
    }
  };
  expect({1, 0, 0, 1}, {0.1, 0.4, 0, 0.3, 0.2});
  expect({1, 4, 1, 2}, {0.1, 0.4, 0, 0.3, 0.2});
  expect({1, 2, 0, 3}, {0, 4 / 7.0, 0, 3 / 7.0, 0});
  expect({1, 0, 0.65f, 4}, {0, 4 / 7.0, 0, 3 / 7.0, 0});
  expect({1, 0, 0.75f, 5}, {0, 4 / 9.0, 0, 3 / 9.0, 2 / 9.0});
  expect({1, 3, 0.5f, 6}, {0, 4 / 7.0, 0, 3 / 7.0, 0}); // 0.4 of 0.9 is less than half
  expect({0.5, 0, 0, 7}, {0.01 / 0.3, 0.16 / 0.3, 0, 0.09 / 0.3, 0.04 / 0.3});
  expect({1, 1, 0, 8}, {0, 1, 0, 0, 0});
}

// Nuclei larger than the first sorted prefix.
TEST(SamplerTest, WideNucleus) {
  const std::vector<float> flat(1000, 0.5f);
  const std::vector<double> got = frequencies({1, 0, 0.9f, 1}, flat);
  for (size_t i = 0; i < 1000; ++i)
    EXPECT_EQ(got[i] > 0, i < 900) << i; // equal logits: ids in rising order; 20 draws each expected
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
