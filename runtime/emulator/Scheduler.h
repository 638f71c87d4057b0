/// Which block runs when, and on which of the host's threads.
#ifndef KERF_RUNTIME_EMULATOR_SCHEDULER_H
#define KERF_RUNTIME_EMULATOR_SCHEDULER_H

#include "runtime/emulator/Cta.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace kerf::emulator {

/// Threads that wait for work.
class Workers {
public:
  ~Workers();
  /// Calls `job` on `count` threads, this one among them, and returns when all calls have.
  void run(unsigned count, const std::function<void()> &job);

private:
  void loop();
  std::mutex mutex_;
  std::condition_variable begin_, end_;
  std::vector<std::thread> threads_;
  const std::function<void()> *job_ = nullptr;
  unsigned open_ = 0, running_ = 0;
  bool stops_ = false;
};

/// What a launch executed.
struct Executed {
  uint64_t instructions = 0, laneInstructions = 0;
  /// As Cta::entered, of all blocks.
  std::vector<uint64_t> entered;

  void add(const Executed &other);
};

/// Runs all blocks of a launch, on up to `threads` threads; what is found goes to the launch's findings. Throws Fault.
Executed run(const Launch &launch, Workers &workers, unsigned threads);

} // namespace kerf::emulator

#endif
