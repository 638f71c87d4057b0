// Decode attention, head size 128, bf16: one query token for each sequence over keys and values in pages of 64 tokens.
// A block takes some pages of one KV head of one sequence and all query heads that share it (up to 8), a warp 16 keys
// of each page, straight from global memory into the operands of mma.m16n8k16: the contraction is permuted so that 16
// bytes of a lane are operands as they lie. The block that comes last adds up the parts in their order (Flash-Decoding;
// online softmax as in FlashAttention-2).
//   BLOCKS   of a multiprocessor
#include "Device.h"

constexpr u32 D = 128, page = 64, warps = 4;

DEVICE void mma(float (&d)[4], u32 a0, u32 a2, u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%5}, {%7,%8}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(0), "r"(a2), "r"(b0), "r"(b1));
}
DEVICE u32 joinLow(u32 x, u32 y) { return __nvvm_prmt(x, y, 0x5410); }
DEVICE u32 joinHigh(u32 x, u32 y) { return __nvvm_prmt(x, y, 0x7632); }
DEVICE float maximumOfQuad(float v) {
  for (u32 lane = 1; lane < 4; lane *= 2)
    v = __builtin_fmaxf(
        v, __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, v), lane, 31)));
  return v;
}
DEVICE float sumOfQuad(float v) {
  for (u32 lane = 1; lane < 4; lane *= 2)
    v += __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, v), lane, 31));
  return v;
}

// Past L1: another block wrote it.
DEVICE float loadPart(const float *p) {
  float v;
  asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p));
  return v;
}

SHARED float sums[warps][8][D], tops[warps][8], totals[warps][8];
SHARED float weights[8][64]; // of at most 64 parts
SHARED u32 last;

