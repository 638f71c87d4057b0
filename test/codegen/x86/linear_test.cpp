//===- linear_test.cpp - linear kernels against a scalar reference --------===//
#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Layout.h"
#include "codegen/x86/Lower.h"
#include "test/codegen/kernels/GuardedBuffer.h"
#include "test/codegen/x86/AmxEmulation.h"
#include "test/codegen/x86/Variants.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

using namespace kerf::x86;
using kerf::test::GuardedBuffer;

namespace {

/// Unwraps a result; prints the error and ends the program where there is one.
llvm::ExitOnError orExit("error: ");

/// A linear layer or a gated one, which has an activation.
struct Layer {
  int64_t k, n;
  Element input, weight, output;
  bool bias = false, residual = false;
  std::optional<Activation> activation = std::nullopt;
  bool gated = false;
  Element residualElement = Element::F32;

  unsigned matrices() const { return gated ? 2 : 1; }
};

std::string describe(const Layer &layer) {
  return "k=" + std::to_string(layer.k) + " n=" + std::to_string(layer.n) + " " + nameOf(layer.input) + "x" +
         nameOf(layer.weight) + "->" + nameOf(layer.output) + (layer.bias ? " bias" : "") +
         (layer.residual ? " residual" : "") + (layer.gated ? " gated" : "") +
         (layer.activation ? " activation " + std::to_string(int(*layer.activation)) : "");
}

float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// The number that is left of `value` in the element type, and its bits.
uint32_t round(Element element, float value, float &rounded) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (element == Element::F32)
    return rounded = value, bits;
  if (element == Element::F16) {
    _Float16 half = static_cast<_Float16>(value);
    uint16_t halfBits;
    std::memcpy(&halfBits, &half, 2);
    return rounded = half, halfBits;
  }
  bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return rounded = fromBits(bits << 16), bits;
}

/// A dense matrix in an element type, and the same numbers as floats.
struct Matrix {
  std::vector<float> values;
  std::vector<char> bytes;

  Matrix(size_t count, Element element, float scale, std::mt19937 &random) : values(count) {
    std::normal_distribution<float> normal(0, scale);
    bytes.resize(count * bytesOf(element));
    for (size_t i = 0; i < count; ++i) {
      const uint32_t bits = round(element, normal(random), values[i]);
      std::memcpy(&bytes[i * bytesOf(element)], &bits, bytesOf(element));
    }
  }
};

/// Guarded memory that holds a copy; all that lies between the guard and it are NaNs in every element type.
struct Poisoned : GuardedBuffer {
  explicit Poisoned(llvm::ArrayRef<char> bytes) : GuardedBuffer(bytes.size()) {
    std::memset(front(), 0xff, frontBytes());
    if (!bytes.empty())
      std::memcpy(data(), bytes.data(), bytes.size());
  }
  bool frontIntact() const {
    return std::all_of(front(), front() + frontBytes(), [](char byte) { return byte == char(0xff); });
  }
};

/// A compiled layer with weights.
class Compiled {
public:
  Compiled(const Variant &variant, const Layer &layer, bool emulate, unsigned seed)
      : layer(layer), random(seed), bias(layer.matrices() * layer.n, Element::F32, 1, random) {
    loadKernelDialects(context);
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    if (layer.gated)
      info = emitKernel(*module, variant, "kernel",
                        {layer.k, layer.n, layer.input, layer.weight, layer.output, *layer.activation, layer.bias});
    else
      info = emitKernel(*module, variant, "kernel",
                        {layer.k, layer.n, layer.input, layer.weight, layer.output, layer.bias, layer.residual,
                         layer.residualElement, layer.activation});
    jit = orExit(Jit::create(*module, variant, [&](llvm::Module &llvmModule) {
      if (emulate)
        kerf::test::emulateAmx(llvmModule);
    }));
    run = orExit(jit->find(info.name));
    const WeightLayout layout{layer.n, layer.k, layer.weight};
    for (unsigned matrix = 0; matrix < layer.matrices(); ++matrix) {
      weights.emplace_back(layer.n * layer.k, layer.weight, 1 / std::sqrt(float(layer.k)), random);
      std::vector<char> bytes(layout.bytes());
      layout.packRows(weights[matrix].bytes.data(), 0, layer.n, bytes.data());
      packed.push_back(std::make_unique<Poisoned>(bytes));
      biases.push_back(std::make_unique<Poisoned>(llvm::ArrayRef(bias.bytes).slice(matrix * layer.n * 4, layer.n * 4)));
    }
  }

