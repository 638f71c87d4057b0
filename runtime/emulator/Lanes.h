/// Loops over the lanes of a warp, written so that the compiler makes vector code of them.
#ifndef KERF_RUNTIME_EMULATOR_LANES_H
#define KERF_RUNTIME_EMULATOR_LANES_H

#include "runtime/emulator/Warp.h"

namespace kerf::emulator {

/// `store(lane)` on the executing lanes.
template <typename Body> inline void forLanes(const Warp &w, Body body) {
  if (w.exec == kAll) {
    for (unsigned lane = 0; lane < kLanes; ++lane)
      body(lane);
  } else {
    for (uint32_t rest = w.exec; rest; rest &= rest - 1)
      body(static_cast<unsigned>(__builtin_ctz(rest)));
  }
}

/// d = f(a)
template <typename D, typename A, typename F> void unary(Warp &w, const Instruction &i) {
  D *d = w.reg<D>(i.o[0]);
  const A *a = w.reg<A>(i.o[1]);
  if (w.exec == kAll) {
    D r[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r[lane] = F::f(a[lane]);
    __builtin_memcpy(d, r, sizeof r);
  } else {
    forLanes(w, [&](unsigned lane) { d[lane] = F::f(a[lane]); });
  }
  w.mark(i.o[0], w.undefined(i.o[1]));
}

/// d = f(a, b)
template <typename D, typename A, typename B, typename F> void binary(Warp &w, const Instruction &i) {
  D *d = w.reg<D>(i.o[0]);
  const A *a = w.reg<A>(i.o[1]);
  const B *b = w.reg<B>(i.o[2]);
  if (w.exec == kAll) {
    D r[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r[lane] = F::f(a[lane], b[lane]);
    __builtin_memcpy(d, r, sizeof r);
  } else {
    forLanes(w, [&](unsigned lane) { d[lane] = F::f(a[lane], b[lane]); });
  }
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]));
}

/// d = f(a, b, c)
template <typename D, typename A, typename B, typename C, typename F> void ternary(Warp &w, const Instruction &i) {
  D *d = w.reg<D>(i.o[0]);
  const A *a = w.reg<A>(i.o[1]);
  const B *b = w.reg<B>(i.o[2]);
  const C *c = w.reg<C>(i.o[3]);
  if (w.exec == kAll) {
    D r[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r[lane] = F::f(a[lane], b[lane], c[lane]);
    __builtin_memcpy(d, r, sizeof r);
  } else {
    forLanes(w, [&](unsigned lane) { d[lane] = F::f(a[lane], b[lane], c[lane]); });
  }
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]) | w.undefined(i.o[3]));
}

} // namespace kerf::emulator

#endif
