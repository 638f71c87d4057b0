//===- append_test.cpp - what kernels keep in the cache, and where --------===//
#include "codegen/x86/Kernels.h"
#include "test/codegen/kernels/CacheMemory.h"

using namespace kerf::x86;
using namespace kerf::test;

namespace {

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;

class Append : public TargetTest {
protected:
  /// The slots of a step: some rows kept at scattered places, some not.
  static std::vector<int32_t> someSlots(int64_t rows, int64_t slots, std::mt19937 &random) {
    std::vector<int32_t> all(slots);
    std::iota(all.begin(), all.end(), 0);
    std::shuffle(all.begin(), all.end(), random);
    all.resize(rows);
    for (int32_t &slot : all)
      if (random() % 5 == 0)
        slot = -1;
    return all;
  }
};

TEST_P(Append, KvAppendWritesItsSlotsAlone) {
  std::mt19937 random(12);
  for (int64_t headDim : {2, 8, 20, 64, 80})
    for (auto [in, kept] : {std::pair(f32, f32), {f32, bf16}, {f32, f16}, {bf16, bf16}}) {
      const KvAppendSpec spec{3, headDim, 32, in, kept};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      const int64_t columns = 3 * headDim;
      for (int64_t rows : {0, 1, 70}) {
        Cache cache(target(), {3, headDim, 32, kept}, {96}, random);
        Tensor keys(in, rows * columns), values(in, rows * columns);
        keys.fill(random);
        values.fill(random);
        const auto slots = someSlots(rows, 96, random);
        Integers slotOperand(slots);
        Tensor expected(kept, cache.memory->count);
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t c = 0; c < columns && slots[row] >= 0; ++c) {
            expected.set(cache.key(slots[row], c / headDim, c % headDim), keys.get(row * columns + c));
            expected.set(cache.value(slots[row], c / headDim, c % headDim), values.get(row * columns + c));
          }
        kernel({keys.data(), values.data(), slotOperand.data(), cache.memory->data()}, rows);
        ASSERT_TRUE(cache.memory->intact());
        ASSERT_EQ(cache.memory->bytes(), expected.bytes());
      }
    }
}

/// On a GPU a warp sums the squares of a head here and a block there, in two orders: norms differ by headDim 2^-24 of
/// numbers below 64, which may turn one rounding.
void expectClose(const Tensor &actual, const Tensor &expected, int64_t headDim) {
  for (size_t i = 0; i < expected.count; ++i) {
    if (std::isnan(expected.get(i))) {
      ASSERT_TRUE(std::isnan(actual.get(i)));
      continue;
    }
    ASSERT_NEAR(actual.get(i), expected.get(i),
                2 * halfUnit(expected.element) * std::fabs(expected.get(i)) + headDim * 64 * 0x1p-24);
  }
}

