// Norms, activations, gating, sums, selection, pooling and embedding of the reference path against plain scalar code.
#include "test/numerics/Harness.h"

using namespace kerf::test;

static const int64_t rowCounts[] = {0, 1, 5};

TEST(ReferenceRmsNorm, equals_norm_in_f64) {
  std::mt19937 random(3);
  struct {
    int64_t columns, run;
  } const shapes[] = {{1, 1}, {33, 33}, {48, 16}};
  const double eps = 1e-5;
  for (Element in : allElements)
    for (Element out : {Element::F32, in})
      for (auto [columns, run] : shapes) {
        std::string x = rowsOf(columns, in), s = vectorOf(run, in), y = rowsOf(columns, out);
        Compiled program("func.func @f(%x: " + x + ", %s: " + s + ") -> " + y + " {\n" + initLike(x, columns, out) +
                         "  %y = kerf.rms_norm %x, %s eps 1.0e-5 outs(%init : " + y + ") : " + x + ", " + s +
                         "\n  return %y : " + y + "\n}");
        for (int64_t rows : rowCounts) {
          Array input = randomArray(random, in, {rows, columns}), scale = randomArray(random, in, {run});
          std::vector<Array> results = program.run({input, scale});
          ASSERT_EQ(results.size(), 1u);
          std::vector<double> expected;
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column < columns; ++column) {
              double squares = 0;
              for (int64_t i = 0; i < run; ++i)
                squares += std::pow(input.at(row, column / run * run + i), 2);
              expected.push_back(input.at(row, column) / std::sqrt(squares / run + eps) * scale.values[column % run]);
            }
          // The sum of squares is off by (run + 2) units, which the root halves; eps, mean, root, quotient and two
          // products add one each. All terms of the sum are positive, so the error is relative.
          double relative = ((run + 2) / 2.0 + 6) * unit(Element::F32);
          expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return std::abs(expected[i]) * relative; });
        }
      }
}

TEST(ReferenceLayerNorm, equals_norm_in_f64) {
  std::mt19937 random(8);
  const double eps = 1e-5;
  for (Element in : allElements)
    for (Element out : {Element::F32, in})
      for (int64_t columns : {1, 33, 48}) {
        std::string x = rowsOf(columns, in), s = vectorOf(columns, in), y = rowsOf(columns, out);
        Compiled program("func.func @f(%x: " + x + ", %s: " + s + ", %b: " + s + ") -> " + y + " {\n" +
                         initLike(x, columns, out) + "  %y = kerf.layer_norm %x, %s, %b eps 1.0e-5 outs(%init : " + y +
                         ") : " + x + ", " + s + ", " + s + "\n  return %y : " + y + "\n}");
        for (int64_t rows : rowCounts) {
          Array input = randomArray(random, in, {rows, columns}), scale = randomArray(random, in, {columns});
          Array bias = randomArray(random, in, {columns});
          // A mean far above the deviation, where the difference of two means of squares would cancel.
          for (float &value : input.values)
            value = round(value + 100, in);
          std::vector<Array> results = program.run({input, scale, bias});
          ASSERT_EQ(results.size(), 1u);
          std::vector<double> expected, bounds;
          for (int64_t row = 0; row < rows; ++row) {
            double sum = 0, magnitude = 0, squares = 0;
            for (int64_t i = 0; i < columns; ++i) {
              sum += input.at(row, i);
              magnitude += std::abs(input.at(row, i));
            }
            for (int64_t i = 0; i < columns; ++i)
              squares += std::pow(input.at(row, i) - sum / columns, 2);
            const double root = std::sqrt(squares / columns + eps);
            // Any order of summation leaves the mean within `columns` units of the mean of magnitudes, which shifts
            // each difference; the root of their squares moves by no more, relative, on top of what rms_norm's does.
            const double shift = (columns + 2) * magnitude / columns * unit(Element::F32);
            for (int64_t i = 0; i < columns; ++i) {
              const double normed = (input.at(row, i) - sum / columns) / root;
              expected.push_back(normed * scale.values[i] + bias.values[i]);
              const double relative = 2 * shift / root + ((columns + 2) / 2.0 + 8) * unit(Element::F32);
              bounds.push_back((shift / root + std::abs(normed) * relative) * std::abs(scale.values[i]) +
                               (std::abs(normed * scale.values[i]) + std::abs(expected.back())) * unit(Element::F32));
            }
          }
          expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return bounds[i]; });
        }
      }
}

