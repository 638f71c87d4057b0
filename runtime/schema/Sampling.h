/// How a token is drawn from a row of logits: the one definition that the runtime (runtime/generate/Sampler.h) and the
/// kernels for GPUs (codegen/nvptx/Sample.cpp) compute, with the same result for the same bits. After the greatest
/// logit is found everything is in integers, so the order of a sum is nobody's concern.
///
/// Let `most` be the greatest logit; a NaN never counts. Where the temperature is 0, top_k is 1 or `most` is infinite,
/// the token is the lowest id of that logit. Otherwise:
///
/// 1. Weights. u = (most - logit) * (2^32 log2 e / temperature), in f64, each operation rounded to nearest; 0 where it
///    is not below 2^38. q = u cut to an integer, i = q / 2^32, f = q mod 2^32. h = 2^32 (1 - 2^(-f / 2^32)), by
///    kSampleSeries. With b = ceil(log2 vocabulary) the weight is ((2^32 - h) 2^30) >> (i + b), 0 where that shifts by
///    63 or more: e^((logit - most) / temperature) times 2^(62 - b), within 2^-29 of its value. No sum passes 2^62.
/// 2. The kept. Candidates are ordered by falling logit, then by rising id. The first top_k are kept (0: all); where
///    0 < top_p < 1, of these the fewest first ones whose weights reach ceil(top_p * the weights of all of these), the
///    product in f64, at least 1.
/// 3. The draw. Of the kept in the order of ids, the first where the sum of weights up to and with it passes
///    (random * the sum of all) / 2^64.
#ifndef KERF_RUNTIME_SCHEMA_SAMPLING_H
#define KERF_RUNTIME_SCHEMA_SAMPLING_H

#include <cstdint>

namespace kerf::schema {

/// 2^32 log2 e.
inline constexpr double kSampleScale = 0x1.71547652b82fep+32;
/// From here on u counts as infinite.
inline constexpr double kSampleFar = 0x1p38;
/// h = f (c0 - f (c1 - f (c2 - …))), of 32-bit fractions, where each product is cut to its upper 32 bits. Interpolates
/// (1 - 2^-x) / x at seven Chebyshev nodes of [0, 1].
inline constexpr uint32_t kSampleSeries[] = {0xb17217f7, 0x3d7f7bcb, 0x0e358127, 0x027641a9,
                                             0x005728b0, 0x0009c200, 0x0000bda6};
/// Shift of the weights of a vocabulary: ceil(log2 vocabulary).
constexpr uint32_t sampleShift(uint32_t vocabulary) {
  uint32_t bits = 0;
  while (bits < 31 && uint64_t(1) << bits < vocabulary)
    ++bits;
  return bits;
}

} // namespace kerf::schema

#endif
