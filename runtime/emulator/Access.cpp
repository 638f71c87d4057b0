#include "runtime/emulator/Access.h"

#include "runtime/emulator/GlobalShadow.h"

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

/// Reports that a lane's access races with an earlier one.
static void foundRace(Warp &w, unsigned lane, uint64_t address, unsigned bytes, Kind kind, Mark earlier,
                      bool wasWrite) {
  const Cta &cta = *w.cta;
  uint32_t line = cta.kernel.code[earlier.instruction()].line;
  std::string key = "shared " + std::to_string(w.current->line) + " " + std::to_string(line);
  std::string what =
      std::string(nameOf(kind)) + " of " + std::to_string(bytes) + " bytes at " + hex(address) + " of shared memory ";
  std::string whose = threadName(cta.launch, earlier.thread()) + ", line " + std::to_string(line);
  if (earlier.isInFlight())
    w.cta->find(w, lane, key,
                what + "while the asynchronous copy of " + whose + ", is on its way there: it was not waited for");
  else
    w.cta->find(w, lane, key,
                what + "races with the " + (wasWrite ? "write" : "read") + " of " + whose +
                    ": no barrier is between them");
}

void checkShared(Warp &w, const Request &r, Undefined &undefined) {
  const Lanes64 &addresses = r.addresses;
  unsigned bytes = r.bytes;
  uint64_t low, high, size = w.cta->shared.size();
  if (uint32_t wrong = survey(w, addresses, bytes, low, high))
    misaligned(w, wrong, addresses, bytes, r.kind, "shared");
  if (high + bytes > size || high + bytes < bytes)
    for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
      if (addresses[lane] > size || size - addresses[lane] < bytes)
        fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
              std::string(nameOf(r.kind)) + " of " + std::to_string(bytes) + " bytes at " + hex(addresses[lane]) +
                  " of shared memory, which has " + std::to_string(size) + " bytes");
    }
  Cta &cta = *w.cta;
  const Clocks &clocks = *cta.clocks;
  unsigned grain = cta.kernel.sharedGrain, shift = static_cast<unsigned>(__builtin_ctz(grain));
  unsigned count = bytes / grain, elementBytes = bytes / r.elements;
  bool writes = r.kind != Kind::Read;
  uint64_t flags = r.kind == Kind::Atomic || r.instruction.order != Order::Weak ? Mark::Strong : 0;
  Mark common = Mark::make(r.isCopy ? Mark::kInFlight : clocks.stamp(), r.instruction.index, w.index, 0, flags);
  for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    Cell *cells = &cta.cells[addresses[lane] >> shift];
    for (unsigned n = 0; n < count; ++n) {
      Mark me = common;
      // A cell of a store is within an element, one of a load may hold several.
      unsigned element = n * grain / elementBytes;
      me.bits |= lane << 6 | (writes && (undefined[element] >> lane & 1) ? Mark::Undefined : 0);
      bool bad = accessCell(cells[n], me, writes, clocks, [&](Mark earlier, bool wasWrite) {
        foundRace(w, lane, addresses[lane] + n * grain, grain, r.kind, earlier, wasWrite);
      });
      if (bad && r.kind != Kind::Write)
        for (; element * elementBytes < (n + 1) * grain; ++element)
          undefined[element] |= 1u << lane;
    }
  }
}

void checkGlobal(Warp &w, const Request &r, Undefined &undefined) {
  const Lanes64 &addresses = r.addresses;
  unsigned bytes = r.bytes;
  uint64_t low, high;
  if (uint32_t wrong = survey(w, addresses, bytes, low, high))
    misaligned(w, wrong, addresses, bytes, r.kind, "global");
  Cta &cta = *w.cta;
  DeviceMemory &memory = *cta.launch.memory;
  if (!cta.allocation.holds(low, bytes) || !cta.allocation.holds(high, bytes)) {
    for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
      uint64_t a = addresses[lane];
      if (cta.allocation.holds(a, bytes))
        continue;
      DeviceMemory::Allocation found = memory.find(a);
      if (!found.holds(a, bytes))
        fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
              std::string(nameOf(r.kind)) + " of " + std::to_string(bytes) + " bytes at " + hex(a) +
                  (found.end ? ", byte " + std::to_string(a - found.start) + " of an allocation of " +
                                   std::to_string(found.end - found.start) + " bytes"
                             : std::string(" of global memory, before all allocations")));
      cta.allocation = found;
    }
  }
  if (r.kind == Kind::Write)
    for (unsigned element = 0; element < r.elements; ++element)
      w.need(undefined[element], "what is written to global memory");
  cta.launch.shadow->access(w, r.instruction, addresses, bytes, r.kind);
  unsigned size = bytes / r.elements;
  for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    if (r.kind == Kind::Write) {
      memory.writeSmall(addresses[lane], bytes);
    } else if (!memory.isWritten(addresses[lane], bytes)) {
      for (unsigned element = 0; element < r.elements; ++element)
        undefined[element] |= static_cast<uint32_t>(!memory.isWritten(addresses[lane] + element * size, size)) << lane;
      if (r.kind == Kind::Atomic)
        memory.writeSmall(addresses[lane], bytes);
    }
  }
  if (r.instruction.order != Order::Weak)
    cta.launch.shadow->synchronize(w, r.instruction, addresses, r.kind != Kind::Write, r.kind != Kind::Read);
}

} // namespace kerf::emulator
