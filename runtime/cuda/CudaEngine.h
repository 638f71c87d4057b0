/// A context's part of a GPU: a stream, and memory.
#ifndef KERF_RUNTIME_CUDA_CUDAENGINE_H
#define KERF_RUNTIME_CUDA_CUDAENGINE_H

#include "runtime/cuda/CudaDevice.h"

namespace kerf::cuda {

/// Everything of a context goes through one stream, in order.
class CudaEngine final : public rt::Engine {
public:
  /// `device` must outlive the engine.
  explicit CudaEngine(const CudaDevice &device);

  uint32_t threads() const override { return 1; }
  std::unique_ptr<rt::Memory> allocate(uint64_t bytes, bool shared, const char *what) override;
  std::unique_ptr<rt::Executable> prepare(const rt::Preparation &preparation) override;
  void send(const rt::Memory &memory, uint64_t offset, uint64_t bytes) override;
  void fetch(const rt::Memory &memory, uint64_t offset, uint64_t bytes) override;
  void fill(uint64_t to, uint8_t value, uint64_t bytes) override;
  void copy(uint64_t to, uint64_t from, uint64_t bytes) override;
  void read(void *to, uint64_t from, uint64_t bytes) override;
  void write(uint64_t to, const void *from, uint64_t bytes) override;
  void finish() override;

private:
  const CudaDevice &device_;
  const Gpu &gpu_;
  const Driver &driver_;
  Stream stream_;
};

} // namespace kerf::cuda

#endif