TEST(ReferenceAdd, is_exact) {
  std::mt19937 random(4);
  for (Element in : allElements)
    for (Element out : allElements) {
      const int64_t columns = 7;
      std::string x = rowsOf(columns, in), z = rowsOf(columns, Element::F32), y = rowsOf(columns, out);
      Compiled program("func.func @f(%x: " + x + ", %z: " + z + ") -> " + y + " {\n" + initLike(x, columns, out) +
                       "  %y = kerf.add %x, %z outs(%init : " + y + ") : " + x + ", " + z + "\n  return %y : " + y +
                       "\n}");
      for (int64_t rows : rowCounts) {
        // Wide enough to meet overflow and subnormal numbers of f16.
        Array lhs = randomArray(random, in, {rows, columns}, 1e-6),
              rhs = randomArray(random, Element::F32, {rows, columns}, 1e-6);
        if (rows > 1) {
          lhs.at(0, 0) = round(6e4, in), rhs.at(0, 0) = 6e4f;
          lhs.at(0, 1) = 1, rhs.at(0, 1) = std::ldexp(1.0f, -9);
          lhs.at(0, 2) = 1, rhs.at(0, 2) = std::ldexp(3.0f, -9);
          lhs.at(0, 3) = NAN, lhs.at(0, 4) = -INFINITY;
        }
        std::vector<Array> results = program.run({lhs, rhs});
        ASSERT_EQ(results.size(), 1u);
        Array expected{out, {rows, columns}, {}};
        for (size_t i = 0; i < lhs.values.size(); ++i)
          expected.values.push_back(round(lhs.values[i] + rhs.values[i], out));
        expectSame(results[0], expected);
      }
    }
}

static double activated(const std::string &activation, double x) {
  if (activation == "silu")
    return x / (1 + std::exp(-x));
  if (activation == "gelu")
    return 0.5 * x * std::erfc(-x * M_SQRT1_2);
  if (activation == "gelu_tanh")
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return x > 0 ? x : 0;
}

TEST(ReferenceActivation, equals_functions_in_f64) {
  std::mt19937 random(9);
  const int64_t columns = 9;
  for (Element in : allElements)
    for (std::string activation : {"silu", "gelu", "gelu_tanh", "relu"}) {
      std::string x = rowsOf(columns, in);
      Compiled program("func.func @f(%x: " + x + ") -> " + x + " {\n" + initLike(x, columns, in) +
                       "  %y = kerf.activation " + activation + " %x outs(%init : " + x + ") : " + x +
                       "\n  return %y : " + x + "\n}");
      for (int64_t rows : rowCounts) {
        Array input = randomArray(random, in, {rows, columns}, 4);
        std::vector<Array> results = program.run({input});
        ASSERT_EQ(results.size(), 1u);
        std::vector<double> expected;
        for (float value : input.values)
          expected.push_back(activated(activation, value));
        // As in ReferenceGate, without the product.
        expectNear(results[0], {rows, columns}, expected, [&](size_t i) {
          return 2 * std::abs(expected[i]) * unit(Element::F32) + std::ldexp(std::abs(input.values[i]), -51);
        });
      }
    }
}

TEST(ReferenceGate, rounds_once) {
  std::mt19937 random(5);
  const int64_t columns = 9;
  for (Element in : allElements)
    for (std::string activation : {"silu", "gelu", "gelu_tanh", "relu"}) {
      std::string x = rowsOf(columns, in);
      Compiled program("func.func @f(%x: " + x + ", %u: " + x + ") -> " + x + " {\n" + initLike(x, columns, in) +
                       "  %y = kerf.gate " + activation + " %x, %u outs(%init : " + x + ") : " + x + ", " + x +
                       "\n  return %y : " + x + "\n}");
      for (int64_t rows : rowCounts) {
        Array gate = randomArray(random, in, {rows, columns}, 4), up = randomArray(random, in, {rows, columns});
        std::vector<Array> results = program.run({gate, up});
        ASSERT_EQ(results.size(), 1u);
        std::vector<double> expected, bounds;
        for (size_t i = 0; i < gate.values.size(); ++i) {
          double x = gate.values[i];
          expected.push_back(activated(activation, x) * up.values[i]);
          // f to 2 units of f32, the product to one; 1 + erf(x) and 1 + tanh(x) cancel for x below 0, in f64: 2^-52 of
          // x at most.
          bounds.push_back(3 * std::abs(expected[i]) * unit(Element::F32) +
                           std::ldexp(std::abs(x * up.values[i]), -51));
        }
        expectNear(results[0], {rows, columns}, expected, [&](size_t i) { return bounds[i]; });
      }
    }
}