// q, out: sequences x heads x 128. keys, values: pages x kvHeads x 64 x 128. table: sequences x tablePages. parts: for
// each sequence and head `splits` of 130 floats (128 sums, maximum, total). arrived: a zero for each sequence and KV
// head, zero again afterwards.
KERNEL THREADS(warps * 32, BLOCKS)
    attention(const char *q, const char *keys, const char *values, const u32 *table, const u32 *lengths, u16 *out,
              float *parts, u32 *arrived, u32 heads, u32 kvHeads, u32 tablePages, u32 splits, float scale) {
  u32 thread = threadId(), warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  u32 split = blockX() % splits, pair = blockX() / splits, kv = pair % kvHeads, sequence = pair / kvHeads;
  u32 group = heads / kvHeads, head = kv * group + (g < group ? g : group - 1), length = lengths[sequence];
  u32 pages = (length + page - 1) / page, begin = pages * split / splits, end = pages * (split + 1) / splits;
  Vec4 query[4];
#pragma unroll
  for (u32 i = 0; i < 4; ++i)
    query[i] = *(const Vec4 *)(q + ((u64)(sequence * heads + head) * D + i * 32 + t * 8) * 2);
  float o[16][4] = {}, top = -1e30f, total = 0;
  u32 first = warp * 16;
  auto pageAt = [&](u32 p) { return ((u64)table[sequence * tablePages + p] * kvHeads + kv) * page * D * 2; };
  Vec4 k[2][4];
  auto fetchKeys = [&](u64 base) {
#pragma unroll
    for (u32 n = 0; n < 2; ++n)
#pragma unroll
      for (u32 i = 0; i < 4; ++i)
        k[n][i] = loadOnce((const Vec4 *)(keys + base + ((first + n * 8 + g) * D + i * 32 + t * 8) * 2));
  };
  u64 base = begin < end ? pageAt(begin) : 0;
  if (begin < end)
    fetchKeys(base);
  for (u32 p = begin; p < end; ++p) {
    u64 next = p + 1 < end ? pageAt(p + 1) : base;
    Vec4 v[2][4];
#pragma unroll
    for (u32 half = 0; half < 2; ++half)
#pragma unroll
      for (u32 r = 0; r < 4; ++r)
        v[half][r] =
            loadOnce((const Vec4 *)(values + base + ((first + t * 2 + r % 2 + r / 2 * 8) * D + half * 64 + g * 8) * 2));
    float s[2][4] = {};
#pragma unroll
    for (u32 n = 0; n < 2; ++n)
#pragma unroll
      for (u32 i = 0; i < 4; ++i) {
        mma(s[n], query[i].x, query[i].y, k[n][i].x, k[n][i].y);
        mma(s[n], query[i].z, query[i].w, k[n][i].z, k[n][i].w);
      }
    // The next page's keys are on their way while this page's values are used.
    base = next;
    fetchKeys(base);
    float best = top;
#pragma unroll
    for (u32 n = 0; n < 2; ++n)
#pragma unroll
      for (u32 e = 0; e < 2; ++e) {
        if (p * page + first + n * 8 + t * 2 + e >= length)
          s[n][e] = -1e30f;
        best = __builtin_fmaxf(best, s[n][e]);
      }
    best = maximumOfQuad(best);
    float shrink = exp2((top - best) * scale), shift = -best * scale;
    top = best;
    total *= shrink;
#pragma unroll
    for (u32 n = 0; n < 2; ++n)
#pragma unroll
      for (u32 e = 0; e < 2; ++e) {
        s[n][e] = exp2(__builtin_fmaf(s[n][e], scale, shift));
        total += s[n][e];
      }
#pragma unroll
    for (u32 j = 0; j < 16; ++j) {
      o[j][0] *= shrink;
      o[j][1] *= shrink;
    }
    u32 a0 = pack(s[0][0], s[0][1]), a2 = pack(s[1][0], s[1][1]);
#pragma unroll
    for (u32 half = 0; half < 2; ++half) {
      Vec4 *r = v[half];
      u32 x[4][4] = {{r[0].x, r[1].x, r[2].x, r[3].x},
                     {r[0].y, r[1].y, r[2].y, r[3].y},
                     {r[0].z, r[1].z, r[2].z, r[3].z},
                     {r[0].w, r[1].w, r[2].w, r[3].w}};
#pragma unroll
      for (u32 c = 0; c < 4; ++c) {
        mma(o[half * 8 + c * 2], a0, a2, joinLow(x[c][0], x[c][1]), joinLow(x[c][2], x[c][3]));
        mma(o[half * 8 + c * 2 + 1], a0, a2, joinHigh(x[c][0], x[c][1]), joinHigh(x[c][2], x[c][3]));
      }
    }
  }
  total = sumOfQuad(total);
#pragma unroll
  for (u32 j = 0; j < 16; ++j)
#pragma unroll
    for (u32 e = 0; e < 2; ++e)
      sums[warp][g][j / 8 * 64 + t * 16 + e * 8 + j % 8] = o[j][e];
  if (t == 0) {
    tops[warp][g] = top;
    totals[warp][g] = total;
  }
  asm volatile("bar.sync 0;" ::: "memory");
  // Thread d takes number d of each head.
  for (u32 h = 0; h < group; ++h) {
    float best = tops[0][h], sum = 0, all = 0;
    for (u32 w = 1; w < warps; ++w)
      best = __builtin_fmaxf(best, tops[w][h]);
    for (u32 w = 0; w < warps; ++w) {
      float weight = exp2((tops[w][h] - best) * scale);
      sum += sums[w][h][thread] * weight;
      all += totals[w][h] * weight;
    }
    u64 row = (u64)sequence * heads + kv * group + h;
    if (splits == 1) {
      out[row * D + thread] = pack(sum / all, 0) & 0xffff;
      continue;
    }
    float *part = parts + (row * splits + split) * 130;
    part[thread] = sum;
    if (thread == 0) {
      part[128] = best;
      part[129] = all;
    }
  }
  if (splits == 1)
    return;
  asm volatile("fence.acq_rel.gpu; bar.sync 0;" ::: "memory");
  if (thread == 0) {
    u32 before;
    asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(arrived + pair), "r"(splits - 1)
                 : "memory");
    last = before == splits - 1;
  }
  asm volatile("bar.sync 0;" ::: "memory");
  if (!last)
    return;
  // Weights of the parts first: a warp takes a head, a lane some parts. Then thread d adds up number d of each head.
  for (u32 h = warp; h < group; h += warps) {
    const float *part = parts + ((u64)sequence * heads + kv * group + h) * splits * 130;
    float best = -1e30f, all = 0;
    for (u32 s = lane; s < splits; s += 32)
      best = __builtin_fmaxf(best, loadPart(part + s * 130 + 128));
    for (u32 l = 16; l; l /= 2)
      best = __builtin_fmaxf(
          best, __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(~0u, __builtin_bit_cast(int, best), l, 31)));
    for (u32 s = lane; s < splits; s += 32) {
      float weight = exp2((loadPart(part + s * 130 + 128) - best) * scale);
      all += loadPart(part + s * 130 + 129) * weight;
      weights[h][s] = weight;
    }
    all = sumOfWarp(all);
    if (lane == 0)
      totals[0][h] = all;
  }
  asm volatile("bar.sync 0;" ::: "memory");
  for (u32 h = 0; h < group; ++h) {
    u64 row = (u64)sequence * heads + kv * group + h;
    const float *part = parts + row * splits * 130 + thread;
    float sum = 0;
#pragma unroll 8
    for (u32 s = 0; s < splits; ++s)
      sum += loadPart(part + s * 130) * weights[h][s];
    out[row * D + thread] = pack(sum / totals[0][h], 0) & 0xffff;
  }
}
