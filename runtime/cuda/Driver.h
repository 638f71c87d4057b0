/// The CUDA driver, found while running, and its errors as ours.
#ifndef KERF_RUNTIME_CUDA_DRIVER_H
#define KERF_RUNTIME_CUDA_DRIVER_H

#include "runtime/cuda/DriverApi.h"

#include <string>
#include <type_traits>

namespace kerf::cuda {

/// A function of the driver under its name in cuda.h. Calling it gives the driver's plain result.
template <typename Signature> struct Function;
template <typename... Parameters> struct Function<CUresult(Parameters...)> {
  const char *name;
  CUresult (*pointer)(Parameters...) = nullptr;
  CUresult operator()(Parameters... arguments) const { return pointer(arguments...); }
};

/// A driver library that is open and initialized, for as long as the process runs: the driver's own threads outlast any
/// call, so it is never closed. Any thread.
class Driver {
public:
  /// The driver in `file`, or else in the file that KERF_CUDA_DRIVER names, or else libcuda.so.1; each is opened once.
  /// Throws KERF_DEVICE_FAILED when it cannot be loaded, is too old, or does not start.
  static const Driver &open(const char *file);

#define KERF_MEMBER(name, symbol, parameters) Function<CUresult parameters> name = {#name};
  KERF_CUDA_FUNCTIONS(KERF_MEMBER)
#undef KERF_MEMBER

  /// Calls `function` and throws unless it succeeds: KERF_OUT_OF_MEMORY where the driver says so, else
  /// KERF_DEVICE_FAILED. The message names the call, what it was `about` (may be empty), the driver's error and what to
  /// do.
  template <typename... Parameters, typename... Arguments>
  void call(const Function<CUresult(Parameters...)> &function, const std::string &about, Arguments... arguments) const {
    if (const CUresult result = function(arguments...); result != CUDA_SUCCESS) [[unlikely]]
      refuse(function.name, about, result);
  }
  template <typename... Parameters, typename... Arguments>
  void call(const Function<CUresult(Parameters...)> &function, const char *about, Arguments... arguments) const {
    if (const CUresult result = function(arguments...); result != CUDA_SUCCESS) [[unlikely]]
      refuse(function.name, about, result);
  }
  /// Throws what call() would for `result` of the function of that name.
  [[noreturn]] void refuse(const char *function, const std::string &about, CUresult result) const;

  /// 1000 * major + 10 * minor, as the driver states it.
  int version() const { return version_; }
  /// The file it was loaded from.
  const std::string &file() const { return file_; }

private:
  explicit Driver(std::string file);
  std::string file_;
  int version_ = 0;
};

/// "12.4" for 12040.
std::string versionText(int version);

} // namespace kerf::cuda

#endif
