// The step: paging, ragged batches, forks, and that a failed step changes nothing. Every test runs with poisoned
// memory, and every comparison is of bits.
#include "runtime/context/Context.h"
#include "runtime/cpu/Dispatcher.h"
#include "runtime/generate/Sampler.h"
#include "runtime/support/Error.h"
#include "test/runtime/fake/Fixture.h"

#include <atomic>
#include <random>
#include <thread>

using namespace kerf::test;

namespace {

std::vector<int32_t> join(std::vector<int32_t> a, const std::vector<int32_t> &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class StepTest : public testing::TestWithParam<uint32_t> {
protected:
  OpenModel model;
  std::vector<float> reference(const std::vector<int32_t> &ids) { return referenceLogits(model.weights, ids); }
};

// Every length around both page sizes and tiles, in one step.
TEST_F(StepTest, PromptMatchesReference) {
  OpenContext context(model.handle, planOf(kContext, 1));
  for (uint32_t length = 1; length <= kContext; ++length) {
    kerf_sequence *sequence = context.create();
    const std::vector<int32_t> ids = randomIds(length, length);
    ASSERT_EQ(context.step({{sequence, ids}}), KERF_OK) << context.error.message;
    EXPECT_EQ(context.row(0), reference(ids)) << length;
    EXPECT_EQ(kerf_sequence_length(sequence), length);
    kerf_sequence_close(sequence);
  }
}

TEST_F(StepTest, PiecesMatchOneStep) {
  OpenContext context(model.handle, planOf(kContext, 1));
  const std::vector<int32_t> ids = randomIds(7, 40);
  for (uint32_t piece = 1; piece <= 13; ++piece) {
    kerf_sequence *sequence = context.create();
    for (size_t at = 0; at < ids.size(); at += piece) {
      const size_t end = std::min(ids.size(), at + piece);
      ASSERT_EQ(context.step({{sequence, {ids.begin() + at, ids.begin() + end}}}), KERF_OK);
      EXPECT_EQ(context.row(0), reference({ids.begin(), ids.begin() + end})) << piece << " " << end;
    }
    kerf_sequence_close(sequence);
  }
}

TEST_F(StepTest, AllLogits) {
  OpenContext context(model.handle, planOf(32, 2, 0, 12));
  const std::vector<int32_t> a = randomIds(1, 5), b = randomIds(2, 7);
  kerf_sequence *first = context.create(), *second = context.create();
  ASSERT_EQ(context.step({{first, a, KERF_LOGITS_ALL}, {second, b, KERF_LOGITS_ALL}}), KERF_OK);
  ASSERT_EQ(kerf_context_logit_rows(context.handle), 12u);
  for (uint32_t i = 0; i < 5; ++i)
    EXPECT_EQ(context.row(i), reference({a.begin(), a.begin() + i + 1}));
  for (uint32_t i = 0; i < 7; ++i)
    EXPECT_EQ(context.row(5 + i), reference({b.begin(), b.begin() + i + 1}));
  EXPECT_EQ(kerf_context_logits(context.handle, 12), nullptr);
}

// Random mixes of prompts, pieces, single tokens, forks, truncations and closings against sequences kept as plain ids.
TEST_P(StepTest, RandomTraffic) {
  const uint32_t threads = GetParam();
  for (const char *variant : {"narrow", "wide"}) {
    OpenModel model(FakePackage(3), variant);
    constexpr uint32_t most = 6;
    OpenContext context(model.handle, planOf(48, most, 0, 48), threads);
    std::mt19937_64 random(threads);
    auto below = [&](uint32_t n) { return uint32_t(random() % n); };
    struct Live {
      kerf_sequence *handle;
      std::vector<int32_t> ids;
    };
    std::vector<Live> live;
    for (int round = 0; round < 400; ++round) {
      const uint32_t action = below(10);
      if (live.size() < most && action < 2)
        live.push_back({context.create(), {}});
      else if (live.size() < most && !live.empty() && action < 4) {
        const Live &from = live[below(uint32_t(live.size()))];
        live.push_back({context.fork(from.handle), from.ids});
        ASSERT_NE(live.back().handle, nullptr) << context.error.message;
      } else if (!live.empty() && action == 4) {
        const size_t i = below(uint32_t(live.size()));
        kerf_sequence_close(live[i].handle);
        live.erase(live.begin() + ptrdiff_t(i));
      } else if (!live.empty() && action == 5) {
        Live &one = live[below(uint32_t(live.size()))];
        const uint32_t length = below(uint32_t(one.ids.size()) + 1);
        ASSERT_EQ(kerf_sequence_truncate(one.handle, length, nullptr), KERF_OK);
        one.ids.resize(length);
      }
      std::vector<Entry> entries;
      std::vector<std::vector<int32_t>> expected;
      uint32_t tokens = 0;
      for (Live &one : live) {
        const uint32_t room = std::min(kContext - uint32_t(one.ids.size()), 48 - tokens);
        const uint32_t count = std::min(room, below(3) ? below(3) : below(14));
        const std::vector<int32_t> ids = randomIds(random(), count);
        const kerf_logits logits = kerf_logits(below(3));
        for (uint32_t i = 0; i < count; ++i)
          if (logits == KERF_LOGITS_ALL || (logits == KERF_LOGITS_LAST && i + 1 == count))
            expected.push_back(join(one.ids, {ids.begin(), ids.begin() + i + 1}));
        entries.push_back({one.handle, ids, logits});
        one.ids = join(one.ids, ids);
        tokens += count;
      }
      ASSERT_EQ(context.step(entries), KERF_OK) << context.error.message;
      ASSERT_EQ(kerf_context_logit_rows(context.handle), expected.size());
      for (uint32_t row = 0; row < expected.size(); ++row)
        ASSERT_EQ(context.row(row), referenceLogits(model.weights, expected[row])) << round << " " << row;
      for (const Live &one : live)
        ASSERT_EQ(kerf_sequence_length(one.handle), one.ids.size());
    }
    for (const Live &one : live)
      kerf_sequence_close(one.handle);
    EXPECT_EQ(kerf_context_free_pages(context.handle, 0), most * 16) << "pages were lost";
    EXPECT_EQ(kerf_context_free_pages(context.handle, 1), most * 22) << "pages were lost";
  }
}
INSTANTIATE_TEST_SUITE_P(Threads, StepTest, testing::Values(1, 2, 3));

TEST_F(StepTest, EmptySteps) {
  OpenContext context(model.handle, planOf(8, 2));
  kerf_sequence *sequence = context.create();
  EXPECT_EQ(context.step({}), KERF_OK);
  EXPECT_EQ(context.step({{sequence, {}, KERF_LOGITS_ALL}}), KERF_OK);
  EXPECT_EQ(kerf_context_logit_rows(context.handle), 0u);
  EXPECT_EQ(kerf_sequence_length(sequence), 0u);
  // An entry without tokens beside one with some does not count as a sequence of the step.
  kerf_sequence *other = context.create();
  EXPECT_EQ(context.step({{sequence, {}}, {other, {5}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference({5}));
}

// A write into a shared page copies it; a full page stays shared; the last holder writes in place.
TEST_F(StepTest, CopyOnWrite) {
  OpenContext context(model.handle, planOf(16, 3));
  const uint32_t all = kerf_context_free_pages(context.handle, 0);
  kerf_sequence *a = context.create();
  const std::vector<int32_t> ids = randomIds(5, 6); // one full page of four and half of the next
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK);
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), all - 2);
  kerf_sequence *b = context.fork(a), *c = context.fork(a);
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), all - 2) << "a fork takes no page";
  ASSERT_EQ(context.step({{b, {1}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {1})));
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), all - 3);
  ASSERT_EQ(context.step({{a, {2}}, {c, {3}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {2})));
  EXPECT_EQ(context.row(1), reference(join(ids, {3})));
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), all - 4) << "the last holder writes in place";
  ASSERT_EQ(context.step({{b, {4}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {1, 4})));
  kerf_sequence_close(a);
  kerf_sequence_close(b);
  ASSERT_EQ(context.step({{c, {9}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {3, 9}))) << "the shared first page outlives the others";
  kerf_sequence_close(c);
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), all);
}

