/// A CPU as the place where a model runs: weights where they are mapped, memory between guard pages.
#ifndef KERF_RUNTIME_CPU_CPUDEVICE_H
#define KERF_RUNTIME_CPU_CPUDEVICE_H

#include "runtime/device/Device.h"
#include "runtime/loader/Package.h"

namespace kerf::rt {

/// Chooses a variant of the library (see chooseVariant). Package and library must outlive the device; throws
/// KERF_UNSUPPORTED_CPU or KERF_BAD_ARGUMENT.
std::unique_ptr<Device> makeCpuDevice(const Package &package, const kerf_library &library, const char *forced);

} // namespace kerf::rt

#endif
