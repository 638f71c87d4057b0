// Which keys of its own sequence a row sees, as positions relative to its own.
#ifndef KERF_DIALECTS_KERF_KERFMASK_H
#define KERF_DIALECTS_KERF_KERFMASK_H

#include "runtime/include/kerf/abi.h"

#include <cstdint>
#include <optional>

namespace kerf {

/// The row at position p sees the keys at positions k with p - behind < k <= p + ahead, as far as its sequence goes;
/// without a bound where there is none.
struct MaskRange {
  std::optional<int64_t> behind, ahead;
};

/// A bound as kerf_work_list states it.
inline int32_t getMaskBound(std::optional<int64_t> bound) { return bound ? int32_t(*bound) : KERF_UNBOUNDED; }

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFMASK_H