  /// Runs all tasks in some order; gives the bytes of the output.
  std::vector<char> operator()(int64_t rows, llvm::ArrayRef<char> input, llvm::ArrayRef<char> residual,
                               bool inPlace = false) {
    Poisoned in(input), add(residual);
    std::vector<char> empty(rows * layer.n * bytesOf(layer.output), char(0xff));
    Poisoned out(empty);
    std::vector<void *> operands = {in.data()};
    for (auto &weight : packed)
      operands.push_back(weight->data());
    if (layer.bias)
      for (auto &each : biases)
        operands.push_back(each->data());
    if (layer.residual)
      operands.push_back(add.data());
    operands.push_back(inPlace ? add.data() : out.data());
    std::vector<int64_t> tasks((rows + info.tile - 1) / info.tile * info.columns);
    std::iota(tasks.begin(), tasks.end(), 0);
    std::shuffle(tasks.begin(), tasks.end(), random);
    for (int64_t task : tasks)
      run(operands.data(), rows, task);
    EXPECT_TRUE(out.frontIntact() && add.frontIntact() && in.frontIntact());
    char *result = inPlace ? add.data<char>() : out.data<char>();
    return std::vector<char>(result, result + empty.size());
  }

  const Layer layer;
  std::mt19937 random;
  Matrix bias;
  KernelInfo info;
  std::vector<Matrix> weights;

private:
  mlir::MLIRContext context;
  std::unique_ptr<Jit> jit;
  kerf_kernel_fn run = nullptr;
  std::vector<std::unique_ptr<Poisoned>> packed, biases;
};

float elementAt(Element element, llvm::ArrayRef<char> bytes, size_t index) {
  uint32_t bits = 0;
  std::memcpy(&bits, &bytes[index * bytesOf(element)], bytesOf(element));
  if (element == Element::F32)
    return fromBits(bits);
  return fromBits(bits << 16);
}

double activate(Activation activation, double x) {
  switch (activation) {
  case Activation::Silu:
    return x / (1 + std::exp(-x));
  case Activation::Gelu:
    return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  case Activation::GeluTanh:
    return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case Activation::Relu:
    return std::max(x, 0.0);
  }
  return NAN;
}

/// The sum in double precision, and the sum of magnitudes that bounds the error of any order in f32.
struct Sum {
  double value = 0, magnitude = 0;
};

void checkAgainstReference(Compiled &compiled, int64_t rows, const Matrix &input, const Matrix &residual,
                           llvm::ArrayRef<char> output) {
  const Layer &layer = compiled.layer;
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t n = 0; n < layer.n; ++n) {
      Sum sums[2];
      for (unsigned matrix = 0; matrix < layer.matrices(); ++matrix) {
        Sum &sum = sums[matrix];
        for (int64_t k = 0; k < layer.k; ++k) {
          const double product =
              double(input.values[t * layer.k + k]) * compiled.weights[matrix].values[n * layer.k + k];
          sum.value += product;
          sum.magnitude += std::fabs(product);
        }
        if (layer.bias) {
          sum.value += compiled.bias.values[matrix * layer.n + n];
          sum.magnitude += std::fabs(compiled.bias.values[matrix * layer.n + n]);
        }
      }
      // A chain of k + 2 additions in f32 (unit roundoff 2^-24) errs by at most (k + 2) 2^-24 of the magnitudes. A
      // factor of two covers the pairwise sums inside vdpbf16ps and tdpbf16ps, which round once more.
      const double relative = 2 * (layer.k + 2) * 0x1p-24;
      double expected = sums[0].value, bound = sums[0].magnitude * relative;
      if (layer.activation) {
        // The slope of each activation is at most 1.13; its own error is some units of 2^-24 of its value, or, for
        // gelu, 2^-21 of its input.
        const double gate = activate(*layer.activation, sums[0].value);
        const double gateBound = 1.13 * bound + 0x1p-21 * std::fabs(sums[0].value);
        expected = layer.gated ? gate * sums[1].value : gate;
        bound = layer.gated ? gateBound * std::fabs(sums[1].value) +
                                  (std::fabs(gate) + gateBound) * sums[1].magnitude * relative
                            : gateBound;
      }
      if (layer.residual) {
        expected += residual.values[t * layer.n + n];
        bound += 0x1p-23 * (std::fabs(expected) + bound);
      }
      bound += std::fabs(expected) * 0x1p-23;
      // bf16 has 8 bits of precision: half a unit is 2^-9 of the value at most.
      if (layer.output == Element::BF16)
        bound += 0x1p-8 * std::fabs(expected) + 0x1p-126;
      const float got = elementAt(layer.output, output, t * layer.n + n);
      ASSERT_NEAR(got, expected, bound) << "row " << t << " column " << n << " of " << rows << " rows";
    }
}

