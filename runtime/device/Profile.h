/// What each dispatch of a program has cost.
#ifndef KERF_RUNTIME_DEVICE_PROFILE_H
#define KERF_RUNTIME_DEVICE_PROFILE_H

#include "kerf/kerf.h"

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

namespace kerf::rt {

/// Sizes of one step, indexed by kerf_extent.
using Extents = std::array<int64_t, KERF_EXTENT_COUNT>;

/// Value of a cost.
double evaluateCost(const kerf_linear_form &form, const Extents &extents);

/// The work list that a dispatch names, by which its costs count; 0 where it names none.
uint32_t workListOf(const kerf_dispatch &dispatch);

/// Counters by dispatch.
class Profile {
public:
  /// For a program, which must outlive this; `kernelName` gives the name of a kernel.
  Profile(const kerf_program &program, const std::function<const char *(uint32_t)> &kernelName);
  /// Switches it on or off and clears it.
  void enable(bool enable);
  /// Whether calls are to be added.
  bool enabled() const { return enabled_; }
  /// Adds a call of dispatch `index` in a step of these sizes.
  void add(uint32_t index, uint64_t nanoseconds, uint64_t tasks, const Extents &extents);
  /// Dispatches in the program.
  uint32_t size() const { return uint32_t(rows_.size()); }
  /// What dispatch `index` has cost since it was enabled.
  kerf_profile_row row(uint32_t index) const { return rows_[index]; }

private:
  const kerf_program &program_;
  std::vector<kerf_profile_row> rows_;
  bool enabled_ = false;
};

} // namespace kerf::rt

#endif
