// That the sanitizers of this build are on and see through what the runtime puts between its threads: each error that
// they are there for is planted once, and must end the program. Only in builds with KERF_SANITIZE.
#include "runtime/cpu/Dispatcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

using namespace kerf::rt;

namespace {

#if __has_feature(address_sanitizer)

TEST(SanitizerTest, ReadPastTheEnd) {
  std::vector<uint8_t> bytes(40);
  volatile size_t index = bytes.size();
  EXPECT_DEATH(std::printf("%d", bytes.data()[index]), "heap-buffer-overflow");
}

TEST(SanitizerTest, UseAfterFree) {
  int *volatile number = new int(1);
  delete number;
  EXPECT_DEATH(std::printf("%d", *number), "heap-use-after-free");
}

TEST(SanitizerTest, SignedOverflow) {
  volatile int32_t most = INT32_MAX;
  EXPECT_DEATH(most = most + 1, "signed integer overflow");
}

#endif

#if __has_feature(thread_sanitizer)

// Tasks of one dispatch that meet, so that they run on two threads, and then both do `work`.
void runOnTwo(void (*work)(int64_t task)) {
  static std::atomic<int> waiting;
  static void (*planted)(int64_t);
  waiting = 0;
  planted = work;
  const ThreadPool pool(2);
  pool.run(
      [](void *const *, int64_t, int64_t task) {
        waiting.fetch_add(1, std::memory_order_relaxed);
        while (waiting.load(std::memory_order_relaxed) < 2)
          std::this_thread::yield();
        planted(task);
      },
      nullptr, 0, 2, false);
}

int64_t shared[2];

// What the pool is told about pthreadpool orders a task after its dispatch, and not one task after another.
TEST(SanitizerTest, RaceOfTwoTasks) {
  EXPECT_DEATH(runOnTwo([](int64_t task) { shared[0] = task; }), "data race");
}

// The thread that calls and a task of the dispatch before share memory without a race.
TEST(SanitizerTest, TasksAfterTheCall) {
  shared[0] = shared[1] = 5;
  runOnTwo([](int64_t task) { ++shared[task]; });
  EXPECT_EQ(shared[0] + shared[1], 12);
  runOnTwo([](int64_t task) { ++shared[1 - task]; });
  EXPECT_EQ(shared[0] + shared[1], 14);
}

TEST(SanitizerTest, RaceOfTwoThreads) {
  auto race = [] {
    std::thread other([] { shared[0] = 1; });
    shared[0] = 2;
    other.join();
  };
  EXPECT_DEATH(race(), "data race");
}

#endif

} // namespace

int main(int count, char **arguments) {
  testing::InitGoogleTest(&count, arguments);
  GTEST_FLAG_SET(death_test_style, "threadsafe"); // a fork of a program with threads would not have them
  return RUN_ALL_TESTS();
}
