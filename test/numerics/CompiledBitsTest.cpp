// The promise of bits on the bundled model: a row depends on its own sequence alone. Not on the other rows of a step,
// not on threads, not on how a text was cut into steps, and not on the pages that hold its keys.
#include "test/numerics/Compiled.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>

using namespace kerf::test;

namespace {

/// Positions in a page of the bundled model's cache; the lengths below stand around its multiples.
constexpr uint32_t page = 64;

using Random = std::mt19937;

uint32_t draw(Random &random, uint32_t least, uint32_t most) {
  return std::uniform_int_distribution<uint32_t>(least, most)(random);
}

std::vector<int32_t> randomIds(Random &random, uint32_t count, uint32_t vocabulary) {
  std::vector<int32_t> ids(count);
  for (int32_t &id : ids)
    id = int32_t(draw(random, 0, vocabulary - 1));
  return ids;
}

/// A number of tokens for the next step: often none, one, or about a page.
uint32_t drawCount(Random &random, uint32_t rest) {
  const uint32_t usual[] = {0, 1, 2, 3, 15, 16, 17, page - 1, page, page + 1, rest};
  const uint32_t count = draw(random, 0, 1) ? usual[draw(random, 0, std::size(usual) - 1)] : draw(random, 0, rest);
  return std::min(count, rest);
}

class CompiledBits : public testing::TestWithParam<std::tuple<const char *, const char *>> {
protected:
  void SetUp() override {
    auto [computeType, variant] = GetParam();
    model = std::make_unique<CompiledModel>(package(computeType, variant), variant);
    if (!model->unsupported.empty())
      GTEST_SKIP() << model->unsupported;
    ASSERT_TRUE(model->handle);
  }

  static std::string package(const char *computeType, const std::string &variant) {
    std::vector<std::string> options = optionsFor(variant);
    if (variant == gpuVariant) // else only where few rows are beside few, and many beside many
      options.push_back("--invariant");
    return compileCheckpoint(bundledCheckpoint, computeType, options);
  }
  static bool isForGpu() { return std::get<1>(GetParam()) == std::string(gpuVariant); }
  std::vector<int32_t> ids(Random &random, uint32_t count) { return randomIds(random, count, model->info.vocabulary); }

  std::unique_ptr<CompiledModel> model;
};

/// A text that is run piece by piece beside others.
struct Text {
  std::vector<int32_t> ids;
  LogitRows expected; // alone, in one step
  kerf_sequence *sequence = nullptr;
  uint32_t done = 0;
};

// Should the page size change, the lengths in these tests must.
TEST_P(CompiledBits, PagesAreAsLongAsTheLengthsAssume) {
  CompiledContext context(*model, page + 1, 1);
  Random random(6);
  const std::vector<int32_t> text = ids(random, page + 1);
  kerf_sequence *sequence = context.create();
  const uint32_t pages = kerf_context_free_pages(context.handle, 0);
  context.step({{sequence, std::span(text).first(page)}});
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), pages - 1);
  context.step({{sequence, std::span(text).subspan(page)}});
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), pages - 2);
}

// Many texts of different lengths in random pieces, some steps of one row or none, logits of all rows or some.
TEST_P(CompiledBits, RaggedStepsEqualEachTextAlone) {
  Random random(7);
  std::vector<Text> texts;
  for (uint32_t length : {1u, 2u, 15u, 16u, 17u, 33u, page - 1, page, page + 1, 2 * page - 1, 2 * page, 2 * page + 1,
                          draw(random, 3, 4 * page), draw(random, 3, 4 * page)}) {
    texts.push_back({ids(random, length), {}});
    texts.back().expected = logitsAlone(*model, texts.back().ids);
    ASSERT_EQ(texts.back().expected.size(), length);
  }
  for (uint32_t threads : {1u, 2u}) {
    CompiledContext context(*model, 1024, texts.size(), 0, threads);
    for (int round = 0; round < 2; ++round) {
      for (Text &text : texts)
        text.sequence = context.create(), text.done = 0;
      EXPECT_EQ(context.step({}).size(), 0u);
      auto unfinished = [&] { return std::ranges::any_of(texts, [](Text &t) { return t.done < t.ids.size(); }); };
      for (int steps = 0; unfinished(); ++steps) {
        ASSERT_LT(steps, 1000);
        std::shuffle(texts.begin(), texts.end(), random);
        // Now and then a step of a single text.
        const size_t most = draw(random, 0, 3) ? texts.size() : 1;
        std::vector<StepPiece> pieces;
        LogitRows expected;
        uint32_t room = 1024;
        for (Text &text : texts) {
          const uint32_t count = std::min(room, drawCount(random, text.ids.size() - text.done));
          if (pieces.size() == most || draw(random, 0, 3) == 0)
            continue;
          const kerf_logits logits = kerf_logits(draw(random, KERF_LOGITS_NONE, KERF_LOGITS_ALL));
          pieces.push_back({text.sequence, std::span(text.ids).subspan(text.done, count), logits});
          const uint32_t first = logits == KERF_LOGITS_ALL                 ? 0
                                 : logits == KERF_LOGITS_LAST && count > 0 ? count - 1
                                                                           : count;
          expected.insert(expected.end(), text.expected.begin() + text.done + first,
                          text.expected.begin() + text.done + count);
          text.done += count, room -= count;
        }
        ASSERT_EQ(firstDifference(context.step(pieces), expected), "") << "round " << round << ", step " << steps;
      }
      for (Text &text : texts)
        kerf_sequence_close(text.sequence);
    }
  }
}

