//===- gpu_linear_test.cpp - products on a GPU against sums in f64 --------===//
#include "test/codegen/kernels/KernelHarness.h"

using namespace kerf::kernels;
using namespace kerf::test;

namespace {

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;

double activated(Activation activation, double x) {
  switch (activation) {
  case Activation::Silu:
    return x / (1 + std::exp(-x));
  case Activation::Gelu:
    return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  case Activation::GeluTanh:
    return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case Activation::Relu:
    return std::max(x, 0.0);
  }
  return NAN;
}

/// A product, its operands for some rows, and its check.
class Problem {
public:
  Problem(const Target &target, const LinearSpec &spec)
      : k(spec.k), n(spec.n), input(spec.input), weight(spec.weight), output(spec.output), bias(spec.bias),
        activation(spec.activation),
        kernel(target, [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); }) {
    if (spec.residual)
      residual = spec.residualElement;
    addWeights(1);
    setSlack();
  }
  Problem(const Target &target, const GatedLinearSpec &spec)
      : k(spec.k), n(spec.n), input(spec.input), weight(spec.weight), output(spec.output), bias(spec.bias),
        activation(spec.activation),
        kernel(target, [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); }) {
    addWeights(2);
    setSlack();
  }

  void check(int64_t rows) {
    SCOPED_TRACE(testing::Message() << "k " << k << " n " << n << " rows " << rows);
    Tensor x(input, rows * k), y(output, rows * n), added(residual.value_or(f32), rows * n);
    x.fill(random);
    added.fill(random);
    std::vector<void *> operands = {x.data()};
    for (auto &each : weights)
      operands.push_back(each->data());
    for (auto &each : biases)
      operands.push_back(each->data());
    if (residual)
      operands.push_back(added.data());
    operands.push_back(y.data());
    kernel(operands, rows);
    ASSERT_TRUE(y.intact());
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < n; ++column) {
        double sums[2] = {}, magnitudes[2] = {};
        for (size_t matrix = 0; matrix < weights.size(); ++matrix) {
          for (int64_t i = 0; i < k; ++i) {
            const double product = double(x.get(row * k + i)) * weights[matrix]->get(column * k + i);
            sums[matrix] += product;
            magnitudes[matrix] += std::fabs(product);
          }
          if (bias)
            sums[matrix] += biases[matrix]->get(column);
        }
        double expected = activation ? activated(*activation, sums[0]) : sums[0], factor = 1;
        if (weights.size() == 2)
          factor = sums[1];
        expected *= factor;
        if (residual)
          expected += added.get(row * n + column);
        // A sum of k products errs by at most k units of the sum of magnitudes, and sums of sqrt(k) in practice; the
        // slope of an activation is at most 1.13. Tensor cores truncate, two units for each 16 products.
        const double unit = (k / 4.0 + 16) * 0x1p-24;
        const double error = 1.2 * unit * (magnitudes[0] * std::fabs(factor) + magnitudes[1] * std::fabs(sums[0])) +
                             std::fabs(expected) * 16 * 0x1p-24 + 0x1p-21 * std::fabs(sums[0] * factor);
        ASSERT_NEAR(y.get(row * n + column), expected,
                    error + (std::fabs(expected) + error) * halfUnit(output) + 0x1p-25)
            << "row " << row << " column " << column;
      }
  }

private:
  void addWeights(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      weights.push_back(std::make_unique<Tensor>(weight, n * k));
      weights.back()->fill(random, 1 / std::sqrt(float(k)));
      if (bias) {
        biases.push_back(std::make_unique<Tensor>(f32, n));
        biases.back()->fill(random);
      }
    }
  }

  // The bound of check() on both sides, of partial sums that hardly exceed the greatest result.
  void setSlack() { kernel.slack = 2 * (k / 4.0 + 16) * 0x1p-24; }

  const int64_t k, n;
  const Element input, weight, output;
  const bool bias;
  const std::optional<Activation> activation;
  std::optional<Element> residual;
  Kernel kernel;
  std::vector<std::unique_ptr<Tensor>> weights, biases;
  std::mt19937 random{7};
};

class GpuLinear : public TargetTest {};

/// Around the bounds of every function's rows, and one past a tile of each.
const int64_t someRows[] = {0, 1, 2, 8, 9, 16, 17, 31, 33, 65, 193, 257};

TEST_P(GpuLinear, OddShapes) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{8, 1}, {24, 7}, {64, 16}, {72, 33}, {256, 130}, {1000, 40}})
    for (Element element : {bf16, f16}) {
      Problem problem(target(), LinearSpec{k, n, element, element, element});
      for (int64_t rows : someRows) {
        problem.check(rows);
        if (HasFatalFailure())
          return;
      }
    }
}

TEST_P(GpuLinear, LongSums) {
  Problem problem(target(), LinearSpec{.k = 4096, .n = 48, .input = bf16, .weight = bf16, .output = f32});
  for (int64_t rows : {1, 5, 40}) {
    problem.check(rows);
    if (HasFatalFailure())
      return;
  }
}

TEST_P(GpuLinear, Epilogues) {
  for (auto activation : {std::optional<Activation>(),
                          {Activation::Silu},
                          {Activation::GeluTanh},
                          {Activation::Gelu},
                          {Activation::Relu}})
    for (auto [n, output, residual] : {std::tuple(64, bf16, bf16), {50, f32, f32}, {33, f32, bf16}}) {
      Problem problem(target(), LinearSpec{.k = 96,
                                           .n = n,
                                           .input = bf16,
                                           .weight = bf16,
                                           .output = output,
                                           .bias = true,
                                           .residual = true,
                                           .residualElement = residual,
                                           .activation = activation});
      for (int64_t rows : {1, 12, 70}) {
        problem.check(rows);
        if (HasFatalFailure())
          return;
      }
    }
}

TEST_P(GpuLinear, Gated) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{64, 64}, {96, 33}, {136, 20}})
    for (bool bias : {false, true}) {
      Problem problem(target(), GatedLinearSpec{k, n, bf16, bf16, bf16, Activation::Silu, bias});
      for (int64_t rows : someRows) {
        problem.check(rows);
        if (HasFatalFailure())
          return;
      }
    }
}

TEST_P(GpuLinear, WithoutTensorCores) {
  for (auto [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {17, 33}, {64, 64}, {100, 70}})
    for (auto [in, weight, out] :
         {std::array{f32, f32, f32}, {f32, bf16, f32}, {f32, f16, f32}, {f32, f32, bf16}, {bf16, bf16, bf16}}) {
      if (in == bf16 && k % 8 == 0)
        continue;
      Problem linear(target(), LinearSpec{.k = k, .n = n, .input = in, .weight = weight, .output = out, .bias = true});
      Problem gated(target(), GatedLinearSpec{k, n, in, weight, out, Activation::Gelu, false});
      for (int64_t rows : {0, 1, 16, 17, 65}) {
        linear.check(rows);
        gated.check(rows);
        if (HasFatalFailure())
          return;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, GpuLinear, testing::Values("sm_80"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