TEST(ReferenceEmbed, widens_and_rounds_rows_of_the_table) {
  std::mt19937 random(6);
  const int64_t columns = 11, vocabulary = 13;
  for (Element stored : allElements)
    for (Element out : allElements) {
      std::string table = matrixOf(vocabulary, columns, stored), y = rowsOf(columns, out);
      Compiled program("func.func @f(%x: tensor<?xi32>, %w: " + table + ") -> " + y + " {\n" +
                       initLike("tensor<?xi32>", columns, out) + "  %y = kerf.embed %x, %w outs(%init : " + y +
                       ") : tensor<?xi32>, " + table + "\n  return %y : " + y + "\n}");
      for (std::vector<int32_t> ids : {std::vector<int32_t>{}, {12}, {0, 12, 5, 5, 1}}) {
        Array weights = randomArray(random, stored, {vocabulary, columns});
        std::vector<Array> results = program.run({ids, weights});
        ASSERT_EQ(results.size(), 1u);
        Array expected{out, {static_cast<int64_t>(ids.size()), columns}, {}};
        for (int32_t id : ids)
          for (int64_t column = 0; column < columns; ++column)
            expected.values.push_back(round(weights.at(id, column), out));
        expectSame(results[0], expected);
      }
    }
}

TEST(ReferenceSelect, copies_rows) {
  std::mt19937 random(7);
  const int64_t columns = 3;
  for (Element element : allElements) {
    std::string y = rowsOf(columns, element);
    Compiled program("func.func @f(%z: " + y + ", %x: tensor<?xi32>) -> " + y + " {\n" +
                     initLike("tensor<?xi32>", columns, element) + "  %y = kerf.select %z, %x outs(%init : " + y +
                     ") : " + y + ", tensor<?xi32>\n  return %y : " + y + "\n}");
    for (std::vector<int32_t> chosen : {std::vector<int32_t>{}, {3}, {0, 1, 3, 3}}) {
      Array input = randomArray(random, element, {4, columns});
      input.at(3, 1) = -0.0f;
      std::vector<Array> results = program.run({input, chosen});
      ASSERT_EQ(results.size(), 1u);
      Array expected{element, {static_cast<int64_t>(chosen.size()), columns}, {}};
      for (int32_t row : chosen)
        for (int64_t column = 0; column < columns; ++column)
          expected.values.push_back(input.at(row, column));
      expectSame(results[0], expected);
    }
  }
}

TEST(ReferencePool, reduces_the_rows_of_each_sequence) {
  std::mt19937 random(10);
  const int64_t columns = 5;
  const std::vector<int32_t> first = {0, 1, 4}, count = {1, 3, 6};
  for (Element in : allElements)
    for (std::string pooling : {"mean", "first", "last", "max"}) {
      std::string x = rowsOf(columns, in), y = rowsOf(columns, Element::F32), i = "tensor<?xi32>";
      Compiled program("func.func @f(%z: " + x + ", %x: " + i + ", %count: " + i + ") -> " + y + " {\n" +
                       initLike(i, columns, Element::F32) + "  %y = kerf.pool " + pooling +
                       " %z, %x, %count outs(%init : " + y + ") : " + x + ", " + i + ", " + i + "\n  return %y : " + y +
                       "\n}");
      Array input = randomArray(random, in, {10, columns});
      input.at(5, 1) = NAN;
      for (size_t sequences : {0, 1, 3}) {
        std::vector<int32_t> firsts(first.begin(), first.begin() + sequences),
            counts(count.begin(), count.begin() + sequences);
        std::vector<Array> results = program.run({input, firsts, counts});
        ASSERT_EQ(results.size(), 1u);
        ASSERT_EQ(results[0].size(), int64_t(sequences) * columns);
        for (size_t s = 0; s < sequences; ++s)
          for (int64_t column = 0; column < columns; ++column) {
            double sum = 0, magnitude = 0, greatest = -INFINITY;
            bool nan = false;
            for (int32_t row = first[s]; row < first[s] + count[s]; ++row) {
              const double value = input.at(row, column);
              sum += value;
              magnitude += std::abs(value);
              greatest = std::max(greatest, value);
              nan |= std::isnan(value);
            }
            const float got = results[0].at(s, column);
            if (pooling == "first")
              EXPECT_EQ(got, input.at(first[s], column));
            else if (pooling == "last")
              EXPECT_EQ(got, input.at(first[s] + count[s] - 1, column));
            else if (nan)
              EXPECT_TRUE(std::isnan(got));
            else if (pooling == "max")
              EXPECT_EQ(got, greatest);
            else // a sum of `count` terms, and a division
              EXPECT_NEAR(got, sum / count[s], (count[s] + 1) * magnitude / count[s] * unit(Element::F32));
          }
      }
    }
}
