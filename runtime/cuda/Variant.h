/// Which of a library's variants runs on a GPU.
#ifndef KERF_RUNTIME_CUDA_VARIANT_H
#define KERF_RUNTIME_CUDA_VARIANT_H

#include "kerf/abi.h"
#include "runtime/cuda/Gpu.h"

#include <vector>

namespace kerf::cuda {

/// Whether a variant runs on a GPU of that compute capability (10 * major + minor).
bool runsOn(const kerf_gpu_variant &variant, uint32_t architecture);

/// Indices of the variants to try, best first: the `forced` one, if it exists and runs here; else those that run here,
/// cubins before PTX, of each the highest compute capability first. Throws KERF_DEVICE_FAILED when there is none, or
/// KERF_BAD_ARGUMENT.
std::vector<uint32_t> chooseVariants(const kerf_library &library, const char *forced, const Gpu &gpu);

/// "8.6" for 86.
std::string architectureText(uint32_t architecture);

} // namespace kerf::cuda

#endif
