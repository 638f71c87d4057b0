/// Which of a library's variants runs on a GPU.
#ifndef KERF_RUNTIME_CUDA_VARIANT_H
#define KERF_RUNTIME_CUDA_VARIANT_H

#include "kerf/abi.h"
#include "runtime/cuda/Gpu.h"

namespace kerf::cuda {

/// Whether a variant runs on a GPU of that compute capability (10 * major + minor).
bool runsOn(const kerf_gpu_variant &variant, uint32_t architecture);

/// Index of the variant to run: the `forced` one, if it exists and runs here; else of those that run here the cubin of
/// the highest compute capability, else such PTX. Throws KERF_DEVICE_FAILED or KERF_BAD_ARGUMENT.
uint32_t chooseVariant(const kerf_library &library, const char *forced, const Gpu &gpu);

/// "8.6" for 86.
std::string architectureText(uint32_t architecture);

} // namespace kerf::cuda

#endif
