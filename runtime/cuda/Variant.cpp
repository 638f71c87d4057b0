#include "runtime/cuda/Variant.h"

#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kerf::cuda {
namespace {

using rt::fail;

std::string needsOf(const kerf_gpu_variant &variant) {
  const std::string least = architectureText(variant.architecture);
  return variant.image_kind == KERF_GPU_PTX ? least + " or higher"
                                            : least + " to " + std::to_string(variant.architecture / 10) + ".9";
}

std::string listOf(const kerf_library &library, std::string (*text)(const kerf_gpu_variant &)) {
  std::string all;
  for (const kerf_gpu_variant &variant : rt::gpuVariantsOf(library))
    all += (all.empty() ? "" : ", ") + text(variant);
  return all;
}

} // namespace

std::string architectureText(uint32_t architecture) {
  return std::to_string(architecture / 10) + "." + std::to_string(architecture % 10);
}

bool runsOn(const kerf_gpu_variant &variant, uint32_t architecture) {
  return variant.architecture <= architecture &&
         (variant.image_kind == KERF_GPU_PTX || variant.architecture / 10 == architecture / 10);
}

std::vector<uint32_t> chooseVariants(const kerf_library &library, const char *forced, const Gpu &gpu) {
  const rt::Table<kerf_gpu_variant> variants = rt::gpuVariantsOf(library);
  const std::string here = "'" + gpu.name() + "' of " + architectureText(gpu.architecture());
  if (forced && *forced) {
    for (uint32_t i = 0; i < variants.count(); ++i) {
      if (std::strcmp(variants[i].name, forced) != 0)
        continue;
      if (!runsOn(variants[i], gpu.architecture()))
        fail(KERF_DEVICE_FAILED, "variant '", forced, "' must have a GPU of compute capability ", needsOf(variants[i]),
             ", got ", here);
      return {i};
    }
    fail(KERF_BAD_ARGUMENT, "variant must be one of ",
         listOf(library, [](const kerf_gpu_variant &v) { return std::string(v.name); }), ", got '", forced, "'");
  }
  std::vector<uint32_t> usable;
  for (uint32_t i = 0; i < variants.count(); ++i)
    if (runsOn(variants[i], gpu.architecture()))
      usable.push_back(i);
  if (usable.empty())
    fail(KERF_DEVICE_FAILED, "the GPU must be of compute capability ", listOf(library, needsOf), ", got ", here,
         "; compile the model for it");
  const auto rank = [&](uint32_t index) {
    return std::pair(variants[index].image_kind == KERF_GPU_CUBIN, variants[index].architecture);
  };
  std::stable_sort(usable.begin(), usable.end(), [&](uint32_t a, uint32_t b) { return rank(a) > rank(b); });
  return usable;
}

} // namespace kerf::cuda
