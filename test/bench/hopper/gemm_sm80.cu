// C (M x N) = A (M x K) B (N x K)^T in bf16 with f32 accumulators on what sm_80 has: cp.async rings, ldmatrix,
// mma.sync. Tiles of BM x BN x BK by WM x WN warps, STAGES in the ring. Rows of a tile in shared memory are BK
// elements, their 16-byte pieces permuted by the row so that ldmatrix meets no bank twice.
#include "Device.h"

constexpr u32 warps = WM * WN, threads = warps * 32, pieces = BK / 8;
constexpr u32 aBytes = BM * BK * 2, bBytes = BN * BK * 2, stageBytes = aBytes + bBytes;
constexpr u32 MT = BM / WM / 16, NT = BN / WN / 8;
extern __attribute__((shared)) __attribute__((aligned(128))) char memory[];

// Where piece `p` of row `r` lies. With 64-byte rows two rows share the 32 banks.
DEVICE u32 place(u32 r, u32 p) {
  return BK == 64 ? r * 128 + ((p ^ (r & 7)) * 16) : r * 64 + ((p ^ ((r >> 1) & 3)) * 16);
}

template <u32 Rows> DEVICE void copy(u32 to, const char *from, u32 first, u32 limit, u32 ld, u32 thread) {
#pragma unroll
  for (u32 i = 0; i < Rows * pieces / threads; ++i) {
    u32 piece = i * threads + thread, r = piece / pieces, p = piece % pieces;
    u32 row = first + r < limit ? first + r : limit - 1;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to + place(r, p)),
                 "l"(from + (u64)row * ld * 2 + p * 16)
                 : "memory");
  }
}
DEVICE void loadMatrices(u32 (&r)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

KERNEL THREADS(threads, MINBLOCKS) gemm(const char *A, const char *B, u32 *out, u32 M, u32 N, u32 K) {
  u32 thread = threadId(), lane = thread % 32, warp = thread / 32, wm = warp / WN, wn = warp % WN;
  u32 base = sharedAddress(memory), steps = K / BK;
  u32 tilesM = (M + BM - 1) / BM, tilesN = (N + BN - 1) / BN;
  constexpr u32 group = 1024 / BM;
  u32 index = blockX(), firstM = index / (group * tilesN) * group;
  u32 rows = tilesM - firstM < group ? tilesM - firstM : group, inside = index % (group * tilesN);
  u32 m0 = (firstM + inside % rows) * BM, n0 = inside / rows * BN;

  auto fetch = [&](u32 k) {
    if (k < steps) {
      u32 to = base + k % STAGES * stageBytes;
      copy<BM>(to, A + (u64)k * BK * 2, m0, M, K, thread);
      copy<BN>(to + aBytes, B + (u64)k * BK * 2, n0, N, K, thread);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  float d[MT][NT][4] = {};
#pragma unroll
  for (u32 k = 0; k < STAGES - 1; ++k)
    fetch(k);
  u32 a[2][MT][4], b[2][NT / 2][4];
  auto fragments = [&](u32 to, u32 stage, u32 kk) {
    u32 at = base + stage * stageBytes;
#pragma unroll
    for (u32 i = 0; i < MT; ++i)
      loadMatrices(a[to][i], at + place(wm * (BM / WM) + i * 16 + lane % 16, kk * 2 + lane / 16));
#pragma unroll
    for (u32 j = 0; j < NT / 2; ++j)
      loadMatrices(b[to][j],
                   at + aBytes + place(wn * (BN / WN) + j * 16 + lane % 8 + lane / 16 * 8, kk * 2 + lane / 8 % 2));
  };
  asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
  asm volatile("bar.sync 0;" ::: "memory");
  fragments(0, 0, 0);
  u32 stage = 0;
  for (u32 k = 0; k < steps; ++k) {
#pragma unroll
    for (u32 kk = 0; kk < BK / 16; ++kk) {
      if (kk == BK / 16 - 1) {
        // The next stage has landed for everyone, and everyone is past the stage that the next copy overwrites.
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        asm volatile("bar.sync 0;" ::: "memory");
        if (++stage == STAGES)
          stage = 0;
      }
      fragments((kk + 1) % 2, stage, (kk + 1) % (BK / 16));
      if (kk == 0)
        fetch(k + STAGES - 1);
#pragma unroll
      for (u32 i = 0; i < MT; ++i)
#pragma unroll
        for (u32 j = 0; j < NT; ++j) {
          float *v = d[i][j];
          u32 *x = a[kk % 2][i], *y = b[kk % 2][j / 2] + j % 2 * 2;
          asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                       "{%0,%1,%2,%3};"
                       : "+f"(v[0]), "+f"(v[1]), "+f"(v[2]), "+f"(v[3])
                       : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
        }
    }
  }
#pragma unroll
  for (u32 i = 0; i < MT; ++i)
#pragma unroll
    for (u32 j = 0; j < NT; ++j)
#pragma unroll
      for (u32 h = 0; h < 2; ++h) {
        u32 row = m0 + wm * (BM / WM) + i * 16 + lane / 4 + 8 * h;
        u32 column = n0 + wn * (BN / WN) + j * 8 + lane % 4 * 2;
        if (row < M && column < N)
          out[((u64)row * N + column) / 2] = pack(d[i][j][2 * h], d[i][j][2 * h + 1]);
      }
}
