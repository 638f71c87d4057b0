// Runs functions of a GPU image through the CUDA driver, or what stands in its place.
#ifndef KERF_TEST_CODEGEN_KERNELS_GPURUN_H
#define KERF_TEST_CODEGEN_KERNELS_GPURUN_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kerf::test {

/// A launch as kerf_gpu_launch describes it.
struct GpuLaunch {
  std::string function;
  int64_t leastRows, mostRows;
  int when;
  int64_t tile, columns;
  unsigned threads, sharedBytes;
};

/// An image that is loaded. The driver is the one that KERF_CUDA_DRIVER names, else Kerf's emulator. Failures end the
/// program with what the driver says.
class GpuImage {
public:
  explicit GpuImage(const std::string &ptx);
  ~GpuImage();
  /// The image, PTX or a cubin; null where the driver says that it has no code for this device.
  static std::unique_ptr<GpuImage> loadIfFit(const std::string &image);

  /// Copies the operands to the device, runs the launches that `rows` select, whatever their `when` says, and copies
  /// the operands back. Operands that are the same here are the same there. `scratch` bytes that nobody wrote follow
  /// them.
  void run(const std::vector<GpuLaunch> &launches, const std::vector<std::pair<void *, size_t>> &operands,
           size_t scratch, int64_t rows);

private:
  struct State;
  explicit GpuImage(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

/// Lets the emulator draw its order of warps, blocks and copies from a seed; without effect on other drivers.
void setEmulatorSeed(uint64_t seed);

/// 10 * major + minor compute capability of the device, and its name.
std::pair<int, std::string> gpuDevice();

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_KERNELS_GPURUN_H
