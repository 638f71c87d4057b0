/// Runs the dispatches of a program on a thread pool.
#ifndef KERF_RUNTIME_CPU_DISPATCHER_H
#define KERF_RUNTIME_CPU_DISPATCHER_H

#include "runtime/device/Device.h"

#include <vector>

struct pthreadpool;

namespace kerf::rt {

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

/// A program on a CPU.
class Dispatcher final : public Executable {
public:
  /// Resolves every operand once. `pool` and `variant` must outlive this.
  Dispatcher(const ThreadPool &pool, const kerf_variant &variant, const Preparation &preparation);

  bool run(const StepSizes &sizes, const std::atomic<bool> &cancel) override;

private:
  struct Call {
    const kerf_kernel *kernel;
    void *const *operands;
    const kerf_dispatch *dispatch;
    uint32_t workList;
  };

  const ThreadPool &pool_;
  std::vector<void *> addresses_;
  std::vector<Call> calls_;
};

} // namespace kerf::rt

#endif
