/// The emulated device and driver: contexts, modules, streams and what waits in them.
#ifndef KERF_RUNTIME_EMULATOR_DEVICE_H
#define KERF_RUNTIME_EMULATOR_DEVICE_H

#include "runtime/emulator/Counts.h"
#include "runtime/emulator/Cta.h"
#include "runtime/emulator/Findings.h"
#include "runtime/emulator/GlobalShadow.h"
#include "runtime/emulator/Scheduler.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>

namespace kerf::emulator {
/// Work of a stream.
using Operation = std::function<void()>;
} // namespace kerf::emulator

namespace kerf::cuda {

struct CUctx_st {};
struct CUfunc_st {
  emulator::Kernel kernel;
  unsigned maximumDynamicShared = 0;
};
struct CUmod_st {
  std::string text;
  emulator::PtxModule ptx;
  std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
  std::vector<uint64_t> variables;
};
struct CUgraph_st {
  std::vector<emulator::Operation> operations;
};
struct CUgraphExec_st {
  std::vector<emulator::Operation> operations;
};
struct CUstream_st {
  /// While it is captured: what it is captured into, whether the capture began here, and by which thread.
  CUgraph_st *graph = nullptr;
  bool isOrigin = false, isBroken = false;
  std::thread::id thread;
};
struct CUevent_st {
  bool isTimed = true;
  std::chrono::steady_clock::time_point time;
  bool isRecorded = false, isDone = false;
  CUgraph_st *graph = nullptr;
};

} // namespace kerf::cuda

namespace kerf::emulator {

/// What a device can do, by its compute capability.
struct Limits {
  int major = 8, minor = 0;
  uint64_t memory = uint64_t(8) << 30;
  int driver = 13000, devices = 1;
  int multiprocessors = 108, threadsOfMultiprocessor = 2048;
  int sharedOfBlock = 99 << 10, sharedOfMultiprocessor = 164 << 10;
};

/// A call that is to fail.
struct Injection {
  std::string function;
  uint64_t call;
  cuda::CUresult error;
};

/// Everything there is; guarded by `mutex`.
struct Device {
  Device();

  /// Puts work into a stream, or into the graph that it is captured into.
  void enqueue(cuda::CUstream stream, Operation operation);
  /// Does all work that waits. Returns the context's fault.
  cuda::CUresult finish();
  /// The context fails with this from now on.
  void setFault(cuda::CUresult error);
  /// The error that call of `function` is to return; CUDA_SUCCESS: none.
  cuda::CUresult injected(const char *function);
  void launch(Launch launch);
  uint64_t nextSeed();

  std::recursive_mutex mutex;
  Limits limits;
  uint64_t seed = 0;
  unsigned threads = 0;
  bool isReady = false;
  cuda::CUctx_st context;
  unsigned retained = 0;
  cuda::CUresult fault = cuda::CUDA_SUCCESS;
  std::optional<DeviceMemory> memory;
  std::optional<GlobalShadow> shadow;
  Findings findings;
  Workers workers;
  std::deque<Operation> waiting;
  std::map<uint64_t, uint64_t> pinned; // host memory: start, bytes
  std::set<std::unique_ptr<cuda::CUmod_st>> modules;
  std::set<std::unique_ptr<cuda::CUstream_st>> streams;
  std::set<std::unique_ptr<cuda::CUevent_st>> events;
  std::set<std::unique_ptr<cuda::CUgraph_st>> graphs;
  std::set<std::unique_ptr<cuda::CUgraphExec_st>> executables;
  cuda::CUstream_st defaultStream;
  uint64_t launches = 0, instructions = 0, laneInstructions = 0;
  std::vector<Injection> injections;
  std::optional<CountsFile> counts;
  std::map<std::string, uint64_t> calls;
  Random random{0};
};

/// The one there is; made on the first call, by the environment.
Device &device();
/// Its contexts by thread.
std::vector<cuda::CUcontext> &contextStack();
/// Reads "FUNCTION:N:ERROR,..."; nothing if it does not understand the text.
std::optional<std::vector<Injection>> readInjections(const std::string &text);
/// "CUDA_ERROR_..." and its meaning; NULL for a number that is no error.
const char *errorName(cuda::CUresult error);
const char *errorText(cuda::CUresult error);
/// Whether the context cannot be used after it.
bool isSticky(cuda::CUresult error);
/// Destroys what reset() replaces.
void resetDevice();

} // namespace kerf::emulator

#endif