TEST_F(StepTest, ForkThenTruncateThenWrite) {
  OpenContext context(model.handle, planOf(32, 2));
  const std::vector<int32_t> ids = randomIds(6, 11);
  kerf_sequence *a = context.create();
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK);
  kerf_sequence *b = context.fork(a);
  for (uint32_t length = 11; length-- > 0;) {
    ASSERT_EQ(kerf_sequence_truncate(b, length, nullptr), KERF_OK);
    ASSERT_EQ(context.step({{b, {70}}}), KERF_OK);
    EXPECT_EQ(context.row(0), reference(join({ids.begin(), ids.begin() + length}, {70})));
    ASSERT_EQ(kerf_sequence_truncate(b, length, nullptr), KERF_OK);
  }
  ASSERT_EQ(context.step({{a, {8}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {8}))) << "writes to the fork reached its parent";
  EXPECT_EQ(kerf_sequence_truncate(b, 1, &context.error), KERF_BAD_ARGUMENT);
}

// Each failure, and then a step that shows that nothing had moved.
TEST_F(StepTest, FailedStepChangesNothing) {
  OpenContext context(model.handle, planOf(8, 3, 20, 2)), other(model.handle, planOf(8, 1));
  kerf_sequence *a = context.create(), *b = context.create(), *foreign = other.create();
  const std::vector<int32_t> ids = randomIds(9, 6);
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK);
  kerf_sequence *closed = context.create();
  kerf_sequence_close(closed);
  struct Case {
    std::vector<Entry> entries;
    const char *message;
  } cases[] = {
      {{{b, {1}}, {a, {int32_t(kVocabulary)}}}, "id 0 of entry 1 must be 0 to 263, got 264"},
      {{{b, {1}}, {a, {3, -1}}}, "id 1 of entry 1 must be 0 to 263, got -1"},
      {{{b, {1}}, {a, randomIds(1, 8)}}, "at most the planned 8 tokens, got 9"},
      {{{b, {1}, KERF_LOGITS_ALL}, {a, {1, 2}, KERF_LOGITS_ALL}}, "at most the planned 2 rows of logits, got 3"},
      {{{b, {1}}, {foreign, {1}}}, "sequence of entry 1 must be an open one of this context"},
      {{{b, {1}}, {closed, {1}}}, "sequence of entry 1 must be an open one of this context"},
      {{{b, {1}}, {nullptr, {1}}}, "sequence of entry 1 must be an open one of this context"},
      {{{a, {1}}, {a, {2}}}, "sequence of entry 1 must be in the step only once"},
      {{{a, {1}, kerf_logits(3)}}, "logits of entry 0 must be none, last or all (0, 1, 2), got 3"},
  };
  for (const Case &c : cases) {
    EXPECT_EQ(context.step(c.entries), KERF_BAD_ARGUMENT) << c.message;
    EXPECT_NE(std::string(context.error.message).find(c.message), std::string::npos) << context.error.message;
    EXPECT_EQ(kerf_sequence_length(a), 6u);
    EXPECT_EQ(kerf_sequence_length(b), 0u);
    EXPECT_EQ(kerf_context_logit_rows(context.handle), 0u) << "logits of a failed step must not be there";
  }
  ASSERT_EQ(context.step({{a, randomIds(1, 8)}}), KERF_OK);
  EXPECT_EQ(context.step({{a, randomIds(2, 7)}}), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(context.error.message).find("planned context of 20, got 14 + 7"), std::string::npos)
      << context.error.message;
  ASSERT_EQ(context.step({{a, {4}}, {b, {2}}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(join(ids, randomIds(1, 8)), {4})));
  EXPECT_EQ(context.row(1), reference({2}));
}

