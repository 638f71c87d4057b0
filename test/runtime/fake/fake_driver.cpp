// The driver library of FakeDriver.h.
#include "runtime/cuda/DriverApi.h"
#include "test/runtime/fake/FakeDriver.h"
#include "test/runtime/fake/FakeGpu.h"

#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

using namespace kerf::cuda;
using kerf::test::FakeDriver;
using kerf::test::FakeFunction;

namespace {

using Work = std::function<CUresult()>;
using Clock = std::chrono::steady_clock;

FakeDriver state;
std::recursive_mutex mutex;

// A device address is the host's with this bit, so that neither side can follow the other's.
constexpr uint64_t kDeviceBit = uint64_t(1) << 62;
struct Block {
  std::unique_ptr<uint8_t[]> bytes;
  uint64_t size;
};
std::map<CUdeviceptr, Block> blocks;
std::map<void *, std::unique_ptr<uint8_t[]>> pinned;
std::set<void *> objects; // streams, events, modules, graphs, executable graphs
uint64_t retained = 0;
thread_local std::vector<CUcontext> current;
const CUcontext kContext = reinterpret_cast<CUcontext>(uintptr_t(0x10));

template <typename T> T *add(T *object) {
  objects.insert(object);
  ++state.objects;
  return object;
}
template <typename T> CUresult remove(T *object) {
  if (!objects.erase(object))
    return CUDA_ERROR_INVALID_HANDLE;
  --state.objects;
  delete object;
  return CUDA_SUCCESS;
}

// A call while it runs. Calls exclude each other.
class Call {
public:
  Call() {
    if (state.onCall)
      state.onCall(true);
  }
  ~Call() {
    if (state.onCall)
      state.onCall(false);
  }

private:
  std::lock_guard<std::recursive_mutex> lock_{mutex};
};

CUresult injected(const char *call) {
  if (state.lost)
    return CUresult(state.lost);
  if (!state.failing || std::strcmp(call, state.failing) != 0 || state.after-- > 0)
    return CUDA_SUCCESS;
  state.failing = nullptr;
  if (state.sticky)
    state.lost = state.error;
  return CUresult(state.error);
}

// The host's address of [address, address + bytes), or NULL when that is not inside one block.
uint8_t *follow(CUdeviceptr address, uint64_t bytes) {
  auto after = blocks.upper_bound(address);
  if (after == blocks.begin())
    return nullptr;
  const auto &[base, block] = *std::prev(after);
  return address - base <= block.size && bytes <= block.size - (address - base)
             ? reinterpret_cast<uint8_t *>(address & ~kDeviceBit)
             : nullptr;
}

} // namespace

struct kerf::cuda::CUstream_st {
  std::vector<Work> queue;
  bool capturing = false;
  std::vector<Work> captured;
};
struct kerf::cuda::CUevent_st {
  Clock::time_point time;
  CUstream stream = nullptr;
};
struct kerf::cuda::CUmod_st {};
struct kerf::cuda::CUfunc_st : FakeFunction {
  unsigned shared = 48 * 1024;
};
struct kerf::cuda::CUgraph_st {
  std::vector<Work> work;
};
struct kerf::cuda::CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

std::map<std::string, CUfunc_st> functions;

CUresult push(CUstream stream, Work work) {
  if (!objects.count(stream))
    return CUDA_ERROR_INVALID_HANDLE;
  (stream->capturing ? stream->captured : stream->queue).push_back(std::move(work));
  return CUDA_SUCCESS;
}

// Does what the stream holds. After an error, nothing more: as on a GPU, which is then lost.
CUresult drain(CUstream stream) {
  ++state.waits;
  std::vector<Work> queue = std::move(stream->queue);
  stream->queue.clear();
  for (const Work &work : queue) {
    if (const CUresult result = state.lost ? CUresult(state.lost) : work(); result != CUDA_SUCCESS) {
      state.lost = result;
      return result;
    }
  }
  return CUresult(state.lost);
}

