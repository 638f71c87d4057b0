#include "tools/kerf-inspect/Kernels.h"

#include "runtime/loader/Tables.h"
#include "tools/runtime-support/Text.h"

#include <cstdio>

namespace kerf::tools {
namespace {

const char *imageName(const kerf_gpu_variant &variant) { return variant.image_kind == KERF_GPU_PTX ? "PTX" : "cubin"; }

const char *conditionText(const kerf_gpu_launch &launch) {
  return launch.when == KERF_GPU_SINGLE_ROWS    ? "items of one row"
         : launch.when == KERF_GPU_SEVERAL_ROWS ? "items of several rows"
                                                : "";
}

std::string rowsText(const kerf_gpu_launch &launch) {
  if (launch.most_rows == UINT32_MAX)
    return launch.least_rows > 1 ? std::to_string(launch.least_rows) + " or more" : "any";
  return std::to_string(launch.least_rows) + " to " + std::to_string(launch.most_rows);
}

} // namespace

Kernels::Kernels(const rt::Package &package) {
  loaded_ = rt::loadSibling(package, library_);
  rt::checkLibrary(package, *library_);
}

void Kernels::print() const {
  for (const kerf_variant &variant : rt::variantsOf(*library_)) {
    std::printf("\nkernels of '%s'\n  %-40s %8s %8s %10s\n", printable(variant.name).c_str(), "kernel", "tile",
                "columns", "stack");
    for (const kerf_kernel &kernel : rt::kernelsOf(variant))
      std::printf("  %-40s %8u %8u %10llu\n", printable(kernel.name).c_str(), kernel.tile, kernel.columns,
                  (unsigned long long)kernel.stack_bytes);
  }
  for (const kerf_gpu_variant &variant : rt::gpuVariantsOf(*library_)) {
    std::printf("\nkernels of '%s': %s of %llu bytes for compute capability %u.%u\n  %-40s %8s %8s %8s %8s  %-12s %s\n",
                printable(variant.name).c_str(), imageName(variant), (unsigned long long)variant.image_bytes,
                variant.architecture / 10, variant.architecture % 10, "kernel and launches", "tile", "columns",
                "threads", "shared", "rows", "for");
    for (const kerf_gpu_kernel &kernel : rt::kernelsOf(variant)) {
      std::printf("  %s\n", printable(kernel.name).c_str());
      for (const kerf_gpu_launch &launch : rt::launchesOf(kernel))
        std::printf("    %-38s %8u %8u %8u %8u  %-12s %s\n", printable(launch.function).c_str(), launch.tile,
                    launch.columns, launch.threads, launch.shared_bytes, rowsText(launch).c_str(),
                    conditionText(launch));
    }
  }
}

void Kernels::write(JsonWriter &json) const {
  json.beginArray("kernels");
  for (const kerf_variant &variant : rt::variantsOf(*library_))
    for (const kerf_kernel &kernel : rt::kernelsOf(variant)) {
      json.beginObject();
      json.value("variant", variant.name);
      json.value("name", kernel.name);
      json.value("tile", kernel.tile);
      json.value("columns", kernel.columns);
      json.value("stack_bytes", kernel.stack_bytes);
      json.endObject();
    }
  for (const kerf_gpu_variant &variant : rt::gpuVariantsOf(*library_))
    for (const kerf_gpu_kernel &kernel : rt::kernelsOf(variant)) {
      json.beginObject();
      json.value("variant", variant.name);
      json.value("image", imageName(variant));
      json.value("image_bytes", variant.image_bytes);
      json.value("architecture", variant.architecture);
      json.value("name", kernel.name);
      json.beginArray("launches");
      for (const kerf_gpu_launch &launch : rt::launchesOf(kernel)) {
        json.beginObject();
        json.value("function", launch.function);
        json.value("least_rows", launch.least_rows);
        json.value("most_rows", launch.most_rows);
        json.value("condition", conditionText(launch));
        json.value("tile", launch.tile);
        json.value("columns", launch.columns);
        json.value("threads", launch.threads);
        json.value("shared_bytes", launch.shared_bytes);
        json.endObject();
      }
      json.endArray();
      json.endObject();
    }
  json.endArray();
}

} // namespace kerf::tools
