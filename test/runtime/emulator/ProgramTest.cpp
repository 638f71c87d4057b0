// Whole kernels that clang made of the probes in test/bench/hopper: a GEMM with cp.async rings, ldmatrix and mma.sync,
// and decode attention whose last block adds up the parts.
//   clang++-22 -x cuda --cuda-gpu-arch=sm_80 --cuda-device-only -nocudainc -nocudalib -O3 -S -Xclang -target-feature
//     -Xclang +ptx70 -DBM=64 -DBN=64 -DBK=32 -DWM=2 -DWN=2 -DSTAGES=3 -DMINBLOCKS=1 gemm_sm80.cu -o gemm.ptx
//   ... -DBLOCKS=2 attention_decode.cu -o attention.ptx
#include "Emulated.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>

namespace kerf::emulator {
namespace {

std::string readInput(const std::string &name) {
  std::ifstream file(KERF_TEST_DATA "/runtime/emulator/Inputs/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

uint16_t toBf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float fromBf16(uint16_t x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }

class Program : public Emulated {
protected:
  std::vector<uint16_t> numbers(size_t count) {
    std::vector<uint16_t> values(count);
    std::normal_distribution<float> normal;
    for (uint16_t &value : values)
      value = toBf16(normal(random_));
    return values;
  }
  std::mt19937 random_{7};
};

TEST_F(Program, Gemm) {
  CUfunction gemm = load(readInput("gemm.ptx"), "gemm");
  // The last tiles are not full.
  const unsigned M = 100, N = 136, K = 192, tiles = 2 * 3;
  std::vector<uint16_t> a = numbers(M * K), b = numbers(N * K);
  for (uint64_t seed : {0, 1, 2}) {
    cu.setSeed(seed);
    CUdeviceptr da = upload(a), db = upload(b), dc = allocate(M * N * 2);
    ASSERT_EQ(cu.cuFuncSetAttribute(gemm, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 3 * 128 * 64), CUDA_SUCCESS);
    ASSERT_EQ(launch(gemm, tiles, 128, 3 * 128 * 64, da, db, dc, M, N, K), CUDA_SUCCESS) << cu.report();
    std::vector<uint16_t> c = download<uint16_t>(dc, M * N);
    for (unsigned m = 0; m < M; ++m)
      for (unsigned n = 0; n < N; ++n) {
        double sum = 0, size = 0;
        for (unsigned k = 0; k < K; ++k) {
          double product = static_cast<double>(fromBf16(a[m * K + k])) * fromBf16(b[n * K + k]);
          sum += product;
          size += std::fabs(product);
        }
        // Half a unit of bf16, and an f32 rounding for each of K sums.
        ASSERT_NEAR(fromBf16(c[m * N + n]), sum, std::fabs(sum) / 256 + size * K * 0x1p-24) << m << " " << n;
      }
  }
  EXPECT_EQ(cu.findings(), 0u) << cu.report();
}

TEST_F(Program, DecodeAttention) {
  CUfunction attention = load(readInput("attention.ptx"), "attention");
  const unsigned heads = 8, kvHeads = 2, tablePages = 4, splits = 3, D = 128, page = 64;
  const std::vector<uint32_t> lengths = {200, 65, 1};
  const unsigned sequences = 3, pages = sequences * tablePages;
  const float scale = 1.4426950408889634f / std::sqrt(128.0f);
  std::vector<uint16_t> q = numbers(sequences * heads * D), k = numbers(pages * kvHeads * page * D),
                        v = numbers(k.size());
  std::vector<uint32_t> table(pages);
  for (unsigned i = 0; i < pages; ++i)
    table[i] = (i * 5 + 3) % pages;
  for (uint64_t seed : {0, 1, 2}) {
    cu.setSeed(seed);
    CUdeviceptr dq = upload(q), dk = upload(k), dv = upload(v), dt = upload(table), dl = upload(lengths);
    CUdeviceptr out = allocate(sequences * heads * D * 2), parts = allocate(sequences * heads * splits * 130 * 4);
    CUdeviceptr arrived = upload(std::vector<uint32_t>(sequences * kvHeads));
    ASSERT_EQ(launch(attention, sequences * kvHeads * splits, 128, 0, dq, dk, dv, dt, dl, out, parts, arrived, heads,
                     kvHeads, tablePages, splits, scale),
              CUDA_SUCCESS)
        << cu.report();
    std::vector<uint16_t> got = download<uint16_t>(out, sequences * heads * D);
    for (unsigned s = 0; s < sequences; ++s)
      for (unsigned h = 0; h < heads; ++h) {
        auto place = [&](unsigned t) {
          return ((static_cast<size_t>(table[s * tablePages + t / page]) * kvHeads + h / (heads / kvHeads)) * page +
                  t % page) *
                 D;
        };
        std::vector<double> weights(lengths[s]);
        double total = 0;
        for (unsigned t = 0; t < lengths[s]; ++t) {
          double score = 0;
          for (unsigned d = 0; d < D; ++d)
            score += static_cast<double>(fromBf16(q[(s * heads + h) * D + d])) * fromBf16(k[place(t) + d]);
          total += weights[t] = std::exp2(score * static_cast<double>(scale));
        }
        for (unsigned d = 0; d < D; ++d) {
          double expected = 0;
          for (unsigned t = 0; t < lengths[s]; ++t)
            expected += weights[t] / total * fromBf16(v[place(t) + d]);
          // Weights and the result are rounded to bf16; values are about 1.
          ASSERT_NEAR(fromBf16(got[(s * heads + h) * D + d]), expected, 0x1p-7 * (1 + std::fabs(expected)));
        }
      }
  }
  EXPECT_EQ(cu.findings(), 0u) << cu.report();
}

} // namespace
} // namespace kerf::emulator