// The fused kernel has the bits of the single ones where nothing is rounded between them: all in f32.
TEST_P(Append, RopeAppendEqualsItsParts) {
  std::mt19937 random(13);
  const int64_t queryHeads = 4, kvHeads = 2;
  for (int64_t headDim : {2, 8, 20, 64, 96})
    for (auto [norm, rope] : {std::pair(false, true), {true, true}, {false, false}})
      for (auto [in, kept, out] : {std::array{f32, f32, f32}, {f32, bf16, bf16}, {bf16, f16, f32}}) {
        const RopeAppendSpec spec{queryHeads, kvHeads, headDim, 16, in, kept, out, rope, norm, 1e-5};
        Kernel fused(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        const int64_t q = queryHeads * headDim, k = kvHeads * headDim;
        Kernel normKernel(target(), [&](auto module, auto &v, auto name) {
          return emitKernel(module, v, name, RmsNormSpec{headDim, headDim, 1e-5, in, f32});
        });
        auto ropeOf = [&](int64_t columns, Element from, Element to) {
          return Kernel(target(), [&](auto module, auto &v, auto name) {
            return emitKernel(module, v, name, RopeSpec{columns, headDim, from, to});
          });
        };
        Kernel queryRope = ropeOf(q, norm ? f32 : in, out), keyRope = ropeOf(k, norm ? f32 : in, f32);
        Kernel append(target(), [&](auto module, auto &v, auto name) {
          return emitKernel(module, v, name, KvAppendSpec{kvHeads, headDim, 16, f32, kept});
        });
        const int64_t rows = 37;
        Tensor input(in, rows * (q + 2 * k)), table(f32, rows * headDim), queryScale(f32, headDim),
            keyScale(f32, headDim);
        for (Tensor *each : {&input, &table, &queryScale, &keyScale})
          each->fill(random);
        // Without rotation as if all angles were zero.
        for (int64_t i = 0; !rope && i < rows * headDim; ++i)
          table.set(i, i % headDim < headDim / 2);
        const auto slots = someSlots(rows, 48, random);
        Integers slotOperand(slots);
        Cache cache(target(), {kvHeads, headDim, 16, kept}, {48}, random);
        Tensor output(out, rows * q);
        std::vector<void *> operands = {input.data(), slotOperand.data(), cache.memory->data()};
        if (rope)
          operands.push_back(table.data());
        if (norm)
          operands.insert(operands.end(), {queryScale.data(), keyScale.data()});
        operands.push_back(output.data());
        fused(operands, rows);
        ASSERT_TRUE(output.intact() && cache.memory->intact());

        Tensor queries(in, rows * q), keys(in, rows * k), values(f32, rows * k);
        for (int64_t row = 0; row < rows; ++row) {
          queries.copy(input, row * (q + 2 * k), q, row * q);
          keys.copy(input, row * (q + 2 * k) + q, k, row * k);
          for (int64_t c = 0; c < k; ++c)
            values.set(row * k + c, input.get(row * (q + 2 * k) + q + k + c));
        }
        Tensor normedQueries(f32, rows * q), normedKeys(f32, rows * k), rotatedKeys(f32, rows * k);
        Tensor rotated(out, rows * q);
        normKernel({queries.data(), queryScale.data(), normedQueries.data()}, rows * queryHeads);
        normKernel({keys.data(), keyScale.data(), normedKeys.data()}, rows * kvHeads);
        queryRope({norm ? normedQueries.data() : queries.data(), table.data(), rotated.data()}, rows);
        keyRope({norm ? normedKeys.data() : keys.data(), table.data(), rotatedKeys.data()}, rows);
        Cache expected(target(), {kvHeads, headDim, 16, kept}, {48}, random);
        append({rotatedKeys.data(), values.data(), slotOperand.data(), expected.memory->data()}, rows);
        if (norm && target().gpu) {
          expectClose(output, rotated, headDim);
          expectClose(*cache.memory, *expected.memory, headDim);
          continue;
        }
        ASSERT_EQ(output.bytes(), rotated.bytes()) << "headDim " << headDim << " norm " << norm;
        ASSERT_EQ(cache.memory->bytes(), expected.memory->bytes());
      }
}

/// Of kernels for GPUs alone.
class GpuAppend : public Append {
protected:
  /// The kernel of a spec.
  template <typename S> Kernel kernelOf(const S &spec) {
    mlir::MLIRContext context;
    return Kernel(compileForGpu(context, *target().gpu,
                                [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); }));
  }
};

