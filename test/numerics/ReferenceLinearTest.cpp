// The products of the reference path against sums in f64.
#include "test/numerics/Harness.h"

using namespace kerf::test;

namespace {

/// One sum in f64, and how far a sum of the same terms in f32 may be from it: in any order, k terms are off by less
/// than k units of the sum of their magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", section 4.2);
/// one more for each product, and two so that the terms of second order are covered.
struct Sum {
  double value = 0, magnitude = 0;
  int64_t terms = 3;
  void add(double term) {
    value += term;
    magnitude += std::abs(term);
    ++terms;
  }
  double bound() const { return magnitude * terms * unit(Element::F32); }
};

Sum product(const Array &input, const Array &weight, int64_t row, int64_t column) {
  Sum sum;
  for (int64_t k = 0; k < weight.shape[1]; ++k)
    sum.add(static_cast<double>(input.at(row, k)) * weight.at(column, k));
  return sum;
}

struct Shape {
  int64_t in, out;
};

// Single, odd, and one past a multiple of any vector.
const Shape shapes[] = {{1, 1}, {17, 5}, {129, 33}};
const int64_t rowCounts[] = {0, 1, 3};

double activate(const std::string &name, double x) {
  if (name == "silu")
    return x / (1 + std::exp(-x));
  if (name == "gelu")
    return x * 0.5 * std::erfc(-x * M_SQRT1_2);
  if (name == "gelu_tanh")
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return x > 0 ? x : 0;
}

} // namespace

TEST(ReferenceLinear, equals_sums_in_f64) {
  std::mt19937 random(1);
  for (Element stored : allElements)
    for (auto [in, columns] : shapes)
      for (int extras = 0; extras < 4; ++extras) {
        bool biased = extras & 1, added = extras & 2;
        Element out = added ? Element::F32 : stored;
        std::string x = rowsOf(in, stored), w = matrixOf(columns, in, stored), b = vectorOf(columns, stored),
                    y = rowsOf(columns, out);
        Compiled program("func.func @f(%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y + ") -> " + y + " {\n" +
                         initLike(x, columns, out) + "  %y = kerf.linear %x, %w " +
                         (biased ? "bias(%b : " + b + ") " : "") + (added ? "residual(%r : " + y + ") " : "") +
                         "outs(%init : " + y + ") : " + x + ", " + w + "\n  return %y : " + y + "\n}");
        for (int64_t rows : rowCounts) {
          Array input = randomArray(random, stored, {rows, in}), weight = randomArray(random, stored, {columns, in});
          Array bias = randomArray(random, stored, {columns}), residual = randomArray(random, out, {rows, columns});
          std::vector<Array> results = program.run({input, weight, bias, residual});
          ASSERT_EQ(results.size(), 1u);
          std::vector<double> expected, bounds;
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column < columns; ++column) {
              Sum sum = product(input, weight, row, column);
              if (biased)
                sum.add(bias.values[column]);
              if (added)
                sum.add(residual.at(row, column));
              expected.push_back(sum.value);
              bounds.push_back(sum.bound());
            }
          expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return bounds[i]; });
        }
      }
}

TEST(ReferenceLinear, activates_between_bias_and_residual) {
  std::mt19937 random(3);
  const int64_t in = 17, columns = 5;
  const Element f32 = Element::F32;
  for (std::string activation : {"silu", "gelu", "gelu_tanh", "relu"}) {
    std::string x = rowsOf(in, f32), w = matrixOf(columns, in, f32), b = vectorOf(columns, f32),
                y = rowsOf(columns, f32);
    Compiled program("func.func @f(%x: " + x + ", %w: " + w + ", %b: " + b + ", %r: " + y + ") -> " + y + " {\n" +
                     initLike(x, columns, f32) + "  %y = kerf.linear %x, %w bias(%b : " + b + ") activation " +
                     activation + " residual(%r : " + y + ") outs(%init : " + y + ") : " + x + ", " + w +
                     "\n  return %y : " + y + "\n}");
    for (int64_t rows : rowCounts) {
      Array input = randomArray(random, f32, {rows, in}), weight = randomArray(random, f32, {columns, in}, 0.5);
      Array bias = randomArray(random, f32, {columns}), residual = randomArray(random, f32, {rows, columns});
      std::vector<Array> results = program.run({input, weight, bias, residual});
      ASSERT_EQ(results.size(), 1u);
      std::vector<double> expected, bounds;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
          Sum sum = product(input, weight, row, column);
          sum.add(bias.values[column]);
          double f = activate(activation, sum.value);
          expected.push_back(f + residual.at(row, column));
          // |f'| of all four is below 1.13; f itself is good to 2 units, the sum to one.
          bounds.push_back(1.13 * sum.bound() + 2 * std::abs(f) * unit(f32) + std::abs(expected.back()) * unit(f32));
        }
      expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return bounds[i]; });
    }
  }
}

