/// What this CPU and operating system can run.
#ifndef KERF_RUNTIME_CPU_FEATURES_H
#define KERF_RUNTIME_CPU_FEATURES_H

#include "kerf/abi.h"

#include <cstdint>
#include <string>

namespace kerf::rt {

/// The kerf_cpu_feature bits that are usable: present in the CPU, their registers saved by the system and, for AMX,
/// permitted to this process (asked for on the first call).
uint64_t cpuFeatures();

/// "AVX2 + AVX512" for a set of kerf_cpu_feature bits; "none" for the empty set.
std::string formatFeatures(uint64_t features);

/// The CPU's own name, e.g. "AMD EPYC 9634 84-Core Processor".
std::string cpuName();

/// Index of the variant to run. With `forced` (or else the environment's KERF_CPU_VARIANT) that one, if it exists and
/// runs here; else the last that runs here. Throws KERF_UNSUPPORTED_CPU or KERF_BAD_ARGUMENT.
uint32_t chooseVariant(const kerf_library &library, const char *forced, uint64_t features);

} // namespace kerf::rt

#endif