TEST_F(StepTest, SizeOfEntries) {
  OpenContext context(model.handle, planOf(32, 1, 64, 1));
  const int32_t id = 1;
  const kerf_step_entry entry = {context.create(), &id, 1, KERF_LOGITS_LAST, nullptr};
  // Too small for the fields, and one at which the second entry's pointers would lie askew.
  for (uint32_t size : {0u, uint32_t(offsetof(kerf_step_entry, sampling)) - 8, uint32_t(sizeof entry) + 4}) {
    const kerf_step step = {sizeof step, size, 1, &entry};
    EXPECT_EQ(kerf_context_step(context.handle, &step, &context.error), KERF_BAD_ARGUMENT);
    EXPECT_NE(std::string(context.error.message)
                  .find("a multiple of 8, and entries that are not NULL, got " + std::to_string(size)),
              std::string::npos)
        << context.error.message;
  }
}

// What a caller of before there was sampling passes, and one of a later version that uses what this does not know.
TEST_F(StepTest, EntriesOfOtherVersions) {
  OpenContext context(model.handle, planOf(32, 2, 64, 2));
  struct {
    kerf_sequence *sequence;
    const int32_t *ids;
    uint32_t count, logits;
  } old[2];
  struct {
    kerf_step_entry known;
    uint64_t unknown;
  } later;
  const std::vector<int32_t> first = randomIds(1, 3), second = randomIds(2, 5);
  old[0] = {context.create(), first.data(), 3, KERF_LOGITS_LAST};
  old[1] = {context.create(), second.data(), 5, KERF_LOGITS_LAST};
  kerf_step step = {sizeof step, sizeof old[0], 2, reinterpret_cast<kerf_step_entry *>(old)};
  ASSERT_EQ(kerf_context_step(context.handle, &step, &context.error), KERF_OK) << context.error.message;
  EXPECT_EQ(context.row(0), reference(first));
  EXPECT_EQ(context.row(1), reference(second));
  later = {{old[0].sequence, first.data(), 1, KERF_LOGITS_LAST, nullptr}, 1};
  step = {sizeof step, sizeof later, 1, &later.known};
  EXPECT_EQ(kerf_context_step(context.handle, &step, &context.error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(std::string(context.error.message), "entry 0 must have no field set that version " KERF_VERSION_STRING
                                                " does not know; use a newer Kerf runtime");
  later.unknown = 0;
  EXPECT_EQ(kerf_context_step(context.handle, &step, &context.error), KERF_OK) << context.error.message;
}

// Tokens drawn in a step beside rows whose logits are wanted are those that the definition gives for the same logits.
TEST_F(StepTest, DrawsTokens) {
  OpenContext context(model.handle, planOf(32, 4, 64, 6));
  kerf_sequence *sequences[4];
  std::vector<std::vector<int32_t>> ids(4);
  for (uint32_t i = 0; i < 4; ++i)
    sequences[i] = context.create();
  std::vector<kerf::rt::Candidate> scratch(kVocabulary);
  kerf::rt::Random random(3);
  for (uint32_t turn = 0; turn < (kRunsPtx ? 2 : 8); ++turn) {
    const kerf_sampling samplings[] = {{0, 0, 0, 0, random.next()},
                                       {0.5f, 0.9f, 0, 0, random.next()},
                                       {3, 0, 20, 0, random.next()},
                                       {1.5f, 0.7f, 100, 0, random.next()}};
    // Two, then three rows of logits between rows that draw; then all draw.
    std::vector<Entry> entries;
    for (uint32_t i = 0; i < 4; ++i) {
      const std::vector<int32_t> more = randomIds(10 * turn + i, turn % 2 ? 1 : 2 + i % 2);
      entries.push_back({sequences[i], more, KERF_LOGITS_LAST, &samplings[i]});
      ids[i].insert(ids[i].end(), more.begin(), more.end());
    }
    if (turn % 2 == 0)
      entries[1] = {sequences[1], entries[1].ids, KERF_LOGITS_ALL};
    ASSERT_EQ(context.step(entries), KERF_OK) << context.error.message;
    const uint32_t extra = turn % 2 ? 0 : uint32_t(entries[1].ids.size()) - 1;
    ASSERT_EQ(kerf_context_logit_rows(context.handle), 4 + extra);
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t row = i + (i ? extra : 0);
      if (!entries[i].sampling) {
        EXPECT_EQ(context.row(row), reference(ids[i]));
        EXPECT_EQ(kerf_context_token(context.handle, row), -1);
        continue;
      }
      const std::vector<float> logits = reference(ids[i]);
      EXPECT_EQ(kerf_context_logits(context.handle, row), nullptr);
      EXPECT_EQ(kerf_context_token(context.handle, row),
                kerf::rt::drawToken(samplings[i], logits.data(), kVocabulary, scratch.data()))
          << turn << " " << i;
    }
    EXPECT_EQ(kerf_context_token(context.handle, 4 + extra), -1);
  }
  EXPECT_EQ(kerf_context_token(nullptr, 0), -1);
  ASSERT_EQ(context.step({{sequences[0], {1}}}), KERF_OK);
  EXPECT_EQ(kerf_context_token(context.handle, 0), -1) << "of an earlier step";

  const auto refused = [&](const kerf_sampling &sampling, kerf_logits logits, const std::string &message) {
    EXPECT_EQ(context.step({{sequences[0], {1}, logits, &sampling}}), KERF_BAD_ARGUMENT);
    EXPECT_EQ(context.error.message, message);
    EXPECT_EQ(kerf_context_token(context.handle, 0), -1);
  };
  refused({}, KERF_LOGITS_NONE, "logits of entry 0 must be last (1), since a token is to be drawn, got 0");
  refused({}, KERF_LOGITS_ALL, "logits of entry 0 must be last (1), since a token is to be drawn, got 2");
  refused({-1, 0, 0, 0, 0}, KERF_LOGITS_LAST, "temperature of entry 0 must be a number of at least 0, got -1");
  refused({1, 2, 0, 0, 0}, KERF_LOGITS_LAST, "top_p of entry 0 must be 0 to 1, got 2");
  refused({1, 0, 0, 7, 0}, KERF_LOGITS_LAST, "reserved field of the sampling of entry 0 must be 0, got 7");
}

TEST_F(StepTest, OutOfPages) {
  OpenContext context(model.handle, planOf(32, 3, 64, 3, 6)); // 6 pages of 4, 6 pages of 3
  kerf_sequence *a = context.create(), *b = context.create();
  const std::vector<int32_t> ids = randomIds(4, 10);
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK); // 3 and 4 pages
  EXPECT_EQ(context.step({{a, {1}}, {b, randomIds(1, 7)}}), KERF_OUT_OF_PAGES);
  EXPECT_STREQ(context.error.message, "the step needs 3 KV pages of group 1, but only 2 are free; close or truncate a "
                                      "sequence, or plan for more kv_pages");
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), 3u);
  EXPECT_EQ(kerf_context_free_pages(context.handle, 1), 2u);
  ASSERT_EQ(context.step({{a, {1}}, {b, randomIds(1, 6)}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(ids, {1})));
  EXPECT_EQ(context.row(1), reference(randomIds(1, 6)));
  kerf_sequence_close(a);
  ASSERT_EQ(context.step({{b, randomIds(2, 9)}}), KERF_OK);
  EXPECT_EQ(context.row(0), reference(join(randomIds(1, 6), randomIds(2, 9))));
}

