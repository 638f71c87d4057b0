#include "runtime/cpu/Dispatcher.h"

#include "runtime/cpu/Threads.h"
#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"

#include <chrono>
#include <pthreadpool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__has_feature) && __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define KERF_TSAN(call) call
#else
#define KERF_TSAN(call)
#endif

namespace kerf::rt {
namespace {

// Kernels run with the default floating-point environment whatever the caller's is: round to nearest, denormals kept.
// Otherwise a row's bits would depend on the thread that runs it. Pool threads get theirs at their creation.
class DefaultFloats {
public:
#if defined(__x86_64__)
  DefaultFloats() : before_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultFloats() { _mm_setcsr(before_); }

private:
  unsigned before_;
#endif
};

struct Tasks {
  kerf_kernel_fn kernel;
  void *const *operands;
  int64_t rows;
};

// pthreadpool synchronizes by futex in code that ThreadSanitizer does not see, so it is told the two orders that the
// pool promises: every task comes after the call and before its return. Tasks stay unordered among themselves.
void runTask(void *tasks, size_t index) {
  Tasks &t = *static_cast<Tasks *>(tasks);
  KERF_TSAN(__tsan_acquire(&t.kernel));
  t.kernel(t.operands, t.rows, int64_t(index));
  KERF_TSAN(__tsan_release(&t.rows));
}

uint64_t taskCount(const kerf_kernel &kernel, int64_t rows) {
  return (uint64_t(rows) + kernel.tile - 1) / kernel.tile * kernel.columns;
}

// Waking the pool takes a few microseconds. A dispatch that moves and computes less than this is done sooner by the
// calling thread: 64 KiB at some 20 GB/s, 128 K operations at some 40 GFLOP/s, are about 3 us on one core.
constexpr double kInlineBytes = 64 * 1024, kInlineOperations = 128 * 1024;

bool runsInline(const kerf_dispatch &dispatch, const Extents &extents) {
  const double bytes = evaluateCost(dispatch.bytes, extents), operations = evaluateCost(dispatch.operations, extents);
  return bytes + operations > 0 && bytes < kInlineBytes && operations < kInlineOperations;
}

} // namespace

void ThreadPool::Release::operator()(pthreadpool *pool) const { pthreadpool_destroy(pool); }

ThreadPool::ThreadPool(uint32_t count) : count_(count) {
  if (count <= 1)
    return;
  DefaultFloats inherited;
  pool_.reset(pthreadpool_create(count));
  if (!pool_ || pthreadpool_get_threads_count(pool_.get()) != count)
    fail(KERF_OUT_OF_MEMORY, "the system gave no ", count, " threads");
  // Between dispatches workers spin, which is quickest while each has a CPU; with more threads than CPUs they would
  // only keep the others from running.
  if (count > usableThreads())
    flags_ = PTHREADPOOL_FLAG_YIELD_WORKERS;
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::run(kerf_kernel_fn kernel, void *const *operands, int64_t rows, uint64_t tasks, bool alone) const {
  if (!pool_ || tasks == 1 || alone) {
    for (uint64_t i = 0; i < tasks; ++i)
      kernel(operands, rows, int64_t(i));
    return;
  }
  Tasks call = {kernel, operands, rows};
  KERF_TSAN(__tsan_release(&call.kernel));
  pthreadpool_parallelize_1d(pool_.get(), runTask, &call, size_t(tasks), flags_);
  KERF_TSAN(__tsan_acquire(&call.rows));
}

Dispatcher::Dispatcher(const ThreadPool &pool, const kerf_variant &variant, const Preparation &preparation)
    : Executable(Profile(preparation.program, [&](uint32_t kernel) { return kernelsOf(variant)[kernel].name; })),
      pool_(pool) {
  size_t operands = 0;
  for (const kerf_dispatch &dispatch : dispatchesOf(preparation.program))
    operands += dispatch.operand_count;
  addresses_.reserve(operands);
  calls_.reserve(preparation.program.dispatch_count);
  for (const kerf_dispatch &dispatch : dispatchesOf(preparation.program)) {
    void *const *first = addresses_.data() + addresses_.size();
    for (const kerf_operand &operand : operandsOf(dispatch))
      addresses_.push_back(reinterpret_cast<void *>(preparation.resolve(operand)));
    calls_.push_back({&kernelsOf(variant)[dispatch.kernel], first, &dispatch, workListOf(dispatch)});
  }
}

bool Dispatcher::run(const StepSizes &sizes, const std::atomic<bool> &cancel) {
  DefaultFloats scope;
  for (uint32_t i = 0; i < calls_.size(); ++i) {
    const Call &call = calls_[i];
    if (cancel.load(std::memory_order_relaxed))
      return false;
    const Extents &extents = sizes.byWorkList[call.workList];
    const int64_t rows = extents[call.dispatch->extent];
    const uint64_t tasks = taskCount(*call.kernel, rows);
    if (tasks == 0)
      continue;
    const bool alone = runsInline(*call.dispatch, extents);
    if (!profile_.enabled()) {
      pool_.run(call.kernel->run, call.operands, rows, tasks, alone);
      continue;
    }
    const auto begin = std::chrono::steady_clock::now();
    pool_.run(call.kernel->run, call.operands, rows, tasks, alone);
    const auto end = std::chrono::steady_clock::now();
    profile_.add(i, uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count()), tasks,
                 extents);
  }
  return !cancel.load(std::memory_order_relaxed);
}

} // namespace kerf::rt
