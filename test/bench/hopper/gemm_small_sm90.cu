// Few tokens: out (M x N) = A (M x K) W (N x K)^T in bf16, where M is at most TOKENS. Rows of W take the side of wgmma
// that is 64 wide, tokens the other one, so that no product is wasted; a cluster of SPLIT blocks shares K, and its
// blocks add up each other's partial sums through distributed shared memory, always in the same order.
//   TOKENS    16, 32, 64 or 128       ROWS    rows of W of a block: 64 for each consumer warpgroup
//   SPLIT     1 to 8                  STAGES  of the ring     BLOCKS  blocks of a multiprocessor
#include "Wgmma.h"

constexpr u32 BK = 64, wBytes = ROWS * BK * 2, aBytes = TOKENS * BK * 2, consumers = ROWS / 64;
constexpr u32 pitch = ROWS + 4; // floats of a token's partial sums: eight rows by four pairs of tokens meet 32 banks
extern __attribute__((shared)) __attribute__((aligned(1024))) char memory[];

KERNEL THREADS(consumers * 128 + 32, BLOCKS)
    gemm(CONSTANT TensorMap mapW, CONSTANT TensorMap mapA, u32 *out, u32 M, u32 N, u32 K) {
  u32 thread = threadId(), warp = thread / 32, lane = thread % 32, rank = 0;
  if (SPLIT > 1)
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  u32 w = sharedAddress(memory), a = w + STAGES * wBytes, full = a + STAGES * aBytes, empty = full + STAGES * 8;
  u32 row = blockX() / SPLIT * ROWS, steps = K / BK, begin = steps * rank / SPLIT, end = steps * (rank + 1) / SPLIT;
  if (thread == 0) {
    for (u32 s = 0; s < STAGES; ++s) {
      barrierInit(full + s * 8, 1);
      barrierInit(empty + s * 8, consumers);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  asm volatile("bar.sync 0;" ::: "memory");
  u32 stage = 0;
  if (warp == consumers * 4) {
    u32 parity = 1;
    if (lane == 0)
      for (u32 k = begin; k < end; ++k) {
        barrierWait(empty + stage * 8, parity);
        barrierExpect(full + stage * 8, wBytes + aBytes);
        tensorLoad(w + stage * wBytes, mapW, k * BK, row, full + stage * 8);
        tensorLoad(a + stage * aBytes, mapA, k * BK, 0, full + stage * 8);
        if (++stage == STAGES)
          stage = 0, parity ^= 1;
      }
  } else {
    float d[TOKENS / 2];
    u32 parity = 0, before = STAGES;
    auto release = [&](u32 s) {
      if (thread % 128 == 0)
        barrierArrive(empty + s * 8);
    };
    for (u32 k = begin; k < end; ++k) {
      barrierWait(full + stage * 8, parity);
      u64 dw = descriptor(w + stage * wBytes + thread / 128 * (64 * BK * 2)), da = descriptor(a + stage * aBytes);
      wgmmaFence();
#pragma unroll
      for (u32 i = 0; i < 4; ++i)
        wgmma(d, dw + 2 * i, da + 2 * i, k - begin + i);
      wgmmaCommit();
      wgmmaWait<1>(d);
      if (before != STAGES)
        release(before);
      before = stage;
      if (++stage == STAGES)
        stage = 0, parity ^= 1;
    }
    wgmmaWait<0>(d);
    // The ring is empty when all consumers are here: the partial sums take its place, token by token.
    asm volatile("bar.sync 1, %0;" ::"n"(consumers * 128) : "memory");
#pragma unroll
    for (u32 j = 0; j < TOKENS / 2; ++j) {
      u32 token = j / 4 * 8 + lane % 4 * 2 + j % 2, r = warp * 16 + lane / 4 + j / 2 % 2 * 8;
      asm volatile("st.shared.f32 [%0], %1;" ::"r"(w + (token * pitch + r) * 4), "f"(d[j]) : "memory");
    }
  }
  asm volatile("bar.warp.sync -1;" ::: "memory");
  if (SPLIT > 1)
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
  else
    asm volatile("bar.sync 0;" ::: "memory");
  // Each warp finishes whole tokens; a lane takes two rows of every 64.
  if (warp < consumers * 4)
    for (u32 token = warp * SPLIT + rank; token < M; token += consumers * 4 * SPLIT)
#pragma unroll
      for (u32 r = lane * 2; r < ROWS; r += 64) {
        float x = 0, y = 0;
#pragma unroll
        for (u32 s = 0; s < SPLIT; ++s) {
          float dx, dy;
          u32 at = w + (token * pitch + r) * 4;
          if (SPLIT > 1)
            asm volatile("{ .reg .b32 a; mapa.shared::cluster.u32 a, %2, %3;"
                         " ld.shared::cluster.v2.f32 {%0, %1}, [a]; }"
                         : "=f"(dx), "=f"(dy)
                         : "r"(at), "r"(s)
                         : "memory");
          else
            asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(dx), "=f"(dy) : "r"(at) : "memory");
          x += dx;
          y += dy;
        }
        out[((u64)token * N + row + r) / 2] = pack(x, y);
      }
  if (SPLIT > 1)
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
}