// With one page left, of two that share a page one copies it and the other writes in place.
TEST_F(StepTest, LastPageForTwoSharers) {
  OpenContext context(model.handle, planOf(8, 2, 0, 2, 2));
  kerf_sequence *a = context.create();
  ASSERT_EQ(context.step({{a, {1, 2}}}), KERF_OK);
  kerf_sequence *b = context.fork(a);
  ASSERT_EQ(context.step({{a, {3}}, {b, {4}}}), KERF_OK) << context.error.message;
  EXPECT_EQ(context.row(0), reference({1, 2, 3}));
  EXPECT_EQ(context.row(1), reference({1, 2, 4}));
}

// A page to copy is a page needed: with none left the step is refused, and goes through when the sharer is gone.
TEST_F(StepTest, NoPageForTheCopy) {
  OpenContext context(model.handle, planOf(8, 2, 0, 2, 2));
  kerf_sequence *a = context.create();
  ASSERT_EQ(context.step({{a, {1, 2, 3, 4, 5}}}), KERF_OK); // two pages of both groups, the last ones not full
  kerf_sequence *b = context.fork(a);
  EXPECT_EQ(context.step({{b, {6}}}), KERF_OUT_OF_PAGES);
  EXPECT_NE(std::string(context.error.message).find("needs 1 KV pages of group 0, but only 0"), std::string::npos)
      << context.error.message;
  kerf_sequence_close(a);
  ASSERT_EQ(context.step({{b, {6}}}), KERF_OK) << context.error.message;
  EXPECT_EQ(context.row(0), reference({1, 2, 3, 4, 5, 6}));
}

