// wgmma with A and B from shared memory or A from registers. Accumulators are tied through every wait: the wait itself
// names no register, and LLVM may move pure code across it.
#pragma once
#include "Device.h"

#define R4(a, i) "+f"(a[i]), "+f"(a[i + 1]), "+f"(a[i + 2]), "+f"(a[i + 3])
#define R8(a, i) R4(a, i), R4(a, i + 4)
#define R16(a, i) R8(a, i), R8(a, i + 8)
#define R32(a, i) R16(a, i), R16(a, i + 16)
#define R64(a, i) R32(a, i), R32(a, i + 32)
#define R96(a, i) R64(a, i), R32(a, i + 64)
#define R128(a, i) R64(a, i), R64(a, i + 64)
#define N8 "%0,%1,%2,%3,%4,%5,%6,%7"
#define N16 N8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define N32 N16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define N64                                                                                                            \
  N32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55"               \
      ",%56,%57,%58,%59,%60,%61,%62,%63"
#define N96                                                                                                            \
  N64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87"               \
      ",%88,%89,%90,%91,%92,%93,%94,%95"
#define N128                                                                                                           \
  N96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115"               \
      ",%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

DEVICE void wgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmmaCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// For each number C of accumulators of a thread: D (64 x 2C) += A (64 x 16, row-major) B (2C x 16)^T, and the wait.
#define WGMMA(C, A, B, P, WIDTH)                                                                                       \
  DEVICE void wgmma(float (&d)[C], u64 a, u64 b, int accumulate) {                                                     \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" P ", 0;\n"                                                         \
                 "wgmma.mma_async.sync.aligned.m64n" WIDTH "k16.f32.bf16.bf16 {" N##C "}, %" A ", %" B                 \
                                                                                      ", p, 1, 1, 0, 0; }"             \
                 : R##C(d, 0)                                                                                          \
                 : "l"(a), "l"(b), "r"(accumulate));                                                                   \
  }                                                                                                                    \
  template <int Pending> DEVICE void wgmmaWait(float (&d)[C]) {                                                        \
    asm volatile("wgmma.wait_group.sync.aligned %" A ";" : R##C(d, 0) : "n"(Pending) : "memory");                      \
  }
WGMMA(8, "8", "9", "10", "16")
WGMMA(16, "16", "17", "18", "32")
WGMMA(32, "32", "33", "34", "64")
WGMMA(64, "64", "65", "66", "128")
WGMMA(96, "96", "97", "98", "192")
WGMMA(128, "128", "129", "130", "256")

// D (64 x 128) += A (64 x 16 in registers) B (16 x 128, row-major: transposed on the way in).
DEVICE void wgmmaRegisters(float (&d)[64], const u32 *a, u64 b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" N64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
               : R64(d, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Descriptor of a tile whose rows are 128 bytes, swizzled by 128 bytes, eight rows in 1024 bytes.
DEVICE u64 descriptor(u32 address) { return (u64)1 << 62 | (u64)64 << 32 | (u64)1 << 16 | (address & 0x3ffff) >> 4; }

template <int Registers> DEVICE void keepRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers> DEVICE void giveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

DEVICE void tensorLoad(u32 to, const TensorMap &map, u32 x, u32 y, u32 bar) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          to),
      "l"(&map), "r"(x), "r"(y), "r"(bar)
      : "memory");
}
DEVICE void tensorLoadMulticast(u32 to, const TensorMap &map, u32 x, u32 y, u32 bar, u16 ctas) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
               " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
               "l"(&map), "r"(x), "r"(y), "r"(bar), "h"(ctas)
               : "memory");
}
