// Device-side vocabulary of the probes, for clang's CUDA mode without CUDA's headers: the same NVPTX backend that
// Kerf's kernels go through.
#pragma once

#define KERNEL extern "C" __attribute__((global)) void
#define DEVICE static inline __attribute__((device, always_inline))
#define SHARED __attribute__((shared))
#define CONSTANT const __attribute__((grid_constant))
#define THREADS(...) __attribute__((launch_bounds(__VA_ARGS__)))

using u16 = unsigned short;
using u32 = unsigned;
using u64 = unsigned long;
struct alignas(16) Vec4 {
  u32 x, y, z, w;
};
struct alignas(64) TensorMap {
  char bytes[128];
};

DEVICE u32 threadId() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 blockX() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 blockY() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE u32 gridX() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE u32 sharedAddress(const void *p) { return (u32)(u64)(const __attribute__((address_space(3))) void *)p; }

DEVICE float low(u32 pair) { return __builtin_bit_cast(float, pair << 16); }
DEVICE float high(u32 pair) { return __builtin_bit_cast(float, pair & 0xffff0000u); }
DEVICE u32 pack(float lo, float hi) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}
DEVICE float exp2(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// Weights are read once: they leave neither a line in L1 nor a long-lived one in L2.
DEVICE Vec4 loadOnce(const Vec4 *p) {
  Vec4 r;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
               : "l"(p));
  return r;
}

// By instruction: LLVM 22 turns the copy of a structure from or to an external shared array into single bytes.
DEVICE Vec4 loadShared(u32 address) {
  Vec4 r;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "r"(address));
  return r;
}
DEVICE void storeShared(u32 address, Vec4 v) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
}

DEVICE float sumOfWarp(float v) {
  for (u32 lane = 16; lane; lane /= 2)
    v += __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, v), lane, 31));
  return v;
}

DEVICE void barrierInit(u32 bar, u32 count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}
DEVICE void barrierExpect(u32 bar, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}
DEVICE void barrierArrive(u32 bar) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(bar) : "memory"); }
// Without .release.cluster, which costs a MEMBAR.ALL.GPU: what it would order was read by wgmma, and that is complete.
DEVICE void barrierArriveAt(u32 bar, u32 cta) {
  asm volatile("{ .reg .b32 r; mapa.shared::cluster.u32 r, %0, %1;"
               " mbarrier.arrive.shared::cluster.b64 _, [r]; }" ::"r"(bar),
               "r"(cta)
               : "memory");
}
DEVICE void barrierWait(u32 bar, u32 parity) {
  asm volatile("{ .reg .pred p;\n"
               "AGAIN%=: mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n"
               "@!p bra AGAIN%=; }" ::"r"(bar),
               "r"(parity)
               : "memory");
}
