#include "runtime/emulator/Access.h"

#include <sstream>

namespace kerf::emulator {

void addressesOf(Warp &w, const Instruction &i, unsigned o, Lanes64 &addresses) {
  w.need(w.undefined(i.o[o]), "an address");
  int64_t offset = i.o[o + 2];
  if (i.o[o + 1]) {
    const uint32_t *a = w.reg<uint32_t>(i.o[o]);
    for (unsigned lane = 0; lane < kLanes; ++lane)
      addresses[lane] = static_cast<uint32_t>(a[lane] + static_cast<uint32_t>(offset));
  } else {
    const uint64_t *a = w.reg<uint64_t>(i.o[o]);
    for (unsigned lane = 0; lane < kLanes; ++lane)
      addresses[lane] = a[lane] + static_cast<uint64_t>(offset);
  }
}

static std::string hex(uint64_t x) {
  std::ostringstream text;
  text << "0x" << std::hex << x;
  return text.str();
}

static const char *nameOf(Kind kind) { return kind == Kind::Read ? "read" : kind == Kind::Write ? "write" : "atomic"; }

/// Lanes whose address is no multiple of `bytes`, and the least and greatest address of the executing ones.
static uint32_t survey(const Warp &w, const Lanes64 &addresses, unsigned bytes, uint64_t &low, uint64_t &high) {
  uint64_t any = 0;
  low = ~uint64_t(0), high = 0;
  if (w.exec == kAll) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      any |= addresses[lane];
      low = addresses[lane] < low ? addresses[lane] : low;
      high = addresses[lane] > high ? addresses[lane] : high;
    }
  } else {
    for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
      uint64_t a = addresses[static_cast<unsigned>(__builtin_ctz(rest))];
      any |= a;
      low = a < low ? a : low;
      high = a > high ? a : high;
    }
  }
  if (!(any & (bytes - 1)))
    return 0;
  uint32_t wrong = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    wrong |= static_cast<uint32_t>((addresses[lane] & (bytes - 1)) != 0) << lane;
  return wrong & w.exec;
}

[[noreturn]] static void misaligned(const Warp &w, uint32_t lanes, const Lanes64 &addresses, unsigned bytes, Kind kind,
                                    const char *space) {
  unsigned lane = static_cast<unsigned>(__builtin_ctz(lanes));
  fault(w, CUDA_ERROR_MISALIGNED_ADDRESS, lane,
        std::string("misaligned ") + nameOf(kind) + " of " + std::to_string(bytes) + " bytes of " + space +
            " memory at " + hex(addresses[lane]));
}

uint32_t checkShared(Warp &w, const Instruction &i, const Lanes64 &addresses, unsigned bytes, Kind kind,
                     uint32_t undefinedValues) {
  uint64_t low, high, size = w.cta->shared.size();
  if (uint32_t wrong = survey(w, addresses, bytes, low, high))
    misaligned(w, wrong, addresses, bytes, kind, "shared");
  if (high + bytes > size || high + bytes < bytes) {
    for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
      if (addresses[lane] > size || size - addresses[lane] < bytes)
        fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
              std::string(nameOf(kind)) + " of " + std::to_string(bytes) + " bytes at " + hex(addresses[lane]) +
                  " of shared memory, which has " + std::to_string(size) + " bytes");
    }
  }
  return 0;
}

uint32_t checkGlobal(Warp &w, const Instruction &i, const Lanes64 &addresses, unsigned bytes, Kind kind,
                     uint32_t undefinedValues) {
  uint64_t low, high;
  if (uint32_t wrong = survey(w, addresses, bytes, low, high))
    misaligned(w, wrong, addresses, bytes, kind, "global");
  Cta &cta = *w.cta;
  if (!cta.allocation.holds(low, bytes) || !cta.allocation.holds(high, bytes)) {
    for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
      uint64_t a = addresses[lane];
      if (cta.allocation.holds(a, bytes))
        continue;
      DeviceMemory::Allocation found = cta.launch.memory->find(a);
      if (!found.holds(a, bytes))
        fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
              std::string(nameOf(kind)) + " of " + std::to_string(bytes) + " bytes at " + hex(a) +
                  (found.end
                       ? ", " + std::to_string(a + bytes - found.end) + " bytes past the end of the allocation of " +
                             std::to_string(found.end - found.start) + " bytes at " + hex(found.start)
                       : std::string(" of global memory, before all allocations")));
      cta.allocation = found;
    }
  }
  return 0;
}

} // namespace kerf::emulator
