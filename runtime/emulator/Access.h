/// How memory is reached: addresses of the lanes, and the checks that each access passes before it happens.
#ifndef KERF_RUNTIME_EMULATOR_ACCESS_H
#define KERF_RUNTIME_EMULATOR_ACCESS_H

#include "runtime/emulator/Cta.h"

#include <array>

namespace kerf::emulator {

using Lanes64 = std::array<uint64_t, kLanes>;

enum class Kind : uint8_t { Read, Write, Atomic };

/// Addresses from operand `o`, which takes three slots: register, whether it has 32 bits, offset.
void addressesOf(Warp &w, const Instruction &i, unsigned o, Lanes64 &addresses);

/// Lanes with undefined values, for each element of a vector.
using Undefined = std::array<uint32_t, 4>;

/// An access of the executing lanes that is about to happen.
struct Request {
  const Instruction &instruction;
  const Lanes64 &addresses;
  /// Of each lane, and how many elements these are.
  unsigned bytes, elements;
  Kind kind;
  /// An asynchronous copy into shared memory.
  bool isCopy = false;
};

/// Checks an access to shared memory, whose addresses are offsets into it: bounds, alignment, races. `undefined`: what
/// a write holds, and what a read will find, an element that nobody wrote included.
void checkShared(Warp &w, const Request &request, Undefined &undefined);
/// Likewise for global memory. There an undefined value must not be written.
void checkGlobal(Warp &w, const Request &request, Undefined &undefined);

/// Resolves generic addresses: calls `body(space)` once for each space that the executing lanes name, with these lanes
/// executing and their addresses as that space has them.
template <typename Body> void bySpace(Warp &w, Space space, Lanes64 &addresses, Body body) {
  if (space != Space::Generic)
    return body(space);
  uint32_t all = w.exec, shared = 0, local = 0;
  for (uint32_t rest = all; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    uint64_t window = addresses[lane] & kWindowMask;
    if (window == kSharedWindow || window == kLocalWindow) {
      (window == kSharedWindow ? shared : local) |= 1u << lane;
      addresses[lane] &= ~kWindowMask;
    }
  }
  for (auto [lanes, which] : {std::pair(shared, Space::Shared), std::pair(local, Space::Local),
                              std::pair(all & ~shared & ~local, Space::Global)})
    if (lanes) {
      w.exec = lanes;
      body(which);
    }
  w.exec = all;
}

} // namespace kerf::emulator

#endif
