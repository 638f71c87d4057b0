// What kerf.h lets any thread do, done by several at once: one model for all, a context for each, cancels from outside.
// ThreadSanitizer reads along in the build of that name.
#include "test/runtime/fake/Fixture.h"

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

using namespace kerf::test;

namespace {

constexpr int kThreads = 4, kRounds = 20;

// Runs `work(thread)` on several threads at once; each gives the number of its failures.
template <typename Work> int failures(Work &&work) {
  std::atomic<int> failed{0}, ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      for (++ready; ready < kThreads;)
        std::this_thread::yield();
      failed += work(i);
    });
  for (std::thread &thread : threads)
    thread.join();
  return failed;
}

TEST(ThreadTest, OneModelForAll) {
  OpenModel model;
  const std::string text = "caf\xc3\xa9 <end> \xff";
  EXPECT_EQ(failures([&](int thread) {
              int failed = 0;
              for (int round = 0; round < kRounds; ++round) {
                kerf_model_info info = {};
                info.struct_size = sizeof info;
                failed +=
                    kerf_model_get_info(model.handle, &info, nullptr) != KERF_OK || info.vocabulary != kVocabulary;
                failed += kerf_model_verify(model.handle, nullptr) != KERF_OK;
                int32_t ids[64];
                size_t count = 0, bytes = 0;
                failed += kerf_tokenize(model.handle, text.data(), text.size(), 0, ids, 64, &count, nullptr) != KERF_OK;
                char back[64];
                failed += kerf_detokenize(model.handle, ids, count, 0, back, 64, &bytes, nullptr) != KERF_OK;
                failed += std::string(back, std::min<size_t>(bytes, 5)) != text.substr(0, 5);
                const kerf_plan_options plan = planOf(16, uint32_t(thread + 1));
                kerf_plan_report report = {};
                report.struct_size = sizeof report;
                failed += kerf_model_certificate(model.handle, 2, &plan, &report, nullptr) != KERF_OK;
              }
              return failed;
            }),
            0);
}

// Each thread opens the package anew, runs it on a pool of its own and closes everything.
TEST(ThreadTest, AModelForEach) {
  const FakePackage package;
  EXPECT_EQ(failures([&](int thread) {
              int failed = 0;
              for (int round = 0; round < kRounds; ++round) {
                auto model = std::make_unique<OpenModel>(package, round % 2 ? "wide" : "narrow");
                OpenContext context(model->handle, planOf(kContext, 2), uint32_t(thread) % 3 + 1);
                model.reset();
                const std::vector<int32_t> ids = randomIds(uint64_t(thread * kRounds + round), 20);
                failed += context.step({{context.create(), ids}}) != KERF_OK;
                failed += context.row(0) != referenceLogits(package.weights, ids);
              }
              return failed;
            }),
            0);
}

// Cancels hit steps at moments drawn at random; a step that was cancelled is repeated until it is not, which the longer
// pauses after each see to, however long a step takes.
TEST(ThreadTest, CancelFromOutside) {
  OpenModel model;
  OpenContext context(model.handle, planOf(kContext, 1), 2);
  std::atomic<bool> done{false};
  constexpr int kLongestPause = 10'000; // in microseconds
  std::atomic<int> longest{kLongestPause};
  std::thread canceller([&] {
    std::minstd_rand random(1);
    while (!done) {
      kerf_context_cancel(context.handle);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % unsigned(longest)));
    }
  });
  int cancelled = 0;
  for (int round = 0; round < 40; ++round) {
    kerf_sequence *sequence = context.create();
    const std::vector<int32_t> ids = randomIds(uint64_t(round), kContext);
    kerf_code code;
    longest = kLongestPause;
    while ((code = context.step({{sequence, ids}})) == KERF_CANCELLED) {
      ++cancelled;
      longest = std::min(2 * longest, 1'000'000);
      ASSERT_EQ(kerf_sequence_length(sequence), 0u);
    }
    ASSERT_EQ(code, KERF_OK) << context.error.message;
    ASSERT_EQ(context.row(0), referenceLogits(model.weights, ids));
    kerf_sequence_close(sequence);
  }
  done = true;
  canceller.join();
  std::printf("%d steps were cancelled\n", cancelled);
}

// Generations in contexts of their own, some ended from outside.
TEST(ThreadTest, Generations) {
  OpenModel model;
  std::atomic<int> finished{0};
  EXPECT_EQ(failures([&](int thread) {
              OpenContext context(model.handle, planOf(16, 1), 2);
              std::atomic<bool> done{false};
              std::thread canceller([&] {
                while (thread % 2 && !done) {
                  kerf_context_cancel(context.handle);
                  std::this_thread::sleep_for(std::chrono::microseconds(200));
                }
              });
              int failed = 0;
              for (int round = 0; round < kRounds; ++round) {
                kerf_generate_options options = {};
                options.struct_size = sizeof options;
                options.prompt = "abc";
                options.max_tokens = 20;
                options.temperature = 1;
                options.seed = uint64_t(round);
                kerf_generate_result result = {};
                result.struct_size = sizeof result;
                failed += kerf_generate(context.handle, &options, &result, nullptr) != KERF_OK;
                finished += result.finish == KERF_FINISH_LENGTH || result.finish == KERF_FINISH_END;
                kerf_generate_result_free(&result);
              }
              done = true;
              canceller.join();
              return failed;
            }),
            0);
  EXPECT_GE(finished, kThreads / 2 * kRounds) << "generations that nobody cancelled must finish";
}

} // namespace