/// f32 kernels have one order: the exact bits can be told.
void checkExactChain(Compiled &compiled, int64_t rows, const Matrix &input, const Matrix &residual,
                     llvm::ArrayRef<char> output) {
  const Layer &layer = compiled.layer;
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t n = 0; n < layer.n; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < layer.k; ++k)
        sum = std::fma(input.values[t * layer.k + k], compiled.weights[0].values[n * layer.k + k], sum);
      if (layer.bias)
        sum += compiled.bias.values[n];
      if (layer.residual)
        sum += residual.values[t * layer.n + n];
      float rounded;
      round(layer.output, sum, rounded);
      ASSERT_EQ(elementAt(layer.output, output, t * layer.n + n), rounded) << "row " << t << " column " << n;
    }
}

/// All that is promised of one layer.
void check(const Variant &variant, const Layer &layer, llvm::ArrayRef<int64_t> rowCounts, bool emulate) {
  SCOPED_TRACE(describe(layer));
  Compiled compiled(variant, layer, emulate, layer.k * 31 + layer.n);
  const int64_t most = *std::max_element(rowCounts.begin(), rowCounts.end());
  Matrix input(most * layer.k, layer.input, 1, compiled.random);
  Matrix residual(most * layer.n, layer.residualElement, 1, compiled.random);
  const size_t inputRow = layer.k * bytesOf(layer.input), outputRow = layer.n * bytesOf(layer.output);
  auto inputRows = [&](int64_t first, int64_t count) {
    return llvm::ArrayRef(input.bytes).slice(first * inputRow, count * inputRow);
  };
  auto residualRows = [&](int64_t first, int64_t count) {
    const size_t row = layer.n * bytesOf(layer.residualElement);
    return llvm::ArrayRef(residual.bytes).slice(first * row, count * row);
  };
  const auto all = compiled(most, inputRows(0, most), residualRows(0, most));
  checkAgainstReference(compiled, most, input, residual, all);
  const LinearSchedule &schedule = layer.input == Element::BF16 ? variant.linearBf16 : variant.linearF32;
  if (schedule.dot == Dot::Fma && !layer.activation)
    checkExactChain(compiled, most, input, residual, all);
  if (testing::Test::HasFatalFailure())
    return;
  // Any number of rows gives each row the same bits.
  for (int64_t rows : rowCounts) {
    const int64_t first = most - rows;
    const auto some = compiled(rows, inputRows(first, rows), residualRows(first, rows));
    ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin() + first * outputRow)) << rows << " rows";
  }
  // A row of NaNs spoils itself alone.
  if (most > 2) {
    std::vector<char> spoilt(input.bytes.begin(), input.bytes.end());
    const int64_t row = most / 2;
    std::memset(&spoilt[row * inputRow], 0xff, inputRow);
    auto some = compiled(most, spoilt, residualRows(0, most));
    for (int64_t n = 0; n < layer.n; ++n)
      ASSERT_TRUE(std::isnan(elementAt(layer.output, some, row * layer.n + n)));
    std::copy_n(all.begin() + row * outputRow, outputRow, some.begin() + row * outputRow);
    ASSERT_EQ(some, all);
  }
  if (layer.residual && layer.output == layer.residualElement) {
    ASSERT_EQ(compiled(most, inputRows(0, most), residualRows(0, most), /*inPlace=*/true), all);
  }
}