kerf_context *cancelTarget;

TEST_F(StepTest, CancelledStepChangesNothing) {
  if (kRunsPtx)
    GTEST_SKIP() << "a step is cancelled between kernels, and nothing of the test runs there where kernels are PTX";
  OpenContext context(model.handle, planOf(16, 2), 2);
  kerf_sequence *a = context.create();
  const std::vector<int32_t> ids = randomIds(8, 6);
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK);
  kerf_sequence *b = context.fork(a);
  kerf_context_cancel(context.handle); // nothing runs: no effect
  cancelTarget = context.handle;
  setKernelHook([] { kerf_context_cancel(cancelTarget); });
  EXPECT_EQ(context.step({{a, randomIds(3, 7)}, {b, {1}}}), KERF_CANCELLED);
  setKernelHook(nullptr);
  EXPECT_EQ(kerf_sequence_length(a), 6u);
  EXPECT_EQ(kerf_sequence_length(b), 6u);
  EXPECT_EQ(kerf_context_logit_rows(context.handle), 0u);
  ASSERT_EQ(context.step({{a, {2}}, {b, {3}}}), KERF_OK) << context.error.message;
  EXPECT_EQ(context.row(0), reference(join(ids, {2})));
  EXPECT_EQ(context.row(1), reference(join(ids, {3})));
}