CUresult runBlocks(const FakeFunction &function, const std::vector<uint64_t> &parameters, unsigned blocksOfGrid) {
  if (void (*hook)() = state.onKernel.load())
    hook();
  if (const CUresult result = injected("a kernel"); result != CUDA_SUCCESS)
    return result;
  std::vector<void *> operands;
  for (uint64_t parameter : parameters) {
    operands.push_back(follow(parameter, 4));
    // No bytes give no block, so an operand without bytes has no address; the rows always have one.
    if (!operands.back() && operands.size() == parameters.size())
      return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  int32_t rows;
  std::memcpy(&rows, operands.back(), sizeof rows);
  for (unsigned block = 0; block < blocksOfGrid; ++block)
    function.block(operands.data(), rows, block);
  return CUDA_SUCCESS;
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

FakeDriver *kerf_fake_driver() { return &state; }

#define BEGIN(name)                                                                                                    \
  Call scope;                                                                                                          \
  if (const CUresult result = injected(name); result != CUDA_SUCCESS)                                                  \
  return result
#define BEGIN_IN_CONTEXT(name)                                                                                         \
  BEGIN(name);                                                                                                         \
  if (current.empty())                                                                                                 \
  return CUDA_ERROR_INVALID_CONTEXT

CUresult cuInit(unsigned) {
  BEGIN("cuInit");
  return CUDA_SUCCESS;
}
CUresult cuDriverGetVersion(int *version) {
  *version = state.version;
  return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char **text) {
  *text = error == CUDA_ERROR_OUT_OF_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == CUDA_ERROR_LAUNCH_FAILED   ? "CUDA_ERROR_LAUNCH_FAILED"
          : error == CUDA_ERROR_INVALID_PTX     ? "CUDA_ERROR_INVALID_PTX"
                                                : nullptr;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : nullptr;
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count) {
  BEGIN("cuDeviceGetCount");
  *count = state.devices;
  return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  BEGIN("cuDeviceGet");
  *device = ordinal;
  return ordinal < state.devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  std::strncpy(name, "Fake GPU", size_t(length));
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR            ? state.major
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR          ? state.minor
           : attribute == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN ? state.shared
           : attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT              ? 4
                                                                                : 32;
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
  *bytes = state.memory;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  BEGIN("cuDevicePrimaryCtxRetain");
  ++retained, ++state.objects;
  *context = kContext;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  Call scope;
  if (!retained)
    return CUDA_ERROR_INVALID_CONTEXT;
  --retained, --state.objects;
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
  Call scope;
  current.push_back(context);
  return context == kContext ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  Call scope;
  if (current.empty())
    return CUDA_ERROR_INVALID_CONTEXT;
  *context = current.back();
  current.pop_back();
  return CUDA_SUCCESS;
}
CUresult cuCtxSynchronize() {
  BEGIN_IN_CONTEXT("cuCtxSynchronize");
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values) {
  BEGIN_IN_CONTEXT("cuModuleLoadDataEx");
  if (std::strcmp(static_cast<const char *>(image), kerf::test::kFakeImage) != 0) {
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
        std::strcpy(static_cast<char *>(values[i]), "line 1: this is no image");
    return CUDA_ERROR_INVALID_PTX;
  }
  *module = add(new CUmod_st);
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) {
  Call scope;
  return remove(module);
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
  BEGIN_IN_CONTEXT("cuModuleGetFunction");
  const FakeFunction *found = kerf::test::findFakeFunction(name);
  if (!found)
    return CUDA_ERROR_NOT_FOUND;
  *function = &functions.try_emplace(name, CUfunc_st{*found}).first->second;
  return CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute, CUfunction) {
  *value = 0;
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  BEGIN_IN_CONTEXT("cuFuncSetAttribute");
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > state.shared)
    return CUDA_ERROR_INVALID_VALUE;
  function->shared = unsigned(value);
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int, size_t) {
  *blocks = 1;
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN_IN_CONTEXT("cuMemGetInfo");
  *total = state.memory;
  *free = state.memory - state.allocated;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
  BEGIN_IN_CONTEXT("cuMemAlloc");
  if (bytes == 0)
    return CUDA_ERROR_INVALID_VALUE;
  if (bytes > state.memory - state.allocated)
    return CUDA_ERROR_OUT_OF_MEMORY;
  Block block = {std::unique_ptr<uint8_t[]>(new uint8_t[bytes]), bytes};
  std::memset(block.bytes.get(), 0xa5, bytes);
  *pointer = reinterpret_cast<uint64_t>(block.bytes.get()) | kDeviceBit;
  blocks.emplace(*pointer, std::move(block));
  state.allocated += bytes;
  return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr pointer) {
  Call scope;
  const auto found = blocks.find(pointer);
  if (found == blocks.end() || current.empty())
    return CUDA_ERROR_INVALID_VALUE;
  state.allocated -= found->second.size;
  blocks.erase(found);
  return CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  BEGIN_IN_CONTEXT("cuMemHostAlloc");
  std::unique_ptr<uint8_t[]> block(new uint8_t[bytes]);
  std::memset(block.get(), 0xa5, bytes);
  *pointer = block.get();
  pinned.emplace(*pointer, std::move(block));
  ++state.objects;
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void *pointer) {
  Call scope;
  if (!pinned.erase(pointer))
    return CUDA_ERROR_INVALID_VALUE;
  --state.objects;
  return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  BEGIN_IN_CONTEXT("cuMemcpyHtoDAsync");
  uint8_t *target = follow(to, bytes);
  if (!target)
    return CUDA_ERROR_INVALID_VALUE;
  ++state.uploads;
  return push(stream, [=] { return std::memcpy(target, from, bytes), CUDA_SUCCESS; });
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN_IN_CONTEXT("cuMemcpyDtoHAsync");
  const uint8_t *source = follow(from, bytes);
  if (!source)
    return CUDA_ERROR_INVALID_VALUE;
  ++state.downloads;
  state.downloadedBytes += bytes;
  return push(stream, [=] { return std::memcpy(to, source, bytes), CUDA_SUCCESS; });
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN_IN_CONTEXT("cuMemcpyDtoDAsync");
  uint8_t *target = follow(to, bytes);
  const uint8_t *source = follow(from, bytes);
  if (!target || !source)
    return CUDA_ERROR_INVALID_VALUE;
  return push(stream, [=] { return std::memcpy(target, source, bytes), CUDA_SUCCESS; });
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  BEGIN_IN_CONTEXT("cuMemsetD8Async");
  uint8_t *target = follow(to, bytes);
  if (!target)
    return CUDA_ERROR_INVALID_VALUE;
  ++state.fills;
  return push(stream, [=] { return std::memset(target, value, bytes), CUDA_SUCCESS; });
}

CUresult cuStreamCreate(CUstream *stream, unsigned) {
  BEGIN_IN_CONTEXT("cuStreamCreate");
  *stream = add(new CUstream_st);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  Call scope;
  return remove(stream);
}
CUresult cuStreamSynchronize(CUstream stream) {
  BEGIN_IN_CONTEXT("cuStreamSynchronize");
  return objects.count(stream) ? drain(stream) : CUDA_ERROR_INVALID_HANDLE;
}
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) {
  BEGIN_IN_CONTEXT("cuStreamWaitEvent");
  return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned) {
  BEGIN_IN_CONTEXT("cuEventCreate");
  *event = add(new CUevent_st);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
  BEGIN_IN_CONTEXT("cuEventRecord");
  event->stream = stream;
  return push(stream, [=] { return event->time = Clock::now(), CUDA_SUCCESS; });
}
CUresult cuEventSynchronize(CUevent event) {
  BEGIN_IN_CONTEXT("cuEventSynchronize");
  return event->stream ? drain(event->stream) : CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
  BEGIN_IN_CONTEXT("cuEventElapsedTime");
  *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) {
  Call scope;
  return remove(event);
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void **parameters,
                        void **) {
  BEGIN_IN_CONTEXT("cuLaunchKernel");
  if (!gridX || gridY != 1 || gridZ != 1 || !blockX || blockX % 32 || blockY != 1 || blockZ != 1 ||
      sharedBytes > function->shared)
    return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint64_t> values;
  for (uint32_t i = 0; i <= function->operands; ++i)
    values.push_back(*static_cast<uint64_t *>(parameters[i]));
  ++(stream->capturing ? state.captured : state.launches);
  return push(stream, [function, values, gridX] { return runBlocks(*function, values, gridX); });
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
  BEGIN_IN_CONTEXT("cuStreamBeginCapture");
  stream->capturing = true;
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  BEGIN_IN_CONTEXT("cuStreamEndCapture");
  stream->capturing = false;
  *graph = add(new CUgraph_st{std::move(stream->captured)});
  stream->captured.clear();
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *, char *, size_t) {
  BEGIN_IN_CONTEXT("cuGraphInstantiate");
  *exec = add(new CUgraphExec_st{graph->work});
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  BEGIN_IN_CONTEXT("cuGraphLaunch");
  ++state.graphLaunches;
  for (const Work &work : exec->work)
    if (const CUresult result = push(stream, work); result != CUDA_SUCCESS)
      return result;
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec exec) {
  Call scope;
  return remove(exec);
}
CUresult cuGraphDestroy(CUgraph graph) {
  Call scope;
  return remove(graph);
}

} // extern "C"
#pragma GCC visibility pop