class Linear : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    emulate = variant().amx && !runsHere(variant());
    if (!runsHere(emulate ? *findVariant("avx512_bf16") : variant()))
      GTEST_SKIP() << "this CPU lacks what " << GetParam() << " needs";
  }
  const Variant &variant() { return *findVariant(GetParam()); }
  bool emulate = false;
};

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;

TEST_P(Linear, EveryPairOfElements) {
  for (Element weight : {f32, bf16, f16})
    check(variant(), {.k = 70, .n = 48, .input = f32, .weight = weight, .output = f32}, {0, 1, 2, 7, 13}, emulate);
  check(variant(), {.k = 70, .n = 48, .input = bf16, .weight = bf16, .output = f32}, {0, 1, 2, 7, 13}, emulate);
  check(variant(), {.k = 70, .n = 48, .input = bf16, .weight = bf16, .output = bf16}, {1, 13}, emulate);
  check(variant(), {.k = 70, .n = 48, .input = f32, .weight = f32, .output = bf16}, {1, 13}, emulate);
}

TEST_P(Linear, OddShapes) {
  for (int64_t k : {1, 2, 3, 31, 32, 33, 65})
    for (int64_t n : {1, 15, 16, 17, 95}) {
      check(variant(), {.k = k, .n = n, .input = bf16, .weight = bf16, .output = bf16, .bias = true}, {1, 5, 18},
            emulate);
      check(variant(), {.k = k, .n = n, .input = f32, .weight = (k + n) % 3 ? f16 : bf16, .output = f32}, {1, 5, 18},
            emulate);
    }
}

TEST_P(Linear, RowsAroundTheTiles) {
  for (auto [input, weight] : {std::pair(f32, f32), {bf16, bf16}})
    for (int64_t n : {80, 16 * 70}) {
      const LinearSchedule &schedule = input == bf16 ? variant().linearBf16 : variant().linearF32;
      const int64_t task = schedule.taskRows, rows = schedule.rows;
      check(variant(), {.k = 40, .n = n, .input = input, .weight = weight, .output = f32},
            {0, 1, 2, rows - 1, rows, rows + 1, 15, 16, 17, task - 1, task, task + 1, 2 * task + 3}, emulate);
    }
}

// k is cut here: sums wait in memory between the cuts.
TEST_P(Linear, LongRows) {
  for (int64_t k : {3 * 1024 + 5, 4096 + 2047}) {
    check(variant(), {.k = k, .n = 33, .input = bf16, .weight = bf16, .output = f32}, {1, 3, 8, 21}, emulate);
    check(variant(), {.k = k, .n = 33, .input = f32, .weight = f32, .output = f32}, {1, 3, 8, 21}, emulate);
  }
}

TEST_P(Linear, BiasAndResidual) {
  for (Element input : {f32, bf16})
    for (bool bias : {false, true})
      for (int64_t n : {64, 37})
        check(variant(),
              {.k = 50, .n = n, .input = input, .weight = input, .output = f32, .bias = bias, .residual = true},
              {1, 2, 9, 20}, emulate);
}

// What flows between the layers of an encoder is what the next linear reads.
TEST_P(Linear, ResidualsOfBf16) {
  for (Element output : {f32, bf16})
    check(variant(),
          {.k = 50,
           .n = 37,
           .input = bf16,
           .weight = bf16,
           .output = output,
           .bias = true,
           .residual = true,
           .residualElement = bf16},
          {1, 2, 9, 20}, emulate);
}

TEST_P(Linear, ActivatedAndGatedLayers) {
  for (Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu})
    for (Element element : {f32, bf16})
      for (bool gated : {false, true})
        check(variant(),
              {.k = 50,
               .n = 70,
               .input = element,
               .weight = element,
               .output = element,
               .bias = gated == (activation == Activation::Silu),
               .residual = !gated && element == f32 && activation == Activation::Relu,
               .activation = activation,
               .gated = gated},
              {1, 2, 4, 7, 33, 100}, emulate);
}

