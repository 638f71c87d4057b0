#include "runtime/emulator/Device.h"

#include <cstdlib>
#include <sstream>

namespace kerf::emulator {

using namespace cuda;

namespace {
struct Error {
  int code;
  const char *name, *text;
  bool isSticky = false;
};
const Error kErrors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "the driver is not initialized"},
    {4, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "the device is busy or unavailable"},
    {100, "CUDA_ERROR_NO_DEVICE", "no device was found"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "there is no device of this number"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "the image of a module is not valid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "no context of this device is current"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the image has no code for this device"},
    {218, "CUDA_ERROR_INVALID_PTX", "the PTX text does not compile"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX text is of a newer version than this driver"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "no such name"},
    {600, "CUDA_ERROR_NOT_READY", "not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel reached memory that it must not", true},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a launch asked for more than the device has"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel did not end", true},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel used a misaligned address", true},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed", true},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted while a stream is captured"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "the capture was broken by an earlier call"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error", true},
};
const Error *find(CUresult error) {
  for (const Error &e : kErrors)
    if (e.code == error)
      return &e;
  return nullptr;
}
} // namespace

const char *errorName(CUresult error) { return find(error) ? find(error)->name : nullptr; }
const char *errorText(CUresult error) { return find(error) ? find(error)->text : nullptr; }
bool isSticky(CUresult error) { return find(error) && find(error)->isSticky; }

std::optional<std::vector<Injection>> readInjections(const std::string &text) {
  std::vector<Injection> result;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    size_t first = item.find(':'), second = item.find(':', first + 1);
    if (first == item.npos || second == item.npos)
      return std::nullopt;
    Injection injection;
    injection.function = item.substr(0, first);
    std::string count = item.substr(first + 1, second - first - 1), error = item.substr(second + 1);
    char *end = nullptr;
    injection.call = std::strtoull(count.c_str(), &end, 10);
    if (*end || injection.call == 0)
      return std::nullopt;
    const Error *known = nullptr;
    for (const Error &e : kErrors)
      if (error == e.name || error == std::to_string(e.code))
        known = &e;
#define KERF_NAMED(NAME, SYMBOL, PARAMETERS) injection.function == SYMBOL ||
    if (!known || !known->code || !(KERF_CUDA_FUNCTIONS(KERF_NAMED) false))
      return std::nullopt;
#undef KERF_NAMED
    injection.error = static_cast<CUresult>(known->code);
    result.push_back(injection);
  }
  return result;
}

} // namespace kerf::emulator
