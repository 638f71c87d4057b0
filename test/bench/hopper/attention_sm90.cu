// Prefill attention, head size 128, bf16: a block takes 128 queries of a head, two consumer warpgroups 64 each; a
// producer warp copies tiles of 128 keys and values into a ring of two. Online softmax in registers; P stays there and
// is the register operand of the second product (FlashAttention-3: Fast and Accurate Attention with Asynchrony and
// Low-precision).
//   CAUSAL   query i sees keys 0..i
//   OVERLAP  1: the next tile's scores run under this tile's softmax and second product
#include "Wgmma.h"

constexpr u32 D = 128, T = 128, stages = 2, half = T * 128, tileBytes = 2 * half; // two boxes of 64 columns
extern __attribute__((shared)) __attribute__((aligned(1024))) char memory[];

DEVICE void tensorTile(u32 to, const TensorMap &map, u32 column, u32 row, u32 bar) {
  tensorLoad(to, map, column, row, bar);
  tensorLoad(to + half, map, column + 64, row, bar);
}
// Scores of 64 queries at `q` against a tile of keys at `k`.
DEVICE void scores(float (&s)[64], u32 q, u32 k) {
  u64 dq = descriptor(q), dk = descriptor(k);
  wgmmaFence();
#pragma unroll
  for (u32 i = 0; i < 8; ++i)
    wgmma(s, dq + i / 4 * (half / 16) + i % 4 * 2, dk + i / 4 * (half / 16) + i % 4 * 2, i);
  wgmmaCommit();
}
// O += P V: V has a row of 64 columns in 128 bytes, eight keys in 1024 bytes, the other 64 columns `half` bytes
// further.
DEVICE void weighted(float (&o)[64], const u32 (&p)[32], u32 v) {
  u64 dv = (u64)1 << 62 | (u64)64 << 32 | (u64)(half / 16) << 16 | (v & 0x3ffff) >> 4;
  wgmmaFence();
#pragma unroll
  for (u32 i = 0; i < 8; ++i)
    wgmmaRegisters(o, p + 4 * i, dv + i * 128);
  wgmmaCommit();
}

struct Softmax {
  float top[2], sum[2], shrink[2];
};
// Scores become weights of the softmax so far; `shrink` is what earlier weights are to be multiplied by.
DEVICE void weights(float (&s)[64], Softmax &m, float scale, bool mask, u32 query, u32 key) {
#pragma unroll
  for (u32 h = 0; h < 2; ++h) {
    float top = m.top[h];
#pragma unroll
    for (u32 j = 0; j < 16; ++j)
#pragma unroll
      for (u32 e = 0; e < 2; ++e) {
        float &v = s[4 * j + 2 * h + e];
        if (CAUSAL && mask && key + 8 * j + e > query + 8 * h)
          v = -__builtin_inff();
        top = __builtin_fmaxf(top, v);
      }
    for (u32 lane = 1; lane < 4; lane *= 2)
      top = __builtin_fmaxf(
          top, __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, top), lane, 31)));
    m.shrink[h] = exp2((m.top[h] - top) * scale);
    m.top[h] = top;
    float sum = m.sum[h] * m.shrink[h], shift = -top * scale;
#pragma unroll
    for (u32 j = 0; j < 16; ++j)
#pragma unroll
      for (u32 e = 0; e < 2; ++e) {
        float &v = s[4 * j + 2 * h + e];
        v = exp2(__builtin_fmaf(v, scale, shift));
        sum += v;
      }
    m.sum[h] = sum;
  }
}
// Weights as the register operand, taken after everything before: no register of a product in flight may be written.
DEVICE void operand(u32 (&p)[32], float (&s)[64]) {
  asm volatile("" : R64(s, 0));
#pragma unroll
  for (u32 j = 0; j < 32; ++j)
    p[j] = pack(s[2 * j], s[2 * j + 1]);
}
DEVICE void shrink(float (&o)[64], const Softmax &m) {
#pragma unroll
  for (u32 j = 0; j < 64; ++j)
    o[j] *= m.shrink[j / 2 % 2];
}

