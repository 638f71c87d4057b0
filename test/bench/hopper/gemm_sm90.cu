// C (M x N) = A (M x K) B (N x K)^T in bf16 with f32 accumulators: tiles of BM x BN, K in steps of 64, a ring of tensor
// copies filled by one producer warp and emptied by two consumer warpgroups.
//   BN       256, 192 or 128           PERSIST  one block for each multiprocessor walks over tiles
//   CLUSTER  1 or 2: blocks along M that share B by multicast
//   PENDING  0: wait for each step's products; 1: leave the last group in flight and release the stage before it
//   STAGED   the result goes through shared memory and leaves in 16-byte stores
#include "Wgmma.h"

constexpr u32 BM = 128, BK = 64, aBytes = BM * BK * 2, bBytes = BN * BK * 2;
// As many stages as fit beside the patches of the result.
constexpr u32 stages = (227 * 1024 - 8 * 16 * 144 - 256) / (aBytes + bBytes);
extern __attribute__((shared)) __attribute__((aligned(1024))) char memory[];

DEVICE void tileAt(u32 index, u32 tilesM, u32 tilesN, u32 &m, u32 &n) {
  // Groups of tiles of 1024 rows by all columns: what runs at the same time shares A and B in L2.
  constexpr u32 group = 8;
  u32 first = index / (group * tilesN) * group, rows = tilesM - first < group ? tilesM - first : group;
  u32 inside = index % (group * tilesN);
  m = first + inside % rows;
  n = inside / rows;
}

KERNEL THREADS(384, 1) gemm(CONSTANT TensorMap mapA, CONSTANT TensorMap mapB, u32 *out, u32 M, u32 N, u32 K) {
  u32 thread = threadId(), warpgroup = thread / 128;
  u32 a = sharedAddress(memory), b = a + stages * aBytes, full = b + stages * bBytes, empty = full + stages * 8;
  u32 rank = 0;
  if (CLUSTER == 2)
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (thread == 0) {
    for (u32 s = 0; s < stages; ++s) {
      barrierInit(full + s * 8, 1);
      barrierInit(empty + s * 8, 2 * CLUSTER);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (CLUSTER == 2)
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
  else
    asm volatile("bar.sync 0;" ::: "memory");

  u32 groupsM = (M + BM * CLUSTER - 1) / (BM * CLUSTER), tilesN = (N + BN - 1) / BN, steps = K / BK;
  u32 tiles = groupsM * tilesN;
  u32 first = blockX() / CLUSTER, stride = PERSIST ? gridX() / CLUSTER : tiles;
  if (warpgroup == 0) {
    giveRegisters<40>();
    if (thread == 0) {
      u32 stage = 0, parity = 1;
      for (u32 tile = first; tile < tiles; tile += stride) {
        u32 m, n;
        tileAt(tile, groupsM, tilesN, m, n);
        m = (m * CLUSTER + rank) * BM;
        n *= BN;
        for (u32 k = 0; k < steps; ++k) {
          barrierWait(empty + stage * 8, parity);
          barrierExpect(full + stage * 8, aBytes + bBytes);
          tensorLoad(a + stage * aBytes, mapA, k * BK, m, full + stage * 8);
          if (CLUSTER == 2)
            tensorLoadMulticast(b + stage * bBytes + rank * (bBytes / 2), mapB, k * BK, n + rank * (BN / 2),
                                full + stage * 8, 3);
          else
            tensorLoad(b + stage * bBytes, mapB, k * BK, n, full + stage * 8);
          if (++stage == stages)
            stage = 0, parity ^= 1;
        }
      }
    }
  } else {
    keepRegisters<232>();
    u32 consumer = warpgroup - 1, lane = thread % 32, warp = thread % 128 / 32, stage = 0, parity = 0;
    auto release = [&](u32 s) {
      if (CLUSTER == 2) {
        if (thread % 128 < 2)
          barrierArriveAt(empty + s * 8, thread % 128);
      } else if (thread % 128 == 0)
        barrierArrive(empty + s * 8);
    };
    for (u32 tile = first; tile < tiles; tile += stride) {
      float d[BN / 2];
      u32 before = stages;
      for (u32 k = 0; k < steps; ++k) {
        barrierWait(full + stage * 8, parity);
        u64 da = descriptor(a + stage * aBytes + consumer * (aBytes / 2)), db = descriptor(b + stage * bBytes);
        wgmmaFence();
#pragma unroll
        for (u32 i = 0; i < 4; ++i)
          wgmma(d, da + 2 * i, db + 2 * i, k | i);
        wgmmaCommit();
        wgmmaWait<PENDING>(d);
        if (PENDING == 0)
          release(stage);
        else if (before != stages)
          release(before);
        before = stage;
        if (++stage == stages)
          stage = 0, parity ^= 1;
      }
      if (PENDING) {
        wgmmaWait<0>(d);
        release(before);
      }
      u32 m, n;
      tileAt(tile, groupsM, tilesN, m, n);
      m = (m * CLUSTER + rank) * BM + consumer * 64 + warp * 16;
      n *= BN;
      if (STAGED) {
        // Each warp puts its 16 rows of 64 columns (rows of 144 bytes: no bank conflicts) down and picks up whole rows.
        u32 patch = empty + stages * 8 + (thread / 32 - 4) * (16 * 144);
#pragma unroll
        for (u32 c = 0; c < BN; c += 64) {
#pragma unroll
          for (u32 j = 0; j < 8; j += 2) {
            u32 at = patch + (lane % 16) * 144 + j * 16 + lane / 16 * 16;
            float *v = d + (c + j * 8) / 2;
            asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at),
                         "r"(pack(v[0], v[1])), "r"(pack(v[2], v[3])), "r"(pack(v[4], v[5])), "r"(pack(v[6], v[7]))
                         : "memory");
          }
          asm volatile("bar.warp.sync -1;" ::: "memory");
          for (u32 i = 0; i < 4; ++i) {
            u32 row = i * 4 + lane / 8;
            Vec4 v = loadShared(patch + row * 144 + lane % 8 * 16);
            if (m + row < M && n + c + lane % 8 * 8 < N)
              *(Vec4 *)(out + ((u64)(m + row) * N + n + c) / 2 + lane % 8 * 4) = v;
          }
          asm volatile("bar.warp.sync -1;" ::: "memory");
        }
      } else {
#pragma unroll
        for (u32 h = 0; h < 2; ++h) {
          u32 row = m + lane / 4 + 8 * h;
          if (row < M)
#pragma unroll
            for (u32 j = 0; j < BN / 8 && n + j * 8 < N; ++j)
              out[((u64)row * N + n) / 2 + j * 4 + lane % 4] = pack(d[j * 4 + 2 * h], d[j * 4 + 2 * h + 1]);
        }
      }
    }
  }
  asm volatile("bar.warp.sync -1;" ::: "memory");
  if (CLUSTER == 2) // No block leaves while another may still arrive at its barriers.
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
}
