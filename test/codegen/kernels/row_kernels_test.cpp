//===- row_kernels_test.cpp - row kernels against a scalar reference ------===//
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Layout.h"
#include "test/codegen/kernels/KernelHarness.h"

using namespace kerf::x86;
using namespace kerf::test;

namespace {

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;
const int64_t someColumns[] = {1, 2, 7, 15, 16, 17, 33, 64, 96, 131, 576};

class RowKernels : public TargetTest {};

/// Compares with rounding of the element on top of a relative error of the f32 computation.
void expectNear(const Tensor &output, size_t index, double expected, double error) {
  // Numbers below 2^-126 may be zero in bf16; f16 has units of 2^-24 there.
  const double smallest = output.element == f16 ? 0x1p-25 : 0x1p-126;
  const double bound = error + (std::fabs(expected) + error) * halfUnit(output.element) + smallest;
  ASSERT_NEAR(output.get(index), expected, bound) << "element " << index;
}

TEST_P(RowKernels, RmsNorm) {
  std::mt19937 random(1);
  for (int64_t run : someColumns)
    for (int64_t runs : {1, 3})
      for (auto [in, out] : {std::pair(f32, bf16), {f32, f32}, {bf16, f16}}) {
        const RmsNormSpec spec{run * runs, run, 1e-5, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        Tensor scale(f32, run);
        scale.fill(random);
        for (int64_t rows : {0, 1, 5, int(kernel.tile) + 1}) {
          Tensor input(in, rows * spec.columns), output(out, rows * spec.columns);
          input.fill(random, 3);
          kernel({input.data(), scale.data(), output.data()}, rows);
          ASSERT_TRUE(output.intact());
          for (size_t i = 0; i < output.count; ++i) {
            double sum = 0;
            for (int64_t j = 0; j < run; ++j)
              sum += std::pow(double(input.get(i / run * run + j)), 2);
            const double expected = input.get(i) * scale.get(i % run) / std::sqrt(sum / run + double(1e-5f));
            // Squares sum to within run 2^-24, which the root halves; four roundings follow, and two for mean and eps.
            expectNear(output, i, expected, std::fabs(expected) * (run / 2.0 + 6) * 0x1p-24);
            if (HasFatalFailure())
              return;
          }
        }
      }
}

TEST_P(RowKernels, RmsNormInPlace) {
  std::mt19937 random(2);
  const RmsNormSpec spec{77, 77, 1e-6, f32, f32};
  Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
  Tensor scale(f32, 77), input(f32, 3 * 77), output(f32, 3 * 77);
  scale.fill(random);
  input.fill(random);
  kernel({input.data(), scale.data(), output.data()}, 3);
  kernel({input.data(), scale.data(), input.data()}, 3);
  EXPECT_EQ(input.bytes(), output.bytes());
}

TEST_P(RowKernels, LayerNorm) {
  std::mt19937 random(9);
  for (int64_t columns : someColumns)
    for (auto [in, out] : {std::pair(f32, bf16), {f32, f32}, {bf16, f16}}) {
      const LayerNormSpec spec{columns, 1e-5, in, out};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      Tensor scale(f32, columns), bias(f32, columns);
      scale.fill(random);
      bias.fill(random);
      for (int64_t rows : {0, 1, 5, int(kernel.tile) + 1}) {
        Tensor input(in, rows * columns), output(out, rows * columns);
        // A mean far above the deviation: the difference of two means of squares would cancel.
        input.fill(random, 3);
        for (size_t i = 0; i < input.count; ++i)
          input.set(i, input.get(i) + 50);
        kernel({input.data(), scale.data(), bias.data(), output.data()}, rows);
        ASSERT_TRUE(output.intact());
        for (size_t i = 0; i < output.count; ++i) {
          const size_t first = i / columns * columns;
          double sum = 0, magnitude = 0, squares = 0;
          for (int64_t j = 0; j < columns; ++j) {
            sum += input.get(first + j);
            magnitude += std::fabs(input.get(first + j));
          }
          const double mean = sum / columns;
          for (int64_t j = 0; j < columns; ++j)
            squares += std::pow(input.get(first + j) - mean, 2);
          const double root = std::sqrt(squares / columns + double(1e-5f)), gain = scale.get(i % columns);
          const double normed = (input.get(i) - mean) / root, expected = normed * gain + bias.get(i % columns);
          // The mean is off by `columns` units of the mean of magnitudes, which shifts all differences alike and by
          // that their root; beyond it the errors of RmsNorm, and a fused sum.
          const double shift = (columns + 2) * magnitude / columns * 0x1p-24 / root;
          const double error =
              (shift + std::fabs(normed) * (2 * shift + (columns / 2.0 + 7) * 0x1p-24)) * std::fabs(gain) +
              std::fabs(expected) * 0x1p-24;
          expectNear(output, i, expected, error);
          if (HasFatalFailure())
            return;
        }
        if (in != out)
          continue;
        kernel({input.data(), scale.data(), bias.data(), input.data()}, rows);
        ASSERT_EQ(input.bytes(), output.bytes());
      }
    }
}

/// What the exponential in a sigmoid is taken of. (1 + tanh u) / 2 is the sigmoid of 2u, without cancellation.
double sigmoidArgument(Activation activation, double x) {
  return activation == Activation::GeluTanh ? 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x) : x;
}

double activated(Activation activation, double x) {
  switch (activation) {
  case Activation::Silu:
  case Activation::GeluTanh:
    return x / (1 + std::exp(-sigmoidArgument(activation, x)));
  case Activation::Gelu:
    return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  case Activation::Relu:
    return std::max(x, 0.0);
  }
  return NAN;
}

/// How far an activated number times `factor` may be off.
double activationError(Activation activation, double x, double factor) {
  // Six roundings, and three of the exponential's argument, whose absolute error is relative in the value. Gelu errs by
  // 2^-21 of its input. Where the exponential overflows, from e^88.7 > 2^127.9 on, the sigmoid is 0.
  if (activation == Activation::Gelu)
    return 0x1p-21 * std::fabs(x * factor);
  return (6 + 3 * std::fabs(sigmoidArgument(activation, x))) * 0x1p-24 * std::fabs(activated(activation, x) * factor) +
         0x1p-127 * std::fabs(x * factor);
}

TEST_P(RowKernels, Activations) {
  std::mt19937 random(10);
  for (Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu})
    for (int64_t columns : {1, 13, 64, 131})
      for (auto [in, out] : {std::pair(f32, f32), {f32, bf16}, {bf16, bf16}}) {
        const ActivationSpec spec{columns, activation, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        for (int64_t rows : {0, 1, int(kernel.tile) + 3}) {
          Tensor input(in, rows * columns), output(out, rows * columns);
          input.fill(random, 4);
          if (rows > 1)
            input.set(columns, NAN);
          kernel({input.data(), output.data()}, rows);
          ASSERT_TRUE(output.intact());
          for (size_t i = 0; i < output.count; ++i) {
            const double x = input.get(i);
            if (std::isnan(x))
              ASSERT_TRUE(std::isnan(output.get(i)));
            else
              expectNear(output, i, activated(activation, x), activationError(activation, x, 1));
            if (HasFatalFailure())
              return;
          }
        }
      }
}

TEST_P(RowKernels, Gate) {
  std::mt19937 random(3);
  for (Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu})
    for (int64_t columns : {1, 13, 64, 131})
      for (auto [in, out] : {std::pair(f32, f32), {f32, bf16}, {bf16, bf16}}) {
        const GateSpec spec{columns, activation, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        for (int64_t rows : {0, 1, int(kernel.tile) + 3}) {
          Tensor gate(in, rows * columns), up(in, rows * columns), output(out, rows * columns);
          gate.fill(random, 4);
          up.fill(random);
          kernel({gate.data(), up.data(), output.data()}, rows);
          ASSERT_TRUE(output.intact());
          for (size_t i = 0; i < output.count; ++i) {
            const double x = gate.get(i), expected = activated(activation, x) * up.get(i);
            expectNear(output, i, expected, activationError(activation, x, up.get(i)));
            if (HasFatalFailure())
              return;
          }
        }
      }
}

TEST_P(RowKernels, AddIsExact) {
  std::mt19937 random(4);
  for (int64_t columns : someColumns)
    for (auto [l, r, out] : {std::array{f32, f32, f32}, {f32, bf16, f32}, {bf16, f16, bf16}, {f32, f32, f16}}) {
      const AddSpec spec{columns, l, r, out};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      for (int64_t rows : {0, 1, int(kernel.tile) + 1}) {
        Tensor lhs(l, rows * columns), rhs(r, rows * columns), output(out, rows * columns), expected(out, 1);
        lhs.fill(random);
        rhs.fill(random);
        kernel({lhs.data(), rhs.data(), output.data()}, rows);
        ASSERT_TRUE(output.intact());
        for (size_t i = 0; i < output.count; ++i) {
          expected.set(0, lhs.get(i) + rhs.get(i));
          ASSERT_EQ(output.get(i), expected.get(0));
        }
        if (l != out)
          continue;
        kernel({lhs.data(), rhs.data(), lhs.data()}, rows);
        ASSERT_EQ(lhs.bytes(), output.bytes());
      }
    }
}

TEST_P(RowKernels, EmbedReadsTheLayoutOfLinears) {
  std::mt19937 random(5);
  for (auto [in, out] : {std::pair(f32, f32), {bf16, bf16}, {bf16, f32}, {f16, f32}})
    for (int64_t columns : someColumns)
      for (int64_t vocabulary : {1, 16, 50}) {
        const EmbedSpec spec{vocabulary, columns, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        Tensor table(in, vocabulary * columns);
        table.fill(random);
        const WeightLayout layout{vocabulary, columns, in};
        Tensor packed(in, layout.bytes() / bytesOf(in));
        layout.packRows(table.data(), 0, vocabulary, packed.data());
        for (int64_t rows : {0, 1, int(kernel.tile) + 1}) {
          std::vector<int32_t> ids(rows);
          for (int32_t &id : ids)
            id = random() % vocabulary;
          Integers idOperand(ids);
          Tensor output(out, rows * columns), expected(out, 1);
          kernel({idOperand.data(), (target().gpu ? table : packed).data(), output.data()}, rows);
          ASSERT_TRUE(output.intact());
          for (size_t i = 0; i < output.count; ++i) {
            expected.set(0, table.get(ids[i / columns] * columns + i % columns));
            ASSERT_EQ(output.get(i), expected.get(0)) << "element " << i;
          }
        }
      }
}

TEST_P(RowKernels, Select) {
  std::mt19937 random(6);
  for (Element element : {f32, bf16, f16})
    for (int64_t columns : someColumns) {
      const SelectSpec spec{columns, element};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      Tensor input(element, 9 * columns);
      input.fill(random);
      // Any bits arrive as they are.
      std::memset(input.data(), 0xff, bytesOf(element));
      for (std::vector<int32_t> rows : {std::vector<int32_t>(), {8}, {0, 1, 5, 8}}) {
        Integers rowOperand(rows);
        Tensor output(element, rows.size() * columns), expected(element, rows.size() * columns);
        kernel({input.data(), rowOperand.data(), output.data()}, rows.size());
        ASSERT_TRUE(output.intact());
        for (size_t row = 0; row < rows.size(); ++row)
          expected.copy(input, rows[row] * columns, columns, row * columns);
        ASSERT_EQ(output.bytes(), expected.bytes());
      }
    }
}

TEST_P(RowKernels, Pool) {
  std::mt19937 random(11);
  const std::vector<int32_t> first = {0, 1, 4}, count = {1, 3, 20};
  for (Pooling pooling : {Pooling::Mean, Pooling::First, Pooling::Last, Pooling::Max})
    for (int64_t columns : someColumns)
      for (auto [in, out] : {std::pair(f32, f32), {bf16, f32}, {f16, bf16}}) {
        const PoolSpec spec{columns, pooling, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        Tensor input(in, 24 * columns);
        input.fill(random);
        input.set(5 * columns, NAN);
        for (size_t sequences : {0, 1, 3}) {
          Integers firsts({first.begin(), first.begin() + sequences}),
              counts({count.begin(), count.begin() + sequences});
          Tensor output(out, sequences * columns), expected(out, 1);
          kernel({input.data(), firsts.data(), counts.data(), output.data()}, sequences);
          ASSERT_TRUE(output.intact());
          for (size_t s = 0; s < sequences; ++s)
            for (int64_t column = 0; column < columns; ++column) {
              // One chain over ascending rows: the exact bits can be told.
              auto at = [&](int64_t row) { return input.get(row * columns + column); };
              float result = at(first[s]);
              for (int32_t row = first[s] + 1; row < first[s] + count[s]; ++row)
                result = pooling == Pooling::Mean                 ? result + at(row)
                         : pooling == Pooling::Last               ? at(row)
                         : pooling == Pooling::First              ? result
                         : std::isnan(result) || result > at(row) ? result
                                                                  : at(row);
              if (pooling == Pooling::Mean)
                result /= float(count[s]);
              expected.set(0, result);
              const float got = output.get(s * columns + column);
              ASSERT_TRUE(std::isnan(result) ? std::isnan(got) : got == expected.get(0)) << got << " " << result;
            }
        }
      }
}

TEST_P(RowKernels, RopeTable) {
  std::mt19937 random(7);
  for (int64_t count : {1, 3, 8, 10, 32, 40, 64})
    for (double factor : {1.0, 1.25}) {
      const RopeTableSpec spec{count, factor};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      Tensor frequencies(f32, count);
      for (int64_t i = 0; i < count; ++i)
        frequencies.set(i, std::pow(10000.0, -double(i) / count));
      std::vector<int32_t> positions = {0, 1, 2, 3, 22, 355, 710, 103993, (1 << 20) - 1, 1 << 20, -5};
      while (positions.size() < 200)
        positions.push_back(random() % (1 << 20));
      Integers operand(positions);
      for (int64_t rows : {int64_t(0), int64_t(1), int64_t(positions.size())}) {
        Tensor output(f32, rows * 2 * count);
        kernel({operand.data(), frequencies.data(), output.data()}, rows);
        ASSERT_TRUE(output.intact());
        for (size_t i = 0; i < output.count; ++i) {
          const float angle = float(positions[i / (2 * count)]) * frequencies.get(i % count);
          const double expected =
              factor * (i % (2 * count) < size_t(count) ? std::cos(double(angle)) : std::sin(double(angle)));
          // Two units of the last place.
          ASSERT_NEAR(output.get(i), expected, std::fabs(expected) * 0x1p-22) << "angle " << angle;
        }
      }
    }
}

TEST_P(RowKernels, Rope) {
  std::mt19937 random(8);
  for (int64_t headDim : {2, 8, 16, 20, 64, 80, 96, 128})
    for (int64_t heads : {1, 3})
      for (auto [in, out] : {std::pair(f32, f32), {f32, bf16}, {bf16, f16}}) {
        const RopeSpec spec{headDim * heads, headDim, in, out};
        Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
        for (int64_t rows : {0, 1, int(kernel.tile) + 1}) {
          Tensor input(in, rows * spec.columns), table(f32, rows * headDim), output(out, rows * spec.columns);
          input.fill(random);
          table.fill(random);
          kernel({input.data(), table.data(), output.data()}, rows);
          ASSERT_TRUE(output.intact());
          for (size_t i = 0; i < output.count; ++i) {
            const int64_t half = headDim / 2, d = i % headDim, row = i / spec.columns;
            const double cos = table.get(row * headDim + d % half), sin = table.get(row * headDim + half + d % half);
            const double x = input.get(i), other = input.get(d < half ? i + half : i - half);
            const double expected = d < half ? x * cos - other * sin : x * cos + other * sin;
            // One rounded product, and a fused sum.
            expectNear(output, i, expected, (std::fabs(x * cos) + std::fabs(other * sin)) * 0x1p-23);
            if (HasFatalFailure())
              return;
          }
          if (in != out)
            continue;
          kernel({input.data(), table.data(), input.data()}, rows);
          ASSERT_EQ(input.bytes(), output.bytes());
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Targets, RowKernels, testing::ValuesIn(kerf::test::targetNames()),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