// The sums of the product are those of the linear by itself, whatever the number of rows, and go on without rounding:
// the same bits.
TEST_P(GpuAppend, LinearRopeAppendEqualsItsParts) {
  std::mt19937 random(14);
  const int64_t queryHeads = 4, kvHeads = 2;
  struct Case {
    int64_t headDim, k;
    Element in, weight, kept, out;
    bool bias, rope;
  };
  // With half a head odd, shorter and longer than what a warp takes, across blocks; the last three without tensor
  // cores.
  for (auto [headDim, k, in, weight, kept, out, bias, rope] : {Case{2, 24, bf16, bf16, bf16, bf16, true, true},
                                                               {6, 64, bf16, bf16, f32, f32, false, true},
                                                               {20, 72, f16, f16, f16, f16, false, true},
                                                               {64, 64, bf16, bf16, bf16, bf16, true, false},
                                                               {80, 200, bf16, bf16, bf16, bf16, true, true},
                                                               {20, 40, f32, f32, f32, f32, true, true},
                                                               {6, 24, f32, bf16, bf16, bf16, false, true},
                                                               {32, 20, bf16, bf16, bf16, f32, false, false}}) {
    SCOPED_TRACE(testing::Message() << "headDim " << headDim << " k " << k);
    const int64_t q = queryHeads * headDim, n = q + 2 * kvHeads * headDim;
    Kernel fused =
        kernelOf(LinearRopeAppendSpec{k, queryHeads, kvHeads, headDim, 16, in, weight, kept, out, bias, rope});
    Kernel linear = kernelOf(LinearSpec{.k = k, .n = n, .input = in, .weight = weight, .output = f32, .bias = bias});
    Kernel append = kernelOf(RopeAppendSpec{queryHeads, kvHeads, headDim, 16, f32, kept, out, rope, false, 1e-5});
    Tensor weights(weight, n * k), biases(f32, n);
    weights.fill(random, 1 / std::sqrt(float(k)));
    biases.fill(random);
    for (int64_t rows : {0, 1, 7, 12, 30, 40, 200}) {
      Tensor input(in, rows * k), table(f32, rows * headDim), sums(f32, rows * n);
      input.fill(random);
      table.fill(random);
      Integers slots(someSlots(rows, 208, random));
      Cache cache(target(), {kvHeads, headDim, 16, kept}, {208}, random);
      Cache expected(target(), {kvHeads, headDim, 16, kept}, {208}, random);
      Tensor output(out, rows * q), queries(out, rows * q);
      std::vector<void *> operands = {input.data(), weights.data()};
      std::vector<void *> behind = {slots.data(), cache.memory->data()};
      std::vector<void *> appended = {sums.data(), slots.data(), expected.memory->data()};
      if (bias)
        operands.push_back(biases.data());
      std::vector<void *> product = operands;
      product.push_back(sums.data());
      if (rope)
        for (auto *list : {&behind, &appended})
          list->push_back(table.data());
      behind.push_back(output.data());
      appended.push_back(queries.data());
      operands.insert(operands.end(), behind.begin(), behind.end());
      fused(operands, rows);
      ASSERT_TRUE(output.intact() && cache.memory->intact());
      linear(product, rows);
      append(appended, rows);
      ASSERT_EQ(output.bytes(), queries.bytes()) << "rows " << rows;
      ASSERT_EQ(cache.memory->bytes(), expected.memory->bytes()) << "rows " << rows;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GpuAppend, testing::Values("sm_80"),
                         [](const auto &info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Targets, Append, testing::ValuesIn(kerf::test::targetNames()),
                         [](const auto &info) { return std::string(info.param); });

TEST(CacheLayout, CoversThePageOnce) {
  for (const CacheLayout &layout : {CacheLayout{3, 20, 32, bf16}, CacheLayout{1, 64, 16, f32}}) {
    std::vector<int> met(layout.pageBytes() / bytesOf(layout.element));
    for (int64_t head = 0; head < layout.kvHeads; ++head)
      for (int64_t position = 0; position < layout.pageSize; ++position)
        for (int64_t d = 0; d < layout.headDim; ++d) {
          ++met.at(layout.keyIndex(head, position, d));
          ++met.at(layout.valueIndex(head, position, d));
        }
    EXPECT_LE(*std::max_element(met.begin(), met.end()), 1);
    EXPECT_EQ(layout.headBytes() % 64, 0);
  }
}

} // namespace
