// y (M x N) = x (M x K) W (N x K)^T for M of at most 8: W in 4 bits (0..15 stands for -8..7) with a bf16 scale for
// every 128 of K, x and y in bf16. Tensor cores do the multiplication; weights lie in the order of their operand, so
// that 16 bytes of a lane are four operands of mma.m16n8k16 and two instructions make a pair of bf16 of each (MARLIN:
// Mixed-Precision Auto-Regressive Parallel Inference on Large Language Models).
//   WARPS   of a block, which share the K of 16 rows in chunks of 512       BLOCKS   of a multiprocessor
#include "Device.h"

struct Chunk {
  Vec4 w[8]; // 16 rows by 64 of K each
  Vec4 s;    // four groups of row lane/4, then of row lane/4 + 8
};
DEVICE void fetch(Chunk &c, const char *W, const char *S, u64 chunk, u32 lane) {
#pragma unroll
  for (u32 i = 0; i < 8; ++i)
    c.w[i] = loadOnce((const Vec4 *)(W + chunk * 4096 + i * 512 + lane * 16));
  c.s = loadOnce((const Vec4 *)(S + chunk * 128 + lane / 4 * 16));
}
// The pair of 4-bit numbers at bits 0 and 16 as bf16: 0x4300 is 128 with a step of 1 at its end.
DEVICE u32 widen(u32 q) {
  u32 biased, pair;
  asm("lop3.b32 %0, %1, 0x000f000f, 0x43004300, 0xea;" : "=r"(biased) : "r"(q));
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(pair) : "r"(biased), "r"(0x3f803f80u), "r"(0xc308c308u)); // - 136
  return pair;
}

extern __attribute__((shared)) __attribute__((aligned(16))) char memory[]; // x, then partial sums

KERNEL THREADS(WARPS * 32, BLOCKS) product(const char *W, const char *S, const char *x, u16 *y, u32 M, u32 N, u32 K) {
  u32 thread = threadId(), warp = thread / 32, lane = thread % 32, chunks = K / 512, vector = sharedAddress(memory);
  u64 strip = (u64)blockX() * chunks;
  Chunk c;
  if (warp < chunks)
    fetch(c, W, S, strip + warp, lane);
#if OVERLAP
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  // Rows of x lie 16 bytes further apart than they are long: eight tokens meet eight groups of banks.
  u32 pitch = K * 2 + 16;
  for (u32 m = 0; m < M; ++m)
    for (u32 k = thread * 16; k < K * 2; k += WARPS * 512) {
      Vec4 v;
      asm volatile("ld.global.cg.v4.b32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                   : "l"(x + (u64)m * K * 2 + k));
      storeShared(vector + m * pitch + k, v);
    }
  asm volatile("bar.sync 0;" ::: "memory");
  u32 token = lane / 4 < M ? lane / 4 : M - 1;
  float sum[4] = {};
  for (u32 chunk = warp; chunk < chunks; chunk += WARPS) {
    Chunk next;
    if (chunk + WARPS < chunks)
      fetch(next, W, S, strip + chunk + WARPS, lane);
    u32 scales[4] = {c.s.x, c.s.y, c.s.z, c.s.w};
#pragma unroll
    for (u32 group = 0; group < 4; ++group) {
      float d[4] = {};
#pragma unroll
      for (u32 i = group * 2; i < group * 2 + 2; ++i) {
        u32 at = vector + token * pitch + (chunk * 512 + i * 64 + lane % 4 * 16) * 2;
        Vec4 lo = loadShared(at), hi = loadShared(at + 16);
        u32 b[8] = {lo.x, lo.y, lo.z, lo.w, hi.x, hi.y, hi.z, hi.w}, q[4] = {c.w[i].x, c.w[i].y, c.w[i].z, c.w[i].w};
#pragma unroll
        for (u32 j = 0; j < 4; ++j)
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                       "{%0,%1,%2,%3};"
                       : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                       : "r"(widen(q[j])), "r"(widen(q[j] >> 4)), "r"(widen(q[j] >> 8)), "r"(widen(q[j] >> 12)),
                         "r"(b[2 * j]), "r"(b[2 * j + 1]));
      }
      u32 first = scales[group / 2], second = scales[2 + group / 2];
      float s0 = group % 2 ? high(first) : low(first), s1 = group % 2 ? high(second) : low(second);
      sum[0] = __builtin_fmaf(d[0], s0, sum[0]);
      sum[1] = __builtin_fmaf(d[1], s0, sum[1]);
      sum[2] = __builtin_fmaf(d[2], s1, sum[2]);
      sum[3] = __builtin_fmaf(d[3], s1, sum[3]);
    }
    c = next;
  }
  u32 partial = vector + M * pitch;
  storeShared(partial + thread * 16, {__builtin_bit_cast(u32, sum[0]), __builtin_bit_cast(u32, sum[1]),
                                      __builtin_bit_cast(u32, sum[2]), __builtin_bit_cast(u32, sum[3])});
  asm volatile("bar.sync 0;" ::: "memory");
  // Thread (token, row): 16 rows of each of up to 8 tokens.
  u32 row = thread % 16;
  for (u32 m = thread / 16; m < M; m += WARPS * 2) {
    float total = 0;
    for (u32 w = 0; w < WARPS; ++w) {
      float v;
      asm volatile("ld.shared.f32 %0, [%1];"
                   : "=f"(v)
                   : "r"(partial + (w * 32 + row % 8 * 4 + m / 2) * 16 + (row / 8 * 2 + m % 2) * 4)
                   : "memory");
      total += v;
    }
    y[(u64)m * N + blockX() * 16 + row] = pack(total, 0) & 0xffff;
  }
}
