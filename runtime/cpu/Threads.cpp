#include "runtime/cpu/Threads.h"

#include "runtime/support/Cgroups.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sched.h>
#include <thread>

namespace kerf::rt {
namespace {

uint32_t affinityCount() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return uint32_t(std::max(1, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

// Quota over period of one cgroup, or infinity. Version 2 has "quota period" or "max period" in one file.
double quota(const std::string &folder, bool unified) {
  double quota = 0, period = 0;
  if (unified) {
    std::ifstream file(folder + "cpu.max");
    if (!(file >> quota >> period))
      return INFINITY;
  } else {
    std::ifstream quotaFile(folder + "cpu.cfs_quota_us"), periodFile(folder + "cpu.cfs_period_us");
    if (!(quotaFile >> quota) || !(periodFile >> period))
      return INFINITY;
  }
  return quota > 0 && period > 0 ? quota / period : INFINITY;
}

} // namespace

uint32_t usableThreads(const std::string &root) {
  double least = affinityCount();
  forEachCgroup(root, "cpu",
                [&](const std::string &folder, bool unified) { least = std::min(least, quota(folder, unified)); });
  return uint32_t(std::max(1.0, std::ceil(least)));
}

} // namespace kerf::rt