// One prompt at once, in random pieces, and token by token.
TEST_P(CompiledBits, PiecesEqualTheWhole) {
  Random random(8);
  const std::vector<int32_t> prompt = ids(random, (isForGpu() ? 2 : 5) * page + 3);
  const LogitRows expected = logitsAlone(*model, prompt);
  CompiledContext context(*model, prompt.size(), 1);
  for (int round = 0; round < (isForGpu() ? 3 : 6); ++round) {
    kerf_sequence *sequence = context.create();
    LogitRows found;
    while (found.size() < prompt.size()) {
      const uint32_t count = round ? drawCount(random, prompt.size() - found.size()) : 1;
      for (std::vector<float> &row : context.step({{sequence, std::span(prompt).subspan(found.size(), count)}}))
        found.push_back(std::move(row));
      ASSERT_FALSE(HasFailure());
    }
    EXPECT_EQ(firstDifference(found, expected), "") << "round " << round;
    kerf_sequence_close(sequence);
  }
}

TEST_P(CompiledBits, ThreadsDoNotCount) {
  if (isForGpu())
    GTEST_SKIP() << "threads of the host compute nothing for a GPU";
  Random random(9);
  std::vector<std::vector<int32_t>> texts;
  for (uint32_t length : {1u, 40u, page + 1, 3 * page, 1u, 7u})
    texts.push_back(ids(random, length));
  std::vector<LogitRows> results;
  for (uint32_t threads : {1u, 2u, 3u}) {
    CompiledContext context(*model, 512, texts.size(), 0, threads);
    EXPECT_EQ(kerf_context_threads(context.handle), threads);
    std::vector<StepPiece> pieces;
    for (const std::vector<int32_t> &text : texts)
      pieces.push_back({context.create(), text});
    results.push_back(context.step(pieces));
    // And a step of single tokens.
    for (size_t i = 0; i < texts.size(); ++i)
      pieces[i].ids = std::span(texts[i]).first(1);
    for (std::vector<float> &row : context.step(pieces))
      results.back().push_back(std::move(row));
  }
  ASSERT_EQ(results[0].size(), 1 + 40 + page + 1 + 3 * page + 1 + 7 + 6);
  EXPECT_EQ(firstDifference(results[1], results[0]), "");
  EXPECT_EQ(firstDifference(results[2], results[0]), "");
}

// A fork, cut anywhere, goes on as a fresh sequence of the same tokens does; what it was cut from is not disturbed.
TEST_P(CompiledBits, ForksAndTruncationsEqualFreshTexts) {
  Random random(10);
  const std::vector<int32_t> base = ids(random, 2 * page + 9);
  const LogitRows baseExpected = logitsAlone(*model, base);
  CompiledContext context(*model, 512, 2);
  for (uint32_t length : {0u, 1u, page - 1, page, page + 1, 2 * page - 1, 2 * page, uint32_t(base.size())}) {
    std::vector<int32_t> other(base.begin(), base.begin() + length);
    const std::vector<int32_t> more = ids(random, page + 5);
    other.insert(other.end(), more.begin(), more.end());
    LogitRows expected = logitsAlone(*model, other);
    expected.erase(expected.begin(), expected.begin() + length);

    const uint32_t half = base.size() - 5;
    kerf_sequence *first = context.create();
    context.step({{first, std::span(base).first(half)}});
    kerf_sequence *second = context.fork(first);
    ASSERT_FALSE(HasFailure());
    if (length < half)
      context.truncate(second, length);
    else
      context.step({{second, std::span(base).subspan(half, length - half)}});
    // Both go on in the same steps.
    LogitRows both = context.step({{second, std::span(more).first(2)}, {first, std::span(base).subspan(half)}});
    ASSERT_EQ(both.size(), 2u + 5u);
    LogitRows found(both.begin(), both.begin() + 2), kept(both.begin() + 2, both.end());
    for (std::vector<float> &row : context.step({{second, std::span(more).subspan(2)}}))
      found.push_back(std::move(row));
    EXPECT_EQ(firstDifference(found, expected), "") << "cut at " << length;
    EXPECT_EQ(firstDifference(kept, LogitRows(baseExpected.begin() + half, baseExpected.end())), "");
    // The first, cut too, once the second is gone.
    kerf_sequence_close(second);
    const uint32_t cut = std::min(length, half);
    context.truncate(first, cut);
    EXPECT_EQ(kerf_sequence_length(first), cut);
    EXPECT_EQ(firstDifference(context.step({{first, std::span(base).subspan(cut)}}),
                              LogitRows(baseExpected.begin() + cut, baseExpected.end())),
              "");
    kerf_sequence_close(first);
  }
}

