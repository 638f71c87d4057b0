/// How many threads are worth starting.
#ifndef KERF_RUNTIME_CPU_THREADS_H
#define KERF_RUNTIME_CPU_THREADS_H

#include <cstdint>
#include <string>

namespace kerf::rt {

/// CPUs that this process may use: the least of its affinity and of the CPU quota of every enclosing cgroup (version 1
/// or 2), rounded up; at least 1. `root` replaces "/" in tests.
uint32_t usableThreads(const std::string &root = "");

} // namespace kerf::rt

#endif
