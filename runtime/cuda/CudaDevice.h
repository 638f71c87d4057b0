/// A GPU as the place where a model runs (docs/gpu.md).
#ifndef KERF_RUNTIME_CUDA_CUDADEVICE_H
#define KERF_RUNTIME_CUDA_CUDADEVICE_H

#include "runtime/cuda/Gpu.h"
#include "runtime/device/Device.h"
#include "runtime/loader/Package.h"

#include <map>
#include <string>
#include <vector>

namespace kerf::cuda {

/// A launch of the variant in use, with its function.
struct Launch {
  const kerf_gpu_launch *table;
  CUfunction function;
};

/// The model's part of a GPU: the loaded image and the weights.
class CudaDevice final : public rt::Device {
public:
  /// See makeCudaDevice.
  CudaDevice(const rt::Package &package, const kerf_library &library, const kerf_model_options &options);

  const std::string &name() const override { return gpu_.name(); }
  const char *variant() const override { return variant_->name; }
  uint32_t attentionTile() const override { return variant_->attention_tile; }
  uint64_t kernelStack() const override { return 0; }
  bool runs(uint32_t index) const override;
  uint64_t weight(uint32_t index) const override { return weights_.get() + weightOffsets_[index]; }
  std::optional<uint64_t> availableMemory() const override;
  std::unique_ptr<rt::Engine> makeEngine(uint32_t threads) const override;

  const Gpu &gpu() const { return gpu_; }
  /// Name of a kernel.
  const char *kernelName(uint32_t kernel) const;
  /// What makes up a kernel, in order.
  std::span<const Launch> launches(uint32_t kernel) const { return kernels_[kernel]; }

private:
  void load(const std::string &path, const std::vector<uint32_t> &choice);
  void findFunctions(const std::string &path);
  void upload(const rt::Package &package, const kerf_model_options &options);

  const kerf_library &library_;
  const Gpu gpu_;
  const kerf_gpu_variant *variant_ = nullptr;
  Module module_;
  std::vector<std::vector<Launch>> kernels_;
  std::vector<uint64_t> weightOffsets_;
  DeviceBlock weights_;
};

/// Opens driver and GPU, chooses a variant, loads its image, and copies the weights. Package and library must outlive
/// the device. Throws as kerf_model_open says.
std::unique_ptr<rt::Device> makeCudaDevice(const rt::Package &package, const kerf_library &library,
                                           const kerf_model_options &options);

} // namespace kerf::cuda

#endif