// Up to the last position of the model's context.
TEST_P(CompiledBits, LongestTextInPieces) {
  Random random(11);
  const std::vector<int32_t> text = ids(random, model->info.context);
  const LogitRows expected = logitsAlone(*model, text);
  CompiledContext context(*model, 512, 1, 0, 2);
  kerf_sequence *sequence = context.create();
  for (uint32_t done = 0; done < text.size();) {
    const uint32_t rest = text.size() - done, count = std::min(rest > 1 ? rest - 1 : 1, draw(random, 200, 512));
    ASSERT_EQ(firstDifference(context.step({{sequence, std::span(text).subspan(done, count)}}),
                              LogitRows(expected.begin() + done, expected.begin() + done + count)),
              "");
    done += count;
  }
}

// A saved sequence goes on with the same bits under its variant, and under every other, whose keys and values it now
// has some of, near that one's own logits: in f32 within sums in another order, in bf16 within a rounding to 8 bits
// (2^-9) for each of the some ten products of each of 8 layers, which add up like errors of random sign: sqrt(80) *
// 2^-9.
TEST_P(CompiledBits, SavedSequencesGoOnUnderEveryVariant) {
  auto [computeType, variant] = GetParam();
  const double tolerance = std::string(computeType) == "f32" ? 1e-5 : 0.0175;
  Random random(12);
  const std::vector<int32_t> text = ids(random, page + 29);
  const std::span<const int32_t> first = std::span(text).first(page + 9), rest = std::span(text).subspan(page + 9);
  CompiledContext context(*model, text.size(), 1);
  kerf_sequence *sequence = context.create();
  context.step({{sequence, first}});
  size_t size = 0;
  ASSERT_EQ(kerf_sequence_save(sequence, nullptr, 0, &size, nullptr), KERF_OK);
  std::vector<uint8_t> saved(size);
  ASSERT_EQ(kerf_sequence_save(sequence, saved.data(), size, &size, nullptr), KERF_OK);
  const LogitRows expected = context.step({{sequence, rest}});
  // A GPU keeps pages in another layout than CPUs.
  for (const char *other : isForGpu() ? std::vector<const char *>{gpuVariant}
                                      : std::vector<const char *>(std::begin(allVariants), std::end(allVariants))) {
    CompiledModel under(package(computeType, other), other);
    if (!under.unsupported.empty())
      continue;
    CompiledContext next(under, text.size(), 1);
    kerf_sequence *restored = nullptr;
    kerf_error error = {};
    ASSERT_EQ(kerf_sequence_restore(next.handle, saved.data(), size, &restored, &error), KERF_OK) << error.message;
    const LogitRows found = next.step({{restored, rest}});
    if (std::string(other) == variant) {
      EXPECT_EQ(firstDifference(found, expected), "");
      continue;
    }
    const LogitRows own = logitsAlone(under, text);
    double difference = 0, whole = 0;
    for (size_t row = 0; row < found.size(); ++row)
      for (size_t i = 0; i < found[row].size(); ++i) {
        const double reference = own[row + first.size()][i];
        difference += (found[row][i] - reference) * (found[row][i] - reference);
        whole += reference * reference;
      }
    EXPECT_LE(std::sqrt(difference / whole), tolerance) << "restored under " << other;
    std::printf("%s, restored under %s: relative error %.2e\n", variant, other, std::sqrt(difference / whole));
  }
}

const auto nameOf = [](const testing::TestParamInfo<CompiledBits::ParamType> &info) {
  return std::get<0>(info.param) + std::string("_") + std::get<1>(info.param);
};
INSTANTIATE_TEST_SUITE_P(Variants, CompiledBits,
                         testing::Combine(testing::Values("f32", "bf16"), testing::ValuesIn(allVariants)), nameOf);
// In f32 a GPU's products and attention have one order by themselves, and take the emulator minutes.
INSTANTIATE_TEST_SUITE_P(Gpu, CompiledBits, testing::Combine(testing::Values("bf16"), testing::ValuesIn(gpuVariants())),
                         nameOf);

} // namespace
