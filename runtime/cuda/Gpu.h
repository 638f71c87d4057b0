/// A GPU, and owners of what the driver gives on it.
#ifndef KERF_RUNTIME_CUDA_GPU_H
#define KERF_RUNTIME_CUDA_GPU_H

#include "runtime/cuda/Driver.h"

#include <cstdint>
#include <string>
#include <utility>

namespace kerf::cuda {

/// A GPU and its primary context, which all users of the GPU in this process share. Any thread.
class Gpu {
public:
  /// Device `ordinal` of the driver; throws KERF_BAD_ARGUMENT when there are fewer, KERF_DEVICE_FAILED when there is
  /// none or it does not start.
  Gpu(const Driver &driver, uint32_t ordinal);
  ~Gpu();
  Gpu(const Gpu &) = delete;
  Gpu &operator=(const Gpu &) = delete;

  const Driver &driver() const { return driver_; }
  /// E.g. "NVIDIA H200".
  const std::string &name() const { return name_; }
  /// 10 * major + minor compute capability.
  uint32_t architecture() const { return architecture_; }
  /// Most dynamic shared memory of a block, in bytes.
  uint32_t sharedBytes() const { return sharedBytes_; }
  /// Bytes of its memory that nobody uses.
  uint64_t freeMemory() const;

  /// While alive, the GPU's context is that of the calling thread.
  class Current {
  public:
    /// Throws KERF_DEVICE_FAILED.
    explicit Current(const Gpu &gpu);
    ~Current();
    Current(const Current &) = delete;
    Current &operator=(const Current &) = delete;

  private:
    const Gpu &gpu_;
  };
  /// Runs `body` in the context, if that can be had at all: for giving things back, where nothing may be thrown and a
  /// lost GPU has taken them already.
  template <typename Body> void quietly(Body &&body) const noexcept {
    if (driver_.cuCtxPushCurrent(context_) != CUDA_SUCCESS)
      return;
    body();
    CUcontext popped;
    driver_.cuCtxPopCurrent(&popped);
  }

private:
  const Driver &driver_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  std::string name_;
  uint32_t architecture_ = 0, sharedBytes_ = 0;
};

/// Owns a T that `Destroy`, a function of the driver, gives back.
template <typename T, auto Destroy> class Handle {
public:
  Handle() = default;
  Handle(const Gpu &gpu, T value) : gpu_(&gpu), value_(value) {}
  ~Handle() {
    if (gpu_)
      gpu_->quietly([&] { (gpu_->driver().*Destroy)(value_); });
  }
  Handle(Handle &&other) noexcept : gpu_(std::exchange(other.gpu_, nullptr)), value_(other.value_) {}
  Handle &operator=(Handle &&other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(value_, other.value_);
    return *this;
  }
  T get() const { return value_; }
  explicit operator bool() const { return gpu_ != nullptr; }

private:
  const Gpu *gpu_ = nullptr;
  T value_{};
};

using DeviceBlock = Handle<CUdeviceptr, &Driver::cuMemFree>;
using PinnedBlock = Handle<void *, &Driver::cuMemFreeHost>;
using Stream = Handle<CUstream, &Driver::cuStreamDestroy>;
using Event = Handle<CUevent, &Driver::cuEventDestroy>;
using Module = Handle<CUmodule, &Driver::cuModuleUnload>;
using Graph = Handle<CUgraph, &Driver::cuGraphDestroy>;
using GraphExec = Handle<CUgraphExec, &Driver::cuGraphExecDestroy>;

/// These need the context to be current. `what` names in errors what the memory is for; no bytes give no block.
DeviceBlock allocateDevice(const Gpu &gpu, uint64_t bytes, const char *what);
PinnedBlock allocatePinned(const Gpu &gpu, uint64_t bytes, const char *what);
Stream makeStream(const Gpu &gpu);
Event makeEvent(const Gpu &gpu, bool timing);

} // namespace kerf::cuda

#endif