TEST_F(StepTest, SequenceLimits) {
  OpenContext context(model.handle, planOf(8, 2));
  kerf_sequence *a = context.create();
  EXPECT_NE(context.fork(a), nullptr);
  EXPECT_EQ(context.create(), nullptr);
  EXPECT_EQ(context.error.code, KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(context.error.message).find("at most 2 sequences"), std::string::npos);
  kerf_sequence_close(a);
  EXPECT_NE(context.create(), nullptr);
}

TEST_F(StepTest, TwoContextsOnTwoThreads) {
  std::atomic<int> wrong{0};
  auto work = [&](uint64_t seed) {
    OpenContext context(model.handle, planOf(16, 1), 2);
    for (int round = 0; round < 50; ++round) {
      kerf_sequence *sequence = context.create();
      const std::vector<int32_t> ids = randomIds(seed + uint64_t(round), 16);
      wrong += context.step({{sequence, ids}}) != KERF_OK || context.row(0) != reference(ids);
      kerf_sequence_close(sequence);
    }
  };
  std::thread first(work, 100), second(work, 200);
  first.join();
  second.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(StepTest, TwoModels) {
  OpenModel other(FakePackage(77), "wide");
  OpenContext a(model.handle, planOf(16, 1)), b(other.handle, planOf(16, 1));
  const std::vector<int32_t> ids = randomIds(3, 9);
  ASSERT_EQ(a.step({{a.create(), ids}}), KERF_OK);
  ASSERT_EQ(b.step({{b.create(), ids}}), KERF_OK);
  EXPECT_EQ(a.row(0), reference(ids));
  EXPECT_EQ(b.row(0), referenceLogits(other.weights, ids));
  EXPECT_NE(a.row(0), b.row(0));
}

// The context keeps the model alive.
TEST_F(StepTest, ModelClosedFirst) {
  auto closing = std::make_unique<OpenModel>();
  OpenContext context(closing->handle, planOf(16, 1));
  const FakeWeights weights = closing->weights;
  closing.reset();
  ASSERT_EQ(context.step({{context.create(), {1, 2, 3}}}), KERF_OK);
  EXPECT_EQ(context.row(0), referenceLogits(weights, {1, 2, 3}));
}

std::atomic<std::thread::id> strange;

// A dispatch that is not worth waking the pool for stays on the calling thread, one that is does not.
TEST_F(StepTest, SmallDispatchesStayOnOneThread) {
  const kerf::rt::ThreadPool pool(2);
  const std::thread::id caller = std::this_thread::get_id();
  auto spread = [&](int64_t bytes) {
    static std::atomic<int> waiting;
    static std::thread::id self;
    self = caller;
    waiting = 0;
    strange = caller;
    // Two tasks that wait for each other, a while: on two threads both arrive.
    const kerf_kernel kernel = {"meet",
                                [](void *const *, int64_t, int64_t) {
                                  if (std::this_thread::get_id() != self)
                                    strange = std::this_thread::get_id();
                                  ++waiting;
                                  for (int i = 0; i < 2000 && waiting < 2; ++i)
                                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                },
                                1, 2, 0};
    const kerf_variant variant = {"v", 0, 1, sizeof kernel, 1, 0, &kernel};
    const kerf_dispatch dispatch = {0, KERF_EXTENT_ONE, 0, sizeof(kerf_operand), nullptr, "here", {{bytes}}, {}};
    kerf_program program = {};
    program.dispatch_count = 1, program.dispatch_size = sizeof dispatch, program.dispatches = &dispatch;
    kerf::rt::Dispatcher dispatcher(pool, variant, {program, [](const kerf_operand &) { return uint64_t(0); }, 0, {}});
    const std::atomic<bool> cancel{false};
    const kerf::rt::Extents extents = {1};
    EXPECT_TRUE(dispatcher.run({{&extents, 1}, false, false}, cancel));
    return strange.load() != caller;
  };
  EXPECT_FALSE(spread(1000));
  EXPECT_TRUE(spread(1 << 20));
  EXPECT_TRUE(spread(0)) << "unknown costs are not small ones";
}

// A program whose rows see ahead: ragged texts, each whole, with a vector for each; no logits, no text in pieces.
TEST_F(StepTest, EncodesWholeTexts) {
  OpenContext context(model.handle, planOf(64, 3));
  kerf::rt::Context &inner = context.handle->impl;
  const uint32_t encode = inner.model().needProgram("encode", "the test");
  const std::vector<int32_t> texts[] = {randomIds(1, 1), randomIds(2, 20), randomIds(3, 13)};
  std::vector<kerf_step_entry> entries;
  for (const std::vector<int32_t> &text : texts)
    entries.push_back({context.create(), text.data(), uint32_t(text.size()), KERF_LOGITS_NONE, nullptr});
  const kerf_step step = {sizeof step, sizeof(kerf_step_entry), 3, entries.data()};
  inner.run(encode, step);
  ASSERT_EQ(inner.resultRows(0), 3u);
  EXPECT_EQ(inner.resultRows(1), 0u);
  for (uint32_t i = 0; i < 3; ++i) {
    const float *row = inner.resultRow(0, i);
    EXPECT_EQ(std::vector<float>(row, row + kHidden), referenceVector(model.weights, texts[i])) << i;
  }
  EXPECT_EQ(inner.resultRow(0, 3), nullptr);
  EXPECT_EQ(kerf_context_logit_rows(context.handle), 0u) << "vectors are no logits";
  EXPECT_EQ(kerf_context_logits(context.handle, 0), nullptr);

  auto refused = [&](const std::string &message) {
    try {
      inner.run(encode, step);
      ADD_FAILURE() << "must be refused: " << message;
    } catch (const kerf::rt::Error &error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
    EXPECT_EQ(inner.resultRows(0), 0u) << "a failed step gives nothing";
  };
  refused("sequence of entry 0 must be empty, since program 'encode' takes a text as a whole, got 1 tokens");
  entries[0].logits = KERF_LOGITS_LAST;
  refused("logits of entry 0 must be none, since program 'encode' gives none");
  EXPECT_THROW(inner.model().needProgram("draft", "a draft"), kerf::rt::Error);

  // The other program goes on over the same cache.
  ASSERT_EQ(context.step({{entries[1].sequence, {7}}}), KERF_OK) << context.error.message;
  EXPECT_EQ(context.row(0), reference(join(texts[1], {7})));
}

TEST_F(StepTest, Profile) {
  OpenContext context(model.handle, planOf(16, 1));
  ASSERT_EQ(kerf_context_profile(context.handle, 1, nullptr), KERF_OK);
  kerf_sequence *sequence = context.create();
  ASSERT_EQ(context.step({{sequence, randomIds(1, 10)}}), KERF_OK);
  ASSERT_EQ(context.step({{sequence, {1}}}), KERF_OK);
  kerf_profile_row row = {};
  row.struct_size = sizeof row;
  ASSERT_EQ(kerf_context_profile_row(context.handle, 2, &row, nullptr), KERF_OK);
  EXPECT_STREQ(row.kernel, "attend");
  EXPECT_STREQ(row.origin, "layers.0.attention");
  EXPECT_EQ(row.calls, 2u);
  // Tile of 3; on a GPU the four items, of which one has one row, take a launch of each kind.
  EXPECT_EQ(row.tasks, kOnGpu ? 4u + 4u + 1u : 4u + 1u);
  EXPECT_GT(row.nanoseconds, 0u);
  EXPECT_EQ(row.bytes, 2 * 1048576 + kHidden * 12.0 * (10 + 11));
  EXPECT_EQ(row.operations, kHidden * 6.0 * (55 + 11));
  // Costs of a window count the keys that are seen through it: 1 to 5, then 5; in all of 10 and of the last 5 + 1.
  ASSERT_EQ(kerf_context_profile_row(context.handle, 3, &row, nullptr), KERF_OK);
  EXPECT_STREQ(row.origin, "layers.0.window");
  EXPECT_EQ(row.bytes, 10.0 + 5);
  EXPECT_EQ(row.operations, (1 + 2 + 3 + 4 + 6 * 5.0) + 5);
  // Rows of the other programs follow; on a GPU there is one for the drawing of tokens.
  const uint32_t end = kOnGpu ? 10 : 9;
  ASSERT_EQ(kerf_context_profile_row(context.handle, end - 1, &row, nullptr), KERF_OK);
  EXPECT_STREQ(row.origin, "last");
  EXPECT_EQ(row.calls, 0u);
  EXPECT_EQ(kerf_context_profile_row(context.handle, end, &row, nullptr), KERF_BAD_ARGUMENT);
}

} // namespace