TEST(ReferenceLinear, propagates_nan_and_infinity) {
  std::string x = rowsOf(3, Element::BF16), w = matrixOf(2, 3, Element::BF16), y = rowsOf(2, Element::BF16);
  Compiled program("func.func @f(%x: " + x + ", %w: " + w + ") -> " + y + " {\n" + initLike(x, 2, Element::BF16) +
                   "  %y = kerf.linear %x, %w outs(%init : " + y + ") : " + x + ", " + w + "\n  return %y : " + y +
                   "\n}");
  Array input{Element::BF16, {3, 3}, {1, NAN, 1, INFINITY, 1, 1, 1, 1, 1}};
  Array weight{Element::BF16, {2, 3}, {1, 1, 1, 0, 1, -1}};
  std::vector<Array> results = program.run({input, weight});
  ASSERT_EQ(results.size(), 1u);
  // Infinity times zero is NaN.
  expectSame(results[0], {Element::BF16, {3, 2}, {NAN, NAN, INFINITY, NAN, 3, 0}});
}

TEST(ReferenceLinear, rounds_once_to_nearest_even) {
  // The sum 1 + 2^-8 (+ 2^-16) lies on (just above) the middle of two bf16; 3 * 2^-134 is a subnormal tie.
  std::string x = rowsOf(3, Element::F32), w = matrixOf(1, 3, Element::F32), y = rowsOf(1, Element::BF16);
  Compiled program("func.func @f(%x: " + x + ", %w: " + w + ") -> " + y + " {\n" + initLike(x, 1, Element::BF16) +
                   "  %y = kerf.linear %x, %w outs(%init : " + y + ") : " + x + ", " + w + "\n  return %y : " + y +
                   "\n}");
  float tie = std::ldexp(1.0f, -8), more = std::ldexp(1.0f, -16), subnormal = 3 * std::ldexp(1.0f, -134);
  Array input{Element::F32, {4, 3}, {1, tie, 0, 1, tie, more, 1, 3 * tie, 0, subnormal, 0, 0}};
  Array weight{Element::F32, {1, 3}, {1, 1, 1}};
  std::vector<Array> results = program.run({input, weight});
  ASSERT_EQ(results.size(), 1u);
  expectSame(results[0], {Element::BF16, {4, 1}, {1, 1 + 2 * tie, 1 + 4 * tie, 2 * std::ldexp(1.0f, -133)}});
}

TEST(ReferenceGatedLinear, equals_sums_in_f64) {
  std::mt19937 random(2);
  const int64_t in = 17, columns = 5;
  for (Element stored : allElements)
    for (std::string activation : {"silu", "gelu", "gelu_tanh", "relu"}) {
      bool biased = activation != "gelu";
      std::string x = rowsOf(in, stored), w = matrixOf(columns, in, stored), b = vectorOf(columns, stored),
                  y = rowsOf(columns, stored);
      Compiled program("func.func @f(%x: " + x + ", %g: " + w + ", %u: " + w + ", %a: " + b + ", %b: " + b + ") -> " +
                       y + " {\n" + initLike(x, columns, stored) + "  %y = kerf.gated_linear " + activation +
                       " %x, %g, %u " + (biased ? "bias(%a, %b : " + b + ", " + b + ") " : "") + "outs(%init : " + y +
                       ") : " + x + ", " + w + ", " + w + "\n  return %y : " + y + "\n}");
      for (int64_t rows : rowCounts) {
        Array input = randomArray(random, stored, {rows, in}), gate = randomArray(random, stored, {columns, in}, 0.5);
        Array up = randomArray(random, stored, {columns, in}, 0.5), gateBias = randomArray(random, stored, {columns});
        Array upBias = randomArray(random, stored, {columns});
        std::vector<Array> results = program.run({input, gate, up, gateBias, upBias});
        ASSERT_EQ(results.size(), 1u);
        std::vector<double> expected, bounds;
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t column = 0; column < columns; ++column) {
            Sum g = product(input, gate, row, column), u = product(input, up, row, column);
            if (biased) {
              g.add(gateBias.values[column]);
              u.add(upBias.values[column]);
            }
            double f = activate(activation, g.value);
            expected.push_back(f * u.value);
            // |f'| of all four is below 1.13; f itself is good to 2 units, the product to one.
            double slope = 1.13 * g.bound() + 2 * std::abs(f) * unit(Element::F32);
            bounds.push_back(slope * (std::abs(u.value) + u.bound()) + std::abs(f) * u.bound() +
                             2 * std::abs(f * u.value) * unit(Element::F32));
          }
        expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return bounds[i]; });
      }
    }
}
