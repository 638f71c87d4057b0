// Loads, stores, atomics, and asynchronous copies.
#include "runtime/emulator/Access.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

#include <algorithm>
#include <cstring>

namespace kerf::emulator {
namespace {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

/// What lanes' addresses are added to, so that they are addresses of this process.
u64 baseOf(const void *data) { return reinterpret_cast<u64>(data); }

/// Local memory: the base of the warp's, with `addresses` moved to the lane's part; checked.
u64 localPlace(Warp &w, Lanes64 &addresses, unsigned bytes) {
  u64 size = w.cta->kernel.localBytes;
  forLanes(w, [&](unsigned lane) {
    if (addresses[lane] & (bytes - 1))
      fault(w, CUDA_ERROR_MISALIGNED_ADDRESS, lane, "misaligned access to local memory");
    if (addresses[lane] > size || size - addresses[lane] < bytes)
      fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane,
            "access to byte " + std::to_string(addresses[lane]) + " of local memory, which has " +
                std::to_string(size));
    addresses[lane] += lane * size;
  });
  return baseOf(w.cta->local.data()) + w.index * kLanes * size;
}

/// Element `n` of each lane into a register.
template <typename Element, typename Register> void gather(Warp &w, const Instruction &i, u64 base, const Lanes64 &a) {
  for (unsigned n = 0; n < i.count; ++n) {
    Register *d = w.reg<Register>(i.o[n]);
    u64 from = base + n * sizeof(Element);
    forLanes(w, [&](unsigned lane) {
      Element e;
      std::memcpy(&e, reinterpret_cast<const void *>(from + a[lane]), sizeof e);
      d[lane] = static_cast<Register>(e);
    });
  }
}
template <typename Element, typename Register>
void scatter(Warp &w, const Instruction &i, unsigned first, u64 base, const Lanes64 &a) {
  for (unsigned n = 0; n < i.count; ++n) {
    const Register *s = w.reg<Register>(i.o[first + n]);
    u64 to = base + n * sizeof(Element);
    forLanes(w, [&](unsigned lane) {
      Element e = static_cast<Element>(s[lane]);
      std::memcpy(reinterpret_cast<void *>(to + a[lane]), &e, sizeof e);
    });
  }
}

template <typename Register> void gatherInto(Warp &w, const Instruction &i, u64 base, const Lanes64 &a) {
  switch (i.bytes / i.count * (i.isSigned ? -1 : 1)) {
  case 1:
    return gather<u8, Register>(w, i, base, a);
  case 2:
    return gather<u16, Register>(w, i, base, a);
  case 4:
    return gather<u32, Register>(w, i, base, a);
  case 8:
    return gather<u64, Register>(w, i, base, a);
  case -1:
    return gather<int8_t, Register>(w, i, base, a);
  case -2:
    return gather<int16_t, Register>(w, i, base, a);
  case -4:
    return gather<int32_t, Register>(w, i, base, a);
  }
}

void load(Warp &w, const Instruction &i) {
  Lanes64 a;
  unsigned at = i.count;
  addressesOf(w, i, at, a);
  Undefined undefined = {};
  Request request = {i, a, i.bytes, i.count, Kind::Read};
  bySpace(w, i.space, a, [&](Space space) {
    u64 base = 0;
    if (space == Space::Shared) {
      checkShared(w, request, undefined);
      base = baseOf(w.cta->shared.data());
    } else if (space == Space::Global) {
      checkGlobal(w, request, undefined);
    } else if (space == Space::Local) {
      base = localPlace(w, a, i.bytes);
    } else {
      const std::vector<u8> &parameters = w.cta->launch.parameters;
      forLanes(w, [&](unsigned lane) {
        if (a[lane] > parameters.size() || parameters.size() - a[lane] < i.bytes)
          fault(w, CUDA_ERROR_ILLEGAL_ADDRESS, lane, "a read past the kernel's parameters");
      });
      base = baseOf(parameters.data());
    }
    if (i.registerBytes == 2)
      gatherInto<u16>(w, i, base, a);
    else if (i.registerBytes == 4)
      gatherInto<u32>(w, i, base, a);
    else
      gatherInto<u64>(w, i, base, a);
  });
  for (unsigned n = 0; n < i.count; ++n)
    w.mark(i.o[n], undefined[n]);
}

template <typename Register> void scatterFrom(Warp &w, const Instruction &i, u64 base, const Lanes64 &a) {
  switch (i.bytes / i.count) {
  case 1:
    return scatter<u8, Register>(w, i, 3, base, a);
  case 2:
    return scatter<u16, Register>(w, i, 3, base, a);
  case 4:
    return scatter<u32, Register>(w, i, 3, base, a);
  case 8:
    return scatter<u64, Register>(w, i, 3, base, a);
  }
}

void store(Warp &w, const Instruction &i) {
  Lanes64 a;
  addressesOf(w, i, 0, a);
  Undefined undefined = {};
  for (unsigned n = 0; n < i.count; ++n)
    undefined[n] = w.undefined(i.o[3 + n]);
  Request request = {i, a, i.bytes, i.count, Kind::Write};
  bySpace(w, i.space, a, [&](Space space) {
    u64 base = 0;
    if (space == Space::Shared) {
      checkShared(w, request, undefined);
      base = baseOf(w.cta->shared.data());
    } else if (space == Space::Global) {
      checkGlobal(w, request, undefined);
    } else {
      base = localPlace(w, a, i.bytes);
    }
    if (i.registerBytes == 2)
      scatterFrom<u16>(w, i, base, a);
    else if (i.registerBytes == 4)
      scatterFrom<u32>(w, i, base, a);
    else
      scatterFrom<u64>(w, i, base, a);
  });
}

Space spaceOf(std::string_view name) {
  return name == "global" || name == "const" ? Space::Global
         : name.starts_with("shared")        ? Space::Shared
         : name == "local"                   ? Space::Local
         : name == "param"                   ? Space::Parameter
                                             : Space::Generic;
}
void finishOrder(Instruction &i, std::string_view order, std::string_view scope) {
  i.order = order == "relaxed" || order == "volatile" ? Order::Relaxed
            : order == "acquire"                      ? Order::Acquire
            : order == "release"                      ? Order::Release
            : order == "acq_rel"                      ? Order::AcquireRelease
                                                      : Order::Weak;
  i.scope = scope == "cta" ? Scope::Cta : Scope::Gpu;
}

/// ld and st: parts are order, scope, space, cache hints, ..., vector, type.
void finishAccess(Instruction &i, const Parts &parts) {
  finishOrder(i, parts[1], parts[2]);
  i.space = spaceOf(parts[3]);
  std::string_view type = parts.back(), vector = parts[parts.size() - 2];
  unsigned count = vector.empty() ? 1 : static_cast<unsigned>(vector[1] - '0');
  if (count != i.count)
    throw "expected " + std::to_string(count) + " registers, got " + std::to_string(i.count);
  unsigned bytes = static_cast<unsigned>(std::stoul(std::string(type.substr(type.find_first_of("0123456789")))) / 8);
  i.isSigned = type[0] == 's' && bytes < i.registerBytes;
  if (bytes > i.registerBytes)
    throw std::string("a register is shorter than the type");
  i.bytes = static_cast<u8>(bytes * count);
  if (i.bytes > 16)
    throw std::string("more than 16 bytes");
}

// Atomics.
enum Operation : u8 { Add, Minimum, Maximum, Increment, Decrement, Exchange, CompareAndSwap, And, Or, Xor };
constexpr std::string_view kOperations[] = {"add", "min", "max", "inc", "dec", "exch", "cas", "and", "or", "xor"};

template <typename T> T applied(Operation operation, T old, T b, T c) {
  switch (operation) {
  case Add:
    if constexpr (std::is_integral_v<T>) // wraps
      return static_cast<T>(static_cast<u64>(old) + static_cast<u64>(b));
    return old + b;
  case Minimum:
    return std::min(old, b);
  case Maximum:
    return std::max(old, b);
  case Increment:
    return old >= b ? T(0) : old + T(1);
  case Decrement:
    return old == T(0) || old > b ? b : old - T(1);
  case Exchange:
    return b;
  case CompareAndSwap:
    return old == b ? c : old;
  default:
    break;
  }
  if constexpr (std::is_integral_v<T>)
    return operation == And ? old & b : operation == Or ? old | b : old ^ b;
  return old;
}

/// d, address, b, and c of cas. red has no d.
template <typename T, bool Returns> void atomic(Warp &w, const Instruction &i) {
  unsigned at = Returns ? 1 : 0;
  auto operation = static_cast<Operation>(i.variant);
  Lanes64 a;
  addressesOf(w, i, at, a);
  int32_t ob = i.o[at + 3], oc = operation == CompareAndSwap ? i.o[at + 4] : ob;
  const T *b = w.reg<T>(ob), *c = w.reg<T>(oc);
  T old[kLanes] = {};
  w.need(w.undefined(ob) | w.undefined(oc), "what an atomic operation writes");
  Undefined undefined = {};
  Request request = {i, a, sizeof(T), 1, Kind::Atomic};
  bySpace(w, i.space, a, [&](Space space) {
    u64 base = 0;
    if (space == Space::Shared) {
      checkShared(w, request, undefined);
      base = baseOf(w.cta->shared.data());
    } else if (space == Space::Global) {
      checkGlobal(w, request, undefined);
    } else {
      base = localPlace(w, a, sizeof(T));
    }
    forLanes(w, [&](unsigned lane) {
      T value;
      std::memcpy(&value, reinterpret_cast<const void *>(base + a[lane]), sizeof value);
      old[lane] = value;
      value = applied<T>(operation, value, b[lane], c[lane]);
      std::memcpy(reinterpret_cast<void *>(base + a[lane]), &value, sizeof value);
    });
  });
  if (Returns) {
    T *d = w.reg<T>(i.o[0]);
    forLanes(w, [&](unsigned lane) { d[lane] = old[lane]; });
    w.mark(i.o[0], undefined[0]);
  }
}

template <typename T, bool Returns> void finishAtomic(Instruction &i, const Parts &parts) {
  finishOrder(i, parts[1].empty() ? "relaxed" : parts[1], parts[2]);
  i.space = spaceOf(parts[3]);
  i.variant = static_cast<u8>(std::find(std::begin(kOperations), std::end(kOperations), parts[4]) - kOperations);
  i.bytes = sizeof(T);
  if (Returns && (i.variant == CompareAndSwap) != (i.o[5] != -1))
    throw std::string("cas takes two values, all else one");
}

// Asynchronous copies: to, from, bytes, and perhaps how many of them to read.
void copyAsync(Warp &w, const Instruction &i) {
  Lanes64 to, from;
  addressesOf(w, i, 0, to);
  addressesOf(w, i, 3, from);
  Cta &cta = *w.cta;
  PendingCopy copy;
  copy.instruction = &i;
  copy.bytes = i.bytes;
  copy.lanes = w.exec;
  copy.group = cta.committed[w.index];
  bool hasSize = i.operands > 6 && i.o[6] != -1;
  if (hasSize)
    w.need(w.undefined(i.o[6]), "how much a copy reads");
  u32 reading = 0;
  forLanes(w, [&](unsigned lane) {
    u32 size = hasSize ? w.reg<u32>(i.o[6])[lane] : i.bytes;
    if (size > i.bytes)
      fault(w, CUDA_ERROR_LAUNCH_FAILED, lane,
            "a copy of " + std::to_string(i.bytes) + " bytes would read " + std::to_string(size));
    copy.sourceBytes[lane] = static_cast<u8>(size);
    copy.to[lane] = static_cast<u32>(to[lane]);
    copy.from[lane] = from[lane];
    reading |= static_cast<u32>(size != 0) << lane;
  });
  u32 all = w.exec;
  Undefined undefined = {};
  w.exec = reading;
  if (reading)
    checkGlobal(w, {i, from, i.bytes, 1, Kind::Read}, undefined);
  w.exec = all;
  checkShared(w, {i, to, i.bytes, 1, Kind::Write, true}, undefined);
  // It may land at once or as late as its wait.
  copy.landed = cta.random.next() & 1;
  if (copy.landed)
    forLanes(w, [&](unsigned lane) {
      u8 *at = cta.shared.data() + copy.to[lane];
      std::memcpy(at, reinterpret_cast<const void *>(from[lane]), copy.sourceBytes[lane]);
      std::memset(at + copy.sourceBytes[lane], 0, i.bytes - copy.sourceBytes[lane]);
    });
  cta.copies[w.index].push_back(copy);
}
void finishCopy(Instruction &i, const Parts &) {
  if (i.immediate != 4 && i.immediate != 8 && i.immediate != 16)
    throw "a copy must have 4, 8 or 16 bytes, got " + std::to_string(i.immediate);
  i.bytes = static_cast<u8>(i.immediate);
  i.space = Space::Generic;
}
void commitCopies(Warp &w, const Instruction &) {
  std::array<u32, kLanes> &groups = w.cta->committed[w.index];
  forLanes(w, [&](unsigned lane) { ++groups[lane]; });
}
void waitForGroups(Warp &w, const Instruction &i) {
  std::array<u32, kLanes> before = w.cta->committed[w.index];
  for (u32 &group : before)
    group = group > i.immediate ? group - static_cast<u32>(i.immediate) : 0;
  w.cta->land(w, w.exec, before);
}
void waitForCopies(Warp &w, const Instruction &) {
  std::array<u32, kLanes> before;
  before.fill(kAll);
  w.cta->land(w, w.exec, before);
}

/// A prefetch changes nothing.
void ignore(Warp &, const Instruction &) {}

#define KERF_L2 "L2::cache_hint?.L2::64B|L2::128B|L2::256B?"
#define KERF_ACCESS_TYPES "b8|u8|s8|b16|u16|s16|f16|bf16|b32|u32|s32|f32|b64|u64|s64|f64"
#define KERF_SPACES "global|shared|shared::cta|local|param|const?"
#define KERF_ATOMIC "relaxed|acquire|release|acq_rel?.cta|gpu|sys?.global|shared|shared::cta?."
const Row kRows[] = {
    {"ld.weak|relaxed|acquire|volatile?.cta|gpu|sys?." KERF_SPACES
     ".ca|cg|cs|lu|cv?.nc?.L1::evict_normal|L1::evict_first|"
     "L1::evict_last|L1::evict_unchanged|L1::no_allocate?." KERF_L2 ".v2|v4?." KERF_ACCESS_TYPES,
     "Vm", load, finishAccess},
    {"st.weak|relaxed|release|volatile?.cta|gpu|sys?." KERF_SPACES ".wb|cg|cs|wt?.L1::evict_normal|L1::evict_first|"
     "L1::evict_last|L1::evict_unchanged|L1::no_allocate?." KERF_L2 ".v2|v4?." KERF_ACCESS_TYPES,
     "mv", store, finishAccess},
    {"atom." KERF_ATOMIC "add|min|max|inc|dec|exch|cas|and|or|xor.u32|b32", "Wmw?w", atomic<u32, true>,
     finishAtomic<u32, true>},
    {"atom." KERF_ATOMIC "add|min|max.s32", "Wmw?w", atomic<int32_t, true>, finishAtomic<int32_t, true>},
    {"atom." KERF_ATOMIC "add|min|max|exch|cas|and|or|xor.u64|b64", "Lml?l", atomic<u64, true>,
     finishAtomic<u64, true>},
    {"atom." KERF_ATOMIC "min|max.s64", "Lml?l", atomic<int64_t, true>, finishAtomic<int64_t, true>},
    {"atom." KERF_ATOMIC "add.f32", "Wmw?w", atomic<float, true>, finishAtomic<float, true>},
    {"red." KERF_ATOMIC "add|min|max|inc|dec|and|or|xor.u32|b32", "mw", atomic<u32, false>, finishAtomic<u32, false>},
    {"red." KERF_ATOMIC "add|min|max.s32", "mw", atomic<int32_t, false>, finishAtomic<int32_t, false>},
    {"red." KERF_ATOMIC "add|min|max|and|or|xor.u64|b64", "ml", atomic<u64, false>, finishAtomic<u64, false>},
    {"red." KERF_ATOMIC "min|max.s64", "ml", atomic<int64_t, false>, finishAtomic<int64_t, false>},
    {"red." KERF_ATOMIC "add.f32", "mw", atomic<float, false>, finishAtomic<float, false>},
    {"cp.async.ca|cg.shared|shared::cta.global." KERF_L2, "mmi?w", copyAsync, finishCopy},
    {"cp.async.commit_group", "", commitCopies},
    {"cp.async.wait_group", "i", waitForGroups},
    {"cp.async.wait_all", "", waitForCopies},
    {"prefetch.global?.L1|L2|L2::evict_last|L2::evict_normal", "m", ignore},
    {"prefetchu.L1", "m", ignore},
};

} // namespace

std::span<const Row> memoryRows() { return kRows; }

} // namespace kerf::emulator
