/// What the driver's functions have in common.
#ifndef KERF_RUNTIME_EMULATOR_DRIVER_H
#define KERF_RUNTIME_EMULATOR_DRIVER_H

#include "runtime/emulator/Device.h"

#include <new>

namespace kerf::cuda {

// The functions as the library's symbols: what defines one must have its parameters.
#define KERF_DECLARE(NAME, SYMBOL, PARAMETERS)                                                                         \
  extern "C" __attribute__((visibility("default"))) CUresult NAME PARAMETERS __asm__(SYMBOL);
KERF_CUDA_FUNCTIONS(KERF_DECLARE)
#undef KERF_DECLARE

/// What a function needs before it can begin.
enum class Needs { Nothing, Init, Context };

/// Runs a function's body under the device's lock, unless it is to fail or something that it needs is missing.
template <typename Body> CUresult call(const char *symbol, Needs needs, Body &&body) {
  emulator::Device &device = emulator::device();
  std::lock_guard lock(device.mutex);
  if (CUresult error = device.injected(symbol)) {
    if (emulator::isSticky(error))
      device.setFault(error);
    return error;
  }
  if (needs != Needs::Nothing && !device.isReady)
    return CUDA_ERROR_NOT_INITIALIZED;
  if (needs == Needs::Context) {
    if (emulator::contextStack().empty() || !device.retained)
      return CUDA_ERROR_INVALID_CONTEXT;
    if (device.fault)
      return device.fault;
  }
  try {
    return body(device);
  } catch (const std::bad_alloc &) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

/// Likewise for a function that puts work into a stream: an error that the context does not survive comes when the work
/// is waited for.
template <typename Body> CUresult callLater(const char *symbol, CUstream stream, Body &&body) {
  emulator::Device &device = emulator::device();
  std::lock_guard lock(device.mutex);
  CUresult error = device.injected(symbol);
  if (error && !emulator::isSticky(error))
    return error;
  return call("", Needs::Context, [&](emulator::Device &d) {
    if (!error)
      return body(d);
    d.enqueue(stream, [&d, error] { d.setFault(error); });
    return CUDA_SUCCESS;
  });
}

} // namespace kerf::cuda

#endif
