#include "runtime/cuda/Gpu.h"

#include "runtime/support/Error.h"
#include "runtime/support/Memory.h"

namespace kerf::cuda {

using rt::fail;

Gpu::Gpu(const Driver &driver, uint32_t ordinal) : driver_(driver) {
  int count = 0;
  driver_.call(driver_.cuDeviceGetCount, "", &count);
  if (count <= 0)
    driver_.refuse(driver_.cuDeviceGetCount.name, "no GPU", CUDA_ERROR_NO_DEVICE);
  if (ordinal >= uint32_t(count))
    fail(KERF_BAD_ARGUMENT, "device must be 0 to ", count - 1, ", got ", ordinal, "; nvidia-smi lists them");
  const std::string about = "device " + std::to_string(ordinal);
  driver_.call(driver_.cuDeviceGet, about, &device_, int(ordinal));
  char name[256] = {};
  driver_.call(driver_.cuDeviceGetName, about, name, int(sizeof name - 1), device_);
  name_ = name;
  auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    driver_.call(driver_.cuDeviceGetAttribute, about, &value, which, device_);
    return uint32_t(value);
  };
  architecture_ = 10 * attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                  attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  sharedBytes_ = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  driver_.call(driver_.cuDevicePrimaryCtxRetain, about, &context_, device_);
}

Gpu::~Gpu() { driver_.cuDevicePrimaryCtxRelease(device_); }

uint64_t Gpu::freeMemory() const {
  Current scope(*this);
  size_t free = 0, total = 0;
  driver_.call(driver_.cuMemGetInfo, "", &free, &total);
  return free;
}

Gpu::Current::Current(const Gpu &gpu) : gpu_(gpu) {
  gpu_.driver_.call(gpu_.driver_.cuCtxPushCurrent, "", gpu_.context_);
}

Gpu::Current::~Current() {
  CUcontext popped;
  gpu_.driver_.cuCtxPopCurrent(&popped);
}

DeviceBlock allocateDevice(const Gpu &gpu, uint64_t bytes, const char *what) {
  if (bytes == 0)
    return {};
  CUdeviceptr block = 0;
  if (const CUresult result = gpu.driver().cuMemAlloc(&block, bytes); result != CUDA_SUCCESS)
    gpu.driver().refuse("cuMemAlloc", rt::formatBytes(bytes) + " for " + what, result);
  return {gpu, block};
}

PinnedBlock allocatePinned(const Gpu &gpu, uint64_t bytes, const char *what) {
  if (bytes == 0)
    return {};
  void *block = nullptr;
  if (const CUresult result = gpu.driver().cuMemHostAlloc(&block, bytes, 0); result != CUDA_SUCCESS)
    gpu.driver().refuse("cuMemHostAlloc", rt::formatBytes(bytes) + " of page-locked memory for " + what, result);
  return {gpu, block};
}

Stream makeStream(const Gpu &gpu) {
  CUstream stream = nullptr;
  gpu.driver().call(gpu.driver().cuStreamCreate, "", &stream, unsigned(CU_STREAM_NON_BLOCKING));
  return {gpu, stream};
}

Event makeEvent(const Gpu &gpu, bool timing) {
  CUevent event = nullptr;
  gpu.driver().call(gpu.driver().cuEventCreate, "", &event,
                    unsigned(timing ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING));
  return {gpu, event};
}

} // namespace kerf::cuda
