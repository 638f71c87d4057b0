#include "runtime/cuda/Driver.h"

#include "runtime/support/Error.h"

#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>

namespace kerf::cuda {
namespace {

using rt::fail;

// All functions are in this version already (cuda.h marks later ones).
constexpr int kLeastVersion = 11000;
constexpr const char *kUpdate = "; install a newer NVIDIA driver";

// What to do about an error; numbers without a name here are those of cuda.h that the interface does not declare.
const char *adviceFor(CUresult result) {
  switch (int(result)) {
  case CUDA_ERROR_OUT_OF_MEMORY:
    return "lower max_tokens, max_sequences or context, or end what else uses the GPU";
  case 34: // STUB_LIBRARY
    return "this is a library for linking only; name the driver's own libcuda.so.1";
  case CUDA_ERROR_NO_DEVICE:
    return "check that nvidia-smi shows a GPU and that CUDA_VISIBLE_DEVICES does not hide it";
  case CUDA_ERROR_INVALID_DEVICE:
    return "name a device that nvidia-smi shows";
  case 802: // SYSTEM_NOT_READY
  case 803: // SYSTEM_DRIVER_MISMATCH
    return "the kernel module and libcuda.so.1 do not fit each other or are not up yet; reboot or install the driver "
           "again";
  case CUDA_ERROR_INVALID_IMAGE:
  case CUDA_ERROR_NO_BINARY_FOR_GPU:
    return "compile the model for this GPU";
  case CUDA_ERROR_INVALID_PTX:
  case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    return "the driver cannot compile the model's PTX: install a newer NVIDIA driver, or compile the model for this "
           "GPU";
  case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
    return "the kernel needs more than this GPU has; compile the model for it";
  case 46:  // DEVICE_UNAVAILABLE
  case 214: // ECC_UNCORRECTABLE
  case CUDA_ERROR_ILLEGAL_ADDRESS:
  case CUDA_ERROR_LAUNCH_TIMEOUT:
  case 710: // ASSERT
  case 714: // HARDWARE_STACK_ERROR
  case 715: // ILLEGAL_INSTRUCTION
  case CUDA_ERROR_MISALIGNED_ADDRESS:
  case 717: // INVALID_ADDRESS_SPACE
  case 718: // INVALID_PC
  case CUDA_ERROR_LAUNCH_FAILED:
    return "the GPU is lost to this process: close all its models and start it again; dmesg may say more";
  default:
    return "the driver's log (dmesg) may say more";
  }
}

} // namespace

const Driver &Driver::open(const char *file) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const Driver>> drivers;
  if (!file || !*file)
    file = std::getenv("KERF_CUDA_DRIVER");
  if (!file || !*file)
    file = "libcuda.so.1";
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<const Driver> &driver = drivers[file];
  if (!driver)
    driver.reset(new Driver(file));
  return *driver;
}

Driver::Driver(std::string file) : file_(std::move(file)) {
  void *library = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    fail(KERF_DEVICE_FAILED, "cannot load the CUDA driver '", file_, "': ", reason ? reason : "unknown reason",
         "; install the NVIDIA driver, or name its file by the option 'driver' or by KERF_CUDA_DRIVER");
  }
#define KERF_FIND(name, symbol, parameters)                                                                            \
  name.pointer = reinterpret_cast<decltype(name.pointer)>(dlsym(library, symbol));                                     \
  if (!name.pointer)                                                                                                   \
    fail(KERF_DEVICE_FAILED, "'", file_, "' must be a CUDA driver of version ", versionText(kLeastVersion),            \
         " or higher, but has no '", symbol, "'", kUpdate);
  KERF_CUDA_FUNCTIONS(KERF_FIND)
#undef KERF_FIND
  call(cuInit, file_, 0u);
  call(cuDriverGetVersion, file_, &version_);
  if (version_ < kLeastVersion)
    fail(KERF_DEVICE_FAILED, "CUDA driver '", file_, "' must have version ", versionText(kLeastVersion),
         " or higher, got ", versionText(version_), kUpdate);
}

void Driver::refuse(const char *function, const std::string &about, CUresult result) const {
  const char *name = nullptr, *meaning = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
    name = "unknown error";
  if (cuGetErrorString(result, &meaning) != CUDA_SUCCESS || !meaning)
    meaning = "the driver knows no text for it";
  fail(result == CUDA_ERROR_OUT_OF_MEMORY ? KERF_OUT_OF_MEMORY : KERF_DEVICE_FAILED, function,
       about.empty() ? "" : " (" + about + ")", " failed with ", name, " (", int(result), "): ", meaning, "; ",
       adviceFor(result));
}

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

} // namespace kerf::cuda
