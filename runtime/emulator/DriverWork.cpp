// The driver's functions: memory, streams, events, launches and graphs.
#include "runtime/emulator/Driver.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace kerf::cuda {

using namespace emulator;

/// Calls that wait are not permitted to the thread that captures a stream; they break the capture.
static bool isCaptured(Device &d) {
  bool captured = false;
  for (const auto &stream : d.streams)
    if (stream->graph && stream->thread == std::this_thread::get_id())
      captured = stream->isBroken = true;
  return captured;
}

static bool isStream(const Device &d, CUstream stream) {
  return !stream || std::any_of(d.streams.begin(), d.streams.end(), [&](auto &s) { return s.get() == stream; });
}
template <typename Set, typename T> static auto owner(Set &set, T *object) {
  return std::find_if(set.begin(), set.end(), [&](auto &held) { return held.get() == object; });
}

CUresult cuCtxSynchronize() {
  return call("cuCtxSynchronize", Needs::Context,
              [&](Device &d) { return isCaptured(d) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : d.finish(); });
}

CUresult cuMemGetInfo(size_t *free, size_t *total) {
  return call("cuMemGetInfo_v2", Needs::Context, [&](Device &d) {
    *free = d.memory->free();
    *total = d.memory->total();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAlloc(CUdeviceptr *pointer, size_t bytes) {
  return call("cuMemAlloc_v2", Needs::Context, [&](Device &d) {
    if (!pointer || !bytes)
      return CUDA_ERROR_INVALID_VALUE;
    if (isCaptured(d))
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    *pointer = d.memory->allocate(bytes);
    return *pointer ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
  });
}

CUresult cuMemFree(CUdeviceptr pointer) {
  return call("cuMemFree_v2", Needs::Context, [&](Device &d) {
    if (!pointer)
      return CUDA_SUCCESS;
    if (isCaptured(d))
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    // Work that still uses it comes first.
    if (CUresult error = d.finish())
      return error;
    return d.memory->release(pointer) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  return call("cuMemHostAlloc", Needs::Context, [&](Device &d) {
    if (!pointer || !bytes)
      return CUDA_ERROR_INVALID_VALUE;
    *pointer = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!*pointer)
      return CUDA_ERROR_OUT_OF_MEMORY;
    d.pinned[reinterpret_cast<uint64_t>(*pointer)] = bytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFreeHost(void *pointer) {
  // Also after a fault, unlike with the real driver: the memory is the process's own.
  return call("cuMemFreeHost", Needs::Init, [&](Device &d) {
    auto found = d.pinned.find(reinterpret_cast<uint64_t>(pointer));
    if (found == d.pinned.end())
      return CUDA_ERROR_INVALID_VALUE;
    CUresult result = d.finish();
    d.pinned.erase(found);
    std::free(pointer);
    return result;
  });
}

static bool isPinned(const Device &d, const void *pointer, size_t bytes) {
  auto at = reinterpret_cast<uint64_t>(pointer);
  auto after = d.pinned.upper_bound(at);
  if (after == d.pinned.begin())
    return false;
  --after;
  return at + bytes <= after->first + after->second;
}
static bool isAllocated(const Device &d, CUdeviceptr pointer, size_t bytes) {
  return d.memory->find(pointer).holds(pointer, bytes);
}

/// Work of a copy. With memory that is not pinned the driver is done with the host's side when it returns.
static CUresult copy(Device &d, CUstream stream, bool isAsynchronous, Operation operation) {
  d.enqueue(stream, std::move(operation));
  return isAsynchronous || (stream && stream->graph) ? CUDA_SUCCESS : d.finish();
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  return callLater("cuMemcpyHtoDAsync_v2", stream, [&](Device &d) {
    if (!bytes)
      return CUDA_SUCCESS;
    if (!isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    if (!from || !isAllocated(d, to, bytes))
      return CUDA_ERROR_INVALID_VALUE;
    return copy(d, stream, isPinned(d, from, bytes), [&d, to, from, bytes] {
      std::memcpy(reinterpret_cast<void *>(to), from, bytes);
      d.memory->write(to, bytes);
    });
  });
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return callLater("cuMemcpyDtoHAsync_v2", stream, [&](Device &d) {
    if (!bytes)
      return CUDA_SUCCESS;
    if (!isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    if (!to || !isAllocated(d, from, bytes))
      return CUDA_ERROR_INVALID_VALUE;
    return copy(d, stream, isPinned(d, to, bytes),
                [to, from, bytes] { std::memcpy(to, reinterpret_cast<const void *>(from), bytes); });
  });
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return callLater("cuMemcpyDtoDAsync_v2", stream, [&](Device &d) {
    if (!bytes)
      return CUDA_SUCCESS;
    if (!isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    if (!isAllocated(d, to, bytes) || !isAllocated(d, from, bytes))
      return CUDA_ERROR_INVALID_VALUE;
    d.enqueue(stream, [&d, to, from, bytes] {
      std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
      d.memory->copyWritten(to, from, bytes);
    });
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  return callLater("cuMemsetD8Async", stream, [&](Device &d) {
    if (!bytes)
      return CUDA_SUCCESS;
    if (!isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    if (!isAllocated(d, to, bytes))
      return CUDA_ERROR_INVALID_VALUE;
    d.enqueue(stream, [&d, to, value, bytes] {
      std::memset(reinterpret_cast<void *>(to), value, bytes);
      d.memory->write(to, bytes);
    });
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamCreate(CUstream *stream, unsigned) {
  return call("cuStreamCreate", Needs::Context, [&](Device &d) {
    *stream = d.streams.insert(std::make_unique<CUstream_st>()).first->get();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy(CUstream stream) {
  return call("cuStreamDestroy_v2", Needs::Context, [&](Device &d) {
    auto found = owner(d.streams, stream);
    if (found == d.streams.end())
      return CUDA_ERROR_INVALID_HANDLE;
    d.streams.erase(found);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return call("cuStreamSynchronize", Needs::Context, [&](Device &d) {
    if (!isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    if (stream && stream->graph) {
      stream->isBroken = true;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return d.finish();
  });
}

// All streams share one queue, so an event orders nothing more; but a captured stream takes along those that wait for
// what it recorded.
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  return call("cuStreamWaitEvent", Needs::Context, [&](Device &d) {
    if (!isStream(d, stream) || owner(d.events, event) == d.events.end())
      return CUDA_ERROR_INVALID_HANDLE;
    if (stream && event->graph)
      stream->graph = event->graph;
    return CUDA_SUCCESS;
  });
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  return call("cuEventCreate", Needs::Context, [&](Device &d) {
    *event = d.events.insert(std::make_unique<CUevent_st>()).first->get();
    (*event)->isTimed = !(flags & CU_EVENT_DISABLE_TIMING);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return callLater("cuEventRecord", stream, [&](Device &d) {
    if (!isStream(d, stream) || owner(d.events, event) == d.events.end())
      return CUDA_ERROR_INVALID_HANDLE;
    event->graph = stream ? stream->graph : nullptr;
    if (event->graph)
      return CUDA_SUCCESS;
    event->isRecorded = true;
    event->isDone = false;
    d.enqueue(stream, [event] {
      event->time = std::chrono::steady_clock::now();
      event->isDone = true;
    });
    return CUDA_SUCCESS;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return call("cuEventSynchronize", Needs::Context, [&](Device &d) {
    if (owner(d.events, event) == d.events.end())
      return CUDA_ERROR_INVALID_HANDLE;
    if (event->graph)
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return d.finish();
  });
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
  return call("cuEventElapsedTime", Needs::Context, [&](Device &d) {
    for (CUevent event : {from, to})
      if (owner(d.events, event) == d.events.end() || !event->isRecorded || !event->isTimed)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!from->isDone || !to->isDone)
      return CUDA_ERROR_NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy(CUevent event) {
  return call("cuEventDestroy_v2", Needs::Context, [&](Device &d) {
    auto found = owner(d.events, event);
    if (found == d.events.end())
      return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = d.finish();
    d.events.erase(found);
    return result;
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                        unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream stream, void **parameters,
                        void **extra) {
  return callLater("cuLaunchKernel", stream, [&](Device &d) {
    if (!function || !isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    const Kernel &kernel = function->kernel;
    uint64_t threads = static_cast<uint64_t>(blockX) * blockY * blockZ;
    if (!gridX || !gridY || !gridZ || gridX > 0x7fffffff || gridY > 65535 || gridZ > 65535 || !threads ||
        blockX > 1024 || blockY > 1024 || blockZ > 64 || threads > 1024 || extra ||
        (!parameters && !kernel.parameters.empty()) || (kernel.requiredThreads && threads != kernel.requiredThreads) ||
        (kernel.maximumThreads && threads > kernel.maximumThreads) || sharedBytes > function->maximumDynamicShared)
      return CUDA_ERROR_INVALID_VALUE;
    Launch launch;
    launch.kernel = &kernel;
    launch.grid = {gridX, gridY, gridZ};
    launch.block = {blockX, blockY, blockZ};
    launch.dynamicShared = sharedBytes;
    launch.memory = &*d.memory;
    launch.shadow = &*d.shadow;
    launch.findings = &d.findings;
    launch.multiprocessors = static_cast<unsigned>(d.limits.multiprocessors);
    launch.parameters.resize(kernel.parameterBytes);
    for (size_t i = 0; i < kernel.parameters.size(); ++i)
      std::memcpy(&launch.parameters[kernel.parameters[i].offset], parameters[i], kernel.parameters[i].bytes);
    d.enqueue(stream, [&d, launch = std::move(launch)] { d.launch(launch); });
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
  return call("cuStreamBeginCapture_v2", Needs::Context, [&](Device &d) {
    if (!stream || !isStream(d, stream) || stream->graph)
      return CUDA_ERROR_INVALID_VALUE;
    stream->graph = d.graphs.insert(std::make_unique<CUgraph_st>()).first->get();
    stream->isOrigin = true;
    stream->thread = std::this_thread::get_id();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  return call("cuStreamEndCapture", Needs::Context, [&](Device &d) {
    if (!stream || !isStream(d, stream) || !stream->isOrigin)
      return CUDA_ERROR_INVALID_VALUE;
    CUgraph captured = stream->graph;
    bool isBroken = false;
    for (const auto &other : d.streams)
      if (other->graph == captured) {
        isBroken |= other->isBroken;
        *other = {};
      }
    for (const auto &event : d.events)
      if (event->graph == captured)
        event->graph = nullptr;
    *graph = isBroken ? nullptr : captured;
    if (!isBroken)
      return CUDA_SUCCESS;
    d.graphs.erase(owner(d.graphs, captured));
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  });
}

CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *, char *log, size_t logBytes) {
  return call("cuGraphInstantiate_v2", Needs::Context, [&](Device &d) {
    if (log && logBytes)
      *log = '\0';
    if (owner(d.graphs, graph) == d.graphs.end())
      return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_unique<CUgraphExec_st>();
    made->operations = graph->operations;
    *exec = d.executables.insert(std::move(made)).first->get();
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return callLater("cuGraphLaunch", stream, [&](Device &d) {
    if (owner(d.executables, exec) == d.executables.end() || !isStream(d, stream))
      return CUDA_ERROR_INVALID_HANDLE;
    for (const Operation &operation : exec->operations)
      d.enqueue(stream, operation);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  return call("cuGraphExecDestroy", Needs::Context, [&](Device &d) {
    auto found = owner(d.executables, exec);
    if (found == d.executables.end())
      return CUDA_ERROR_INVALID_VALUE;
    d.executables.erase(found);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call("cuGraphDestroy", Needs::Context, [&](Device &d) {
    auto found = owner(d.graphs, graph);
    if (found == d.graphs.end())
      return CUDA_ERROR_INVALID_VALUE;
    d.graphs.erase(found);
    return CUDA_SUCCESS;
  });
}

} // namespace kerf::cuda
