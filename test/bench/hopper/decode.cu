// Matrix times vector at the speed of memory, and three ways to run a chain of them: one launch each, launches that
// overlap (programmatic dependent launch), and one launch whose blocks meet at a barrier in global memory.
//   ROWS     rows of W that a warp reads at the same time      UNROLL  16-byte loads in flight for each row
//   WARPS    warps of a block                                  BLOCKS  blocks of a multiprocessor
#include "Device.h"

using Weights = Vec4[ROWS][UNROLL];
constexpr u32 step = 256 * UNROLL; // elements of a row that a warp reads at once

struct Product {
  const char *W; // N x K, bf16
  const char *x; // K, bf16
  u16 *y;        // N, bf16
  u32 N, K;      // multiples of ROWS and of 256 * UNROLL
};

DEVICE void fetch(Weights &w, const Product &p, u32 row, u32 k) {
#pragma unroll
  for (u32 r = 0; r < ROWS; ++r)
#pragma unroll
    for (u32 u = 0; u < UNROLL; ++u)
      w[r][u] = loadOnce((const Vec4 *)(p.W + ((u64)(row + r) * p.K + k + u * 256) * 2));
}

// x in shared memory, past L1: another block may have written it in this launch. All warps then read it many times.
extern __attribute__((shared)) __attribute__((aligned(16))) char vector[];
DEVICE void copyVector(const Product &p, u32 thread) {
  for (u32 k = thread * 8; k < p.K; k += WARPS * 32 * 8) {
    Vec4 v;
    asm volatile("ld.global.cg.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p.x + k * 2));
    storeShared(sharedAddress(vector) + k * 2, v);
  }
}
DEVICE void synchronize() { asm volatile("bar.sync 0;" ::: "memory"); }

// ROWS rows of y; `w` holds the weights of the first step, perhaps still on their way.
DEVICE void multiply(Weights &w, const Product &p, u32 row, u32 lane) {
  float sum[ROWS] = {};
  for (u32 k = lane * 8; k < p.K; k += step) {
    Weights next;
    if (k + step < p.K)
      fetch(next, p, row, k + step);
#pragma unroll
    for (u32 u = 0; u < UNROLL; ++u) {
      Vec4 v = loadShared(sharedAddress(vector) + (k + u * 256) * 2);
#pragma unroll
      for (u32 r = 0; r < ROWS; ++r) {
        u32 a[4] = {w[r][u].x, w[r][u].y, w[r][u].z, w[r][u].w}, b[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (u32 i = 0; i < 4; ++i)
          sum[r] = __builtin_fmaf(high(a[i]), high(b[i]), __builtin_fmaf(low(a[i]), low(b[i]), sum[r]));
        w[r][u] = next[r][u];
      }
    }
  }
#pragma unroll
  for (u32 r = 0; r < ROWS; ++r) {
    float total = sumOfWarp(sum[r]);
    if (lane == 0)
      p.y[row + r] = pack(total, 0) & 0xffff;
  }
}

// One product: WARPS * ROWS rows for each block. With OVERLAP the launch before may still run: weights first, then
// wait.
KERNEL THREADS(WARPS * 32, BLOCKS) product(const char *W, const char *x, u16 *y, u32 N, u32 K) {
  u32 thread = threadId(), lane = thread % 32, row = (blockX() * WARPS + thread / 32) * ROWS;
  Product p = {W, x, y, N, K};
  Weights w;
  if (row < N)
    fetch(w, p, row, lane * 8);
#if OVERLAP
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  copyVector(p, thread);
  synchronize();
  if (row < N)
    multiply(w, p, row, lane);
}

// All products in one launch of as many blocks as fit at once. `arrived` starts at zero and ends at blocks * (count -
// 1). With OVERLAP the whole of a warp's next rows is on its way to L2 before the barrier, otherwise its first step
// only.
KERNEL THREADS(WARPS * 32, BLOCKS) chain(const Product *products, u32 count, u32 *arrived) {
  u32 thread = threadId(), lane = thread % 32, warps = gridX() * WARPS;
  // Neighbouring rows go to different multiprocessors, so that a short product still uses all of them.
  u32 first = (thread / 32 * gridX() + blockX()) * ROWS;
  Product p = products[0];
  Weights w;
  if (first < p.N)
    fetch(w, p, first, lane * 8);
  for (u32 i = 0;;) {
    copyVector(p, thread);
    synchronize();
    for (u32 row = first; row < p.N; row += warps * ROWS) {
      if (row != first)
        fetch(w, p, row, lane * 8);
      multiply(w, p, row, lane);
    }
    if (++i == count)
      break;
    p = products[i];
    if (first < p.N) {
      fetch(w, p, first, lane * 8);
#if OVERLAP
      if (lane < ROWS && p.K > step)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p.W + ((u64)(first + lane) * p.K + step) * 2),
                     "r"((p.K - step) * 2)
                     : "memory");
#endif
    }
    synchronize();
    if (thread == 0) {
      u32 seen;
      asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(arrived) : "memory");
      do
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrived) : "memory");
      while (seen < i * gridX());
    }
    synchronize();
  }
}
