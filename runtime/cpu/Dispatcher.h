/// Runs the dispatches of a program on a thread pool.
#ifndef KERF_RUNTIME_CPU_DISPATCHER_H
#define KERF_RUNTIME_CPU_DISPATCHER_H

#include "kerf/kerf.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

struct pthreadpool;

namespace kerf::rt {

/// Sizes of one step, indexed by kerf_extent.
using Extents = std::array<int64_t, KERF_EXTENT_COUNT>;

/// A pool of threads; the caller of run is one of them.
class ThreadPool {
public:
  /// Starts `count` - 1 threads; throws KERF_OUT_OF_MEMORY.
  explicit ThreadPool(uint32_t count);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;
  /// Threads, the caller included.
  uint32_t count() const { return count_; }
  /// Runs tasks 0 … tasks-1, in any order; returns when all are done. `alone`: all on the calling thread. Allocates
  /// nothing.
  void run(kerf_kernel_fn kernel, void *const *operands, int64_t rows, uint64_t tasks, bool alone) const;

private:
  struct Release {
    void operator()(pthreadpool *pool) const;
  };
  std::unique_ptr<pthreadpool, Release> pool_;
  uint32_t count_;
  uint32_t flags_ = 0; ///< of pthreadpool
};

/// One program with the addresses of all its operands, ready to run any number of times.
class Dispatcher {
public:
  /// Address of an operand.
  using Resolve = std::function<void *(const kerf_operand &)>;

  /// Resolves every operand once. `program` and `variant` must outlive this.
  Dispatcher(const kerf_program &program, const kerf_variant &variant, const Resolve &resolve);

  /// Runs all dispatches in order; false when `cancel` was seen set between two of them. The sizes of the step are
  /// given for each work list of the program, at least once; they differ in what rows attend to. Allocates nothing.
  bool run(const ThreadPool &pool, std::span<const Extents> byWorkList, const std::atomic<bool> &cancel);

  /// Switches timing on or off and clears it.
  void profile(bool enable);
  /// Dispatches in the program.
  uint32_t size() const { return uint32_t(calls_.size()); }
  /// What dispatch `index` has cost since profile(true).
  kerf_profile_row profileRow(uint32_t index) const;

private:
  struct Call {
    const kerf_kernel *kernel;
    void *const *operands;
    const kerf_dispatch *dispatch;
    uint32_t workList;
    uint64_t calls, nanoseconds, tasks;
    double bytes, operations;
  };

  std::vector<void *> addresses_;
  std::vector<Call> calls_;
  bool profiling_ = false;
};

} // namespace kerf::rt

#endif