// Q, O: batch * length rows of heads * 128; K, V: of kvHeads * 128. `length` is a multiple of 128.
KERNEL THREADS(384, 1) attention(CONSTANT TensorMap mapQ, CONSTANT TensorMap mapK, CONSTANT TensorMap mapV, u32 *out,
                                 u32 batch, u32 heads, u32 kvHeads, u32 length, float scale) {
  u32 thread = threadId(), warpgroup = thread / 128, pairs = batch * heads, tiles = length / T;
  u32 pair = blockX() % pairs, head = pair % heads, first = pair / heads * length;
  u32 tile = tiles - 1 - blockX() / pairs, count = CAUSAL ? tile + 1 : tiles; // the longest blocks start first
  u32 q = sharedAddress(memory), k = q + tileBytes, v = k + stages * tileBytes, bars = v + stages * tileBytes;
  u32 fullQ = bars, fullK = bars + 8, fullV = fullK + 8 * stages, emptyK = fullV + 8 * stages;
  u32 emptyV = emptyK + 8 * stages;
  if (thread == 0) {
    barrierInit(fullQ, 1);
    for (u32 s = 0; s < stages; ++s) {
      barrierInit(fullK + 8 * s, 1);
      barrierInit(fullV + 8 * s, 1);
      barrierInit(emptyK + 8 * s, 2);
      barrierInit(emptyV + 8 * s, 2);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  asm volatile("bar.sync 0;" ::: "memory");
  if (warpgroup == 0) {
    giveRegisters<24>();
    if (thread == 0) {
      u32 column = head / (heads / kvHeads) * D;
      barrierExpect(fullQ, tileBytes);
      tensorTile(q, mapQ, head * D, first + tile * T, fullQ);
      for (u32 i = 0; i < count; ++i) {
        u32 s = i % stages, parity = (i / stages & 1) ^ 1, row = first + (count - 1 - i) * T;
        barrierWait(emptyK + 8 * s, parity);
        barrierExpect(fullK + 8 * s, tileBytes);
        tensorTile(k + s * tileBytes, mapK, column, row, fullK + 8 * s);
        barrierWait(emptyV + 8 * s, parity);
        barrierExpect(fullV + 8 * s, tileBytes);
        tensorTile(v + s * tileBytes, mapV, column, row, fullV + 8 * s);
      }
    }
    return;
  }
  keepRegisters<240>();
  u32 lane = thread % 32, local = (warpgroup - 1) * 64 + thread % 128 / 32 * 16 + lane / 4;
  u32 query = tile * T + local, keyOfLane = lane % 4 * 2;
  q += (warpgroup - 1) * 64 * 128;
  float s[64], o[64];
  u32 p[32];
  Softmax m = {{-__builtin_inff(), -__builtin_inff()}, {0, 0}, {0, 0}};
#pragma unroll
  for (u32 i = 0; i < 64; ++i)
    o[i] = 0;
  auto release = [&](u32 bar) {
    if (thread % 128 == 0)
      barrierArrive(bar);
  };
  barrierWait(fullQ, 0);
#if OVERLAP
  barrierWait(fullK, 0);
  scores(s, q, k);
  wgmmaWait<0>(s);
  release(emptyK);
  weights(s, m, scale, true, query, (count - 1) * T + keyOfLane);
  operand(p, s);
  for (u32 i = 1; i < count; ++i) {
    u32 stage = i % stages, before = (i - 1) % stages;
    barrierWait(fullK + 8 * stage, i / stages & 1);
    scores(s, q, k + stage * tileBytes);
    barrierWait(fullV + 8 * before, (i - 1) / stages & 1);
    weighted(o, p, v + before * tileBytes);
    wgmmaWait<1>(s);
    release(emptyK + 8 * stage);
    weights(s, m, scale, false, 0, 0);
    wgmmaWait<0>(o);
    release(emptyV + 8 * before);
    shrink(o, m);
    operand(p, s);
  }
  u32 last = (count - 1) % stages;
  barrierWait(fullV + 8 * last, (count - 1) / stages & 1);
  weighted(o, p, v + last * tileBytes);
  wgmmaWait<0>(o);
#else
  for (u32 i = 0; i < count; ++i) {
    u32 stage = i % stages, parity = i / stages & 1;
    barrierWait(fullK + 8 * stage, parity);
    scores(s, q, k + stage * tileBytes);
    wgmmaWait<0>(s);
    release(emptyK + 8 * stage);
    weights(s, m, scale, i == 0, query, (count - 1 - i) * T + keyOfLane);
    operand(p, s);
    shrink(o, m);
    barrierWait(fullV + 8 * stage, parity);
    weighted(o, p, v + stage * tileBytes);
    wgmmaWait<0>(o);
    release(emptyV + 8 * stage);
  }
#endif
#pragma unroll
  for (u32 h = 0; h < 2; ++h) {
    float sum = m.sum[h];
    for (u32 l = 1; l < 4; l *= 2)
      sum += __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, sum), l, 31));
    float inverse = 1 / sum;
    u64 row = ((u64)(first + query + 8 * h) * heads + head) * (D / 2);
#pragma unroll
    for (u32 j = 0; j < 16; ++j)
      out[row + j * 4 + lane % 4] = pack(o[4 * j + 2 * h] * inverse, o[4 * j + 2 * h + 1] * inverse);
  }
}
