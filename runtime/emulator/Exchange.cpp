// What lanes of a warp do together: shuffles, votes, matches and reductions.
#include "runtime/emulator/Cta.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"
#include "runtime/emulator/Races.h"

#include <algorithm>

namespace kerf::emulator {
namespace {

using u32 = uint32_t;
using s32 = int32_t;

/// The lanes that take part: all that the mask names must be here.
u32 members(Warp &w, int32_t o) {
  w.need(w.undefined(o), "which lanes take part");
  const u32 *masks = w.reg<u32>(o);
  u32 first = masks[__builtin_ctz(w.exec)];
  for (u32 rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    u32 mask = masks[lane];
    if (!(mask >> lane & 1))
      fault(w, CUDA_ERROR_LAUNCH_FAILED, lane, "the mask of lanes leaves out the executing one");
    if (u32 absent = mask & w.live & ~w.exec)
      fault(w, CUDA_ERROR_LAUNCH_FAILED, lane,
            "the mask of lanes names lane " + std::to_string(__builtin_ctz(absent)) + ", which is elsewhere");
  }
  return first;
}

enum Mode : uint8_t { Up, Down, Butterfly, Index };

void shuffle(Warp &w, const Instruction &i) {
  // d, p, a, b, c, mask
  members(w, i.o[5]);
  u32 a[kLanes], undefinedA = w.undefined(i.o[2]);
  std::copy_n(w.reg<u32>(i.o[2]), kLanes, a);
  const u32 *b = w.reg<u32>(i.o[3]), *c = w.reg<u32>(i.o[4]);
  w.need(w.undefined(i.o[3]) | w.undefined(i.o[4]), "which lane a shuffle reads");
  u32 r[kLanes] = {}, valid = 0, undefined = 0;
  for (u32 rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    u32 clamp = c[lane] & 31, segment = c[lane] >> 8 & 31, by = b[lane] & 31;
    u32 highest = (lane & segment) | (clamp & ~segment), lowest = lane & segment;
    s32 from = 0;
    bool inside = false;
    switch (i.variant) {
    case Up:
      from = static_cast<s32>(lane) - static_cast<s32>(by);
      inside = from >= static_cast<s32>(highest);
      break;
    case Down:
      from = static_cast<s32>(lane + by);
      inside = from <= static_cast<s32>(highest);
      break;
    case Butterfly:
      from = static_cast<s32>(lane ^ by);
      inside = from <= static_cast<s32>(highest);
      break;
    default:
      from = static_cast<s32>(lowest | (by & ~segment));
      inside = from <= static_cast<s32>(highest);
    }
    unsigned source = inside ? static_cast<unsigned>(from) : lane;
    if (!(w.exec >> source & 1))
      fault(w, CUDA_ERROR_LAUNCH_FAILED, lane,
            "a shuffle from lane " + std::to_string(source) + ", which takes no part");
    r[lane] = a[source];
    undefined |= (undefinedA >> source & 1) << lane;
    valid |= static_cast<u32>(inside) << lane;
  }
  u32 *d = w.reg<u32>(i.o[0]);
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], undefined);
  if (i.o[1] >= 0)
    w.setPredicate(i.o[1], valid, 0);
}
void finishShuffle(Instruction &i, const Parts &parts) {
  i.variant = parts[2] == "up" ? Up : parts[2] == "down" ? Down : parts[2] == "bfly" ? Butterfly : Index;
}

template <bool All, bool Uniform> void vote(Warp &w, const Instruction &i) {
  u32 mask = members(w, i.o[2]) & w.exec, p = w.predicate(i.o[1]) & mask;
  w.need(w.predicateUndefined(i.o[1]), "a vote");
  bool result = Uniform ? p == 0 || p == mask : All ? p == mask : p != 0;
  w.setPredicate(i.o[0], result ? kAll : 0, 0);
}
void ballot(Warp &w, const Instruction &i) {
  u32 mask = members(w, i.o[2]) & w.exec, p = w.predicate(i.o[1]) & mask;
  w.need(w.predicateUndefined(i.o[1]), "a vote");
  u32 *d = w.reg<u32>(i.o[0]);
  forLanes(w, [&](unsigned lane) { d[lane] = p; });
  w.mark(i.o[0], 0);
}
void activeMask(Warp &w, const Instruction &i) {
  u32 *d = w.reg<u32>(i.o[0]);
  forLanes(w, [&](unsigned lane) { d[lane] = w.exec; });
  w.mark(i.o[0], 0);
}

template <typename T> void matchAny(Warp &w, const Instruction &i) {
  members(w, i.o[2]);
  const T *a = w.reg<T>(i.o[1]);
  w.need(w.undefined(i.o[1]), "a match");
  u32 r[kLanes] = {}, *d = w.reg<u32>(i.o[0]);
  forLanes(w,
           [&](unsigned lane) { forLanes(w, [&](unsigned other) { r[lane] |= u32(a[lane] == a[other]) << other; }); });
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], 0);
}

template <typename T, typename F> void reduce(Warp &w, const Instruction &i) {
  members(w, i.o[2]);
  const T *a = w.reg<T>(i.o[1]);
  T *d = w.reg<T>(i.o[0]), r{};
  bool first = true;
  forLanes(w, [&](unsigned lane) {
    r = first ? a[lane] : F::f(r, a[lane]);
    first = false;
  });
  u32 undefined = w.undefined(i.o[1]) & w.exec ? kAll : 0;
  forLanes(w, [&](unsigned lane) { d[lane] = r; });
  w.mark(i.o[0], undefined);
}
struct Sum {
  static u32 f(u32 a, u32 b) { return a + b; }
};
struct Least {
  template <typename T> static T f(T a, T b) { return std::min(a, b); }
};
struct Most {
  template <typename T> static T f(T a, T b) { return std::max(a, b); }
};
struct Both {
  static u32 f(u32 a, u32 b) { return a & b; }
};
struct Either {
  static u32 f(u32 a, u32 b) { return a | b; }
};
struct OneOf {
  static u32 f(u32 a, u32 b) { return a ^ b; }
};

void meet(Warp &w, const Instruction &i) {
  members(w, i.o[0]);
  w.cta->clocks->meet(w.index);
}

const Row kRows[] = {
    {"shfl.sync.up|down|bfly|idx.b32", "W&wwww", shuffle, finishShuffle},
    {"vote.sync.all.pred", "Ppw", vote<true, false>},
    {"vote.sync.any.pred", "Ppw", vote<false, false>},
    {"vote.sync.uni.pred", "Ppw", vote<false, true>},
    {"vote.sync.ballot.b32", "Wpw", ballot},
    {"activemask.b32", "W", activeMask},
    {"match.any.sync.b32", "Www", matchAny<u32>},
    {"match.any.sync.b64", "Wlw", matchAny<uint64_t>},
    {"redux.sync.add.u32|s32", "Www", reduce<u32, Sum>},
    {"redux.sync.min.u32", "Www", reduce<u32, Least>},
    {"redux.sync.min.s32", "Www", reduce<s32, Least>},
    {"redux.sync.max.u32", "Www", reduce<u32, Most>},
    {"redux.sync.max.s32", "Www", reduce<s32, Most>},
    {"redux.sync.and.b32", "Www", reduce<u32, Both>},
    {"redux.sync.or.b32", "Www", reduce<u32, Either>},
    {"redux.sync.xor.b32", "Www", reduce<u32, OneOf>},
    {"bar.warp.sync", "w", meet},
};

} // namespace

std::span<const Row> warpRows() { return kRows; }

} // namespace kerf::emulator
