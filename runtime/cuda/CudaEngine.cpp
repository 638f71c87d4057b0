#include "runtime/cuda/CudaEngine.h"

#include "runtime/cuda/CudaProgram.h"

#include <cstring>

namespace kerf::cuda {
namespace {

class CudaMemory final : public rt::Memory {
public:
  CudaMemory(const Gpu &gpu, uint64_t bytes, bool shared, const char *what)
      : Memory(bytes), device_(allocateDevice(gpu, bytes, what)) {
    address_ = device_.get();
    if (shared) {
      pinned_ = allocatePinned(gpu, bytes, what);
      host_ = static_cast<uint8_t *>(pinned_.get());
      if (bytes)
        std::memset(host_, 0, bytes);
    }
  }

private:
  DeviceBlock device_;
  PinnedBlock pinned_;
};

Stream makeStreamOn(const Gpu &gpu) {
  Gpu::Current scope(gpu);
  return makeStream(gpu);
}

} // namespace

CudaEngine::CudaEngine(const CudaDevice &device)
    : device_(device), gpu_(device.gpu()), driver_(gpu_.driver()), stream_(makeStreamOn(gpu_)) {}

std::unique_ptr<rt::Memory> CudaEngine::allocate(uint64_t bytes, bool shared, const char *what) {
  Gpu::Current scope(gpu_);
  return std::make_unique<CudaMemory>(gpu_, bytes, shared, what);
}

std::unique_ptr<rt::Executable> CudaEngine::prepare(const rt::Preparation &preparation) {
  Gpu::Current scope(gpu_);
  return std::make_unique<CudaProgram>(device_, stream_.get(), preparation);
}

void CudaEngine::send(const rt::Memory &memory, uint64_t offset, uint64_t bytes) {
  write(memory.address() + offset, memory.host() + offset, bytes);
}

void CudaEngine::fetch(const rt::Memory &memory, uint64_t offset, uint64_t bytes) {
  read(memory.host() + offset, memory.address() + offset, bytes);
}

void CudaEngine::fill(uint64_t to, uint8_t value, uint64_t bytes) {
  if (!bytes)
    return;
  Gpu::Current scope(gpu_);
  driver_.call(driver_.cuMemsetD8Async, "", to, value, bytes, stream_.get());
}

void CudaEngine::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  if (!bytes)
    return;
  Gpu::Current scope(gpu_);
  driver_.call(driver_.cuMemcpyDtoDAsync, "", to, from, bytes, stream_.get());
}

void CudaEngine::read(void *to, uint64_t from, uint64_t bytes) {
  if (!bytes)
    return;
  Gpu::Current scope(gpu_);
  driver_.call(driver_.cuMemcpyDtoHAsync, "", to, from, bytes, stream_.get());
}

void CudaEngine::write(uint64_t to, const void *from, uint64_t bytes) {
  if (!bytes)
    return;
  Gpu::Current scope(gpu_);
  driver_.call(driver_.cuMemcpyHtoDAsync, "", to, from, bytes, stream_.get());
}

void CudaEngine::finish() {
  Gpu::Current scope(gpu_);
  driver_.call(driver_.cuStreamSynchronize, "", stream_.get());
}

} // namespace kerf::cuda
