// Sizes and costs as linear forms over the extents of a step.
#ifndef KERF_DIALECTS_KERF_KERFCOST_H
#define KERF_DIALECTS_KERF_KERFCOST_H

#include "runtime/include/kerf/abi.h"
#include <array>
#include <cstdint>

namespace kerf {

/// sum over e of coefficient[e] * extent[e]; the extents are those of kerf_extent in kerf/abi.h.
struct LinearForm {
  std::array<int64_t, KERF_EXTENT_COUNT> coefficient{};

  /// The form `value * extent`.
  static LinearForm of(int64_t value, kerf_extent extent = KERF_EXTENT_ONE) {
    LinearForm form;
    form.coefficient[extent] = value;
    return form;
  }
  LinearForm &operator+=(const LinearForm &other) {
    for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e)
      coefficient[e] += other.coefficient[e];
    return *this;
  }
  friend LinearForm operator+(LinearForm lhs, const LinearForm &rhs) { return lhs += rhs; }
  friend LinearForm operator*(LinearForm lhs, int64_t factor) {
    for (int64_t &c : lhs.coefficient)
      c *= factor;
    return lhs;
  }
  bool operator==(const LinearForm &) const = default;
};

/// What an op must move and compute at least.
struct Cost {
  /// Bytes of weights, activations and cache, each counted once.
  LinearForm bytes;
  /// Multiplications and additions.
  LinearForm operations;
};

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFCOST_H