TEST_P(Linear, RandomShapes) {
  std::mt19937 random(11);
  auto any = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  for (int round = 0; round < 12; ++round) {
    Layer layer{.k = any(1, 300), .n = any(1, 300), .input = any(0, 1) ? f32 : bf16, .weight = bf16, .output = f32};
    if (layer.input == f32)
      layer.weight = std::array{f32, bf16, f16}[any(0, 2)];
    layer.bias = any(0, 1);
    layer.gated = any(0, 2) == 0;
    if (layer.gated || any(0, 2) == 0)
      layer.activation = Activation::Silu;
    layer.residual = !layer.gated && any(0, 1);
    check(variant(), layer, {any(1, 40), any(1, 40), any(40, 210)}, emulate);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Linear, testing::ValuesIn(kerf::test::variantNames()),
                         [](const auto &info) { return std::string(info.param); });

// Tiles live in registers from their zeroing to their one store, and one configuration serves the whole function. Three
// loops over k: 32 whole rows (2 x 2 sums), at most 16 rows (1 x 2) and at most 32 (2 x 2).
TEST(Amx, KeepsTilesInRegisters) {
  const Variant &variant = *findVariant("amx");
  mlir::MLIRContext context;
  loadKernelDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  emitKernel(*module, variant, "kernel", LinearSpec{.k = 96, .n = 1024, .input = bf16, .weight = bf16, .output = bf16});
  ASSERT_TRUE(llvm::succeeded(lowerToLLVMDialect(*module)));
  llvm::LLVMContext llvmContext;
  auto translated = orExit(translate(*module, variant, llvmContext));
  orExit(optimize(*translated, variant));
  const std::string text = orExit(emitAssembly(*translated, variant));
  auto count = [&](llvm::StringRef word) { return llvm::StringRef(text).count(word); };
  EXPECT_EQ(count("\tldtilecfg\t"), 1u);
  EXPECT_EQ(count("\ttilerelease"), 1u);
  EXPECT_EQ(count("\ttdpbf16ps\t"), 10u);
  EXPECT_EQ(count("\ttilestored\t"), 10u);
  EXPECT_EQ(count("\ttileloadd\t"), 4u + 3u + 4u);
  EXPECT_EQ(count("\tcall"), 0u);
}

TEST(Layout, PacksByRowsAndUnpacks) {
  std::mt19937 random(5);
  for (Element element : {f32, bf16})
    for (int64_t n : {1, 16, 17, 50})
      for (int64_t k : {1, 2, 7, 300}) {
        const WeightLayout layout{n, k, element};
        Matrix weight(n * k, element, 1, random);
        std::vector<char> whole(layout.bytes(), 1), parts(layout.bytes(), 1), back(weight.bytes.size());
        layout.packRows(weight.bytes.data(), 0, n, whole.data());
        for (int64_t row = 0; row < n; row += 32) {
          const int64_t count = std::min<int64_t>(32, n - row);
          layout.packRows(&weight.bytes[row * k * bytesOf(element)], row, count,
                          parts.data() + row / 16 * layout.blockBytes());
        }
        EXPECT_EQ(whole, parts);
        layout.unpack(whole.data(), back.data());
        EXPECT_EQ(back, weight.bytes);
        // Padding is zero: the sum of all stored bytes is that of the weight's bytes.
        auto sum = [](const std::vector<char> &bytes) {
          int64_t total = 0;
          for (char byte : bytes)
            total += uint8_t(byte);
          return total;
        };
        EXPECT_EQ(sum(whole), sum(weight.bytes));
      }
}

TEST(Layout, SixteenBitPairs) {
  // Element (row 17, k 5) of 20 x 6: block 1, pair 2, column 1, second of two.
  const WeightLayout layout{20, 6, bf16};
  std::vector<uint16_t> weight(20 * 6), packed(layout.bytes() / 2);
  weight[17 * 6 + 5] = 9;
  layout.packRows(weight.data(), 0, 20, packed.data());
  EXPECT_EQ(packed[((1 * 3 + 2) * 16 + 1) * 2 + 1], 9);
}

} // namespace
