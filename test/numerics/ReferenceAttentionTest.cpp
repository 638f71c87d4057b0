// Positions, the cache and attention of the reference path against plain scalar code.
#include "test/numerics/Harness.h"

using namespace kerf::test;

namespace {

const double u32 = unit(Element::F32);

/// The KV group of these tests: planes 2, heads 2, head_dim 6 (even, and no power of two).
constexpr int64_t planes = 2, heads = 2, size = 6, width = heads * size;

std::string groupOf(Element element) {
  return "kerf.kv_group @kv planes 2 heads 2 head_dim 6 page_size 16 element " + text(element) + "\n";
}

/// The arrays of a step.
struct Batch {
  std::vector<int32_t> ids, positions, logitRows, sequences, indices, slots, lengths, firstRows, rowCounts;
  void addTo(std::vector<Input> &inputs) const {
    for (const auto *array :
         {&ids, &positions, &logitRows, &sequences, &indices, &slots, &lengths, &firstRows, &rowCounts})
      inputs.push_back(*array);
  }
};

/// Appends a row for the next position of a sequence.
void addRow(Batch &batch, int32_t sequence, int32_t index, int32_t slot) {
  if (batch.sequences.empty() || batch.sequences.back() != sequence) {
    batch.firstRows.push_back(int32_t(batch.ids.size()));
    batch.rowCounts.push_back(0);
  }
  ++batch.rowCounts.back();
  batch.ids.push_back(0);
  batch.positions.push_back(index);
  batch.sequences.push_back(sequence);
  batch.indices.push_back(index);
  batch.slots.push_back(slot);
}

/// `[plane][sequence][position][head][feature]`
int64_t place(const Array &cache, int64_t plane, int64_t sequence, int64_t position, int64_t head, int64_t i) {
  return (((plane * cache.shape[1] + sequence) * cache.shape[2] + position) * heads + head) * size + i;
}

/// Rotates one head in f64.
std::vector<double> rotate(const std::vector<double> &head, const Array &table, int64_t row) {
  size_t half = head.size() / 2;
  std::vector<double> result(head.size());
  for (size_t i = 0; i < half; ++i) {
    double cos = table.at(row, i), sin = table.at(row, half + i);
    result[i] = head[i] * cos - head[half + i] * sin;
    result[half + i] = head[half + i] * cos + head[i] * sin;
  }
  return result;
}

Array randomTable(std::mt19937 &random, int64_t rows) {
  Array table{Element::F32, {rows, size}, std::vector<float>(rows * size)};
  std::uniform_real_distribution<double> angles(-100, 100);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < size / 2; ++i) {
      double angle = angles(random);
      table.at(row, i) = std::cos(angle);
      table.at(row, size / 2 + i) = std::sin(angle);
    }
  return table;
}

} // namespace

TEST(ReferenceRopeTable, equals_cosine_and_sine_in_f64) {
  std::mt19937 random(11);
  Compiled program("func.func @f(%x: tensor<?xi32>, %f: tensor<5xf32>) -> tensor<?x10xf32> {\n" +
                   initLike("tensor<?xi32>", 10, Element::F32) +
                   "  %y = kerf.rope_table %x, %f factor 1.25 outs(%init : tensor<?x10xf32>) : tensor<?xi32>, "
                   "tensor<5xf32>\n  return %y : tensor<?x10xf32>\n}");
  for (std::vector<int32_t> positions : {std::vector<int32_t>{}, {0}, {1, 77, 1 << 20}}) {
    Array frequencies{Element::F32, {5}, {1, 0.31622776f, 0.1f, 1e-3f, 1e-7f}};
    std::vector<Array> results = program.run({positions, frequencies});
    ASSERT_EQ(results.size(), 1u);
    std::vector<double> expected;
    for (int32_t position : positions)
      for (int64_t i = 0; i < 10; ++i) {
        float angle = static_cast<float>(position) * frequencies.values[i % 5];
        expected.push_back(1.25 *
                           (i < 5 ? std::cos(static_cast<double>(angle)) : std::sin(static_cast<double>(angle))));
      }
    // Two units in the last place of the function; the product's rounding is in the check.
    expectNear(results[0], {static_cast<int64_t>(positions.size()), 10}, expected,
               [&](size_t i) { return std::abs(expected[i]) * 4 * u32; });
  }
}

TEST(ReferenceRope, rotates_halves_in_f32) {
  std::mt19937 random(12);
  for (Element in : allElements)
    for (Element out : {Element::F32, in}) {
      std::string x = rowsOf(width, in), y = rowsOf(width, out), t = rowsOf(size, Element::F32);
      Compiled program("func.func @f(%x: " + x + ", %t: " + t + ") -> " + y + " {\n" + initLike(x, width, out) +
                       "  %y = kerf.rope %x, %t outs(%init : " + y + ") : " + x + ", " + t + "\n  return %y : " + y +
                       "\n}");
      for (int64_t rows : {0, 1, 3}) {
        Array input = randomArray(random, in, {rows, width}), table = randomTable(random, rows);
        std::vector<Array> results = program.run({input, table});
        ASSERT_EQ(results.size(), 1u);
        std::vector<double> expected, bounds;
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t head = 0; head < heads; ++head) {
            std::vector<double> features;
            for (int64_t i = 0; i < size; ++i)
              features.push_back(input.at(row, head * size + i));
            for (double value : rotate(features, table, row))
              expected.push_back(value);
            // Two products and their difference, each rounded.
            for (int64_t i = 0; i < size; ++i)
              bounds.push_back(3 * u32 * (std::abs(features[i]) + std::abs(features[(i + size / 2) % size])));
          }
        expectNear(results[0], {rows, width}, expected, [&](size_t i) { return bounds[i]; });
      }
    }
}

TEST(ReferenceKvAppend, rounds_into_slots_and_leaves_the_rest) {
  std::mt19937 random(13);
  for (Element kept : allElements) {
    std::string x = rowsOf(width, Element::F32);
    Compiled program(groupOf(kept) + "func.func @f(%k: " + x + ", %v: " + x +
                     ", %batch: !kerf.batch, %c: !kerf.cache) -> !kerf.cache {\n"
                     "  %d = kerf.kv_append %k, %v, %batch to %c group @kv plane 1 : " +
                     x + ", " + x + "\n  return %d : !kerf.cache\n}");
    for (int64_t rows : {0, 1, 4}) {
      Batch batch;
      batch.lengths = {3, 5};
      // The third row is not kept.
      const int32_t sequences[] = {1, 0, 0, 1}, slots[] = {4, 2, -1, 0};
      for (int64_t row = 0; row < rows; ++row)
        addRow(batch, sequences[row], slots[row], slots[row]);
      Array k = randomArray(random, Element::F32, {rows, width}), v = randomArray(random, Element::F32, {rows, width});
      Array keys = randomArray(random, kept, {planes, 2, 5, heads, size});
      Array values = randomArray(random, kept, {planes, 2, 5, heads, size});
      std::vector<Input> inputs = {k, v};
      batch.addTo(inputs);
      inputs.push_back(keys);
      inputs.push_back(values);
      EXPECT_TRUE(program.run(inputs).empty());
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; slots[row] >= 0 && column < width; ++column) {
          int64_t at = place(keys, 1, sequences[row], slots[row], column / size, column % size);
          keys.values[at] = round(k.at(row, column), kept);
          values.values[at] = round(v.at(row, column), kept);
        }
      expectSame(Array::decode(kept, keys.shape, inputs[11].data.data()), keys);
      expectSame(Array::decode(kept, values.shape, inputs[12].data.data()), values);
    }
  }
}

TEST(ReferenceRopeAppend, equals_norm_rope_and_append_without_rounding_between) {
  std::mt19937 random(14);
  const int64_t queryWidth = 4 * size, all = queryWidth + 2 * width;
  const double eps = 1e-6;
  for (Element kept : {Element::F32, Element::BF16})
    for (auto [normed, rotated] : {std::pair(false, true), {true, true}, {false, false}}) {
      std::string x = rowsOf(all, Element::F32), y = rowsOf(queryWidth, Element::F32), t = rowsOf(size, Element::F32),
                  s = vectorOf(size, Element::BF16);
      Compiled program(
          groupOf(kept) + "func.func @f(%x: " + x + ", %t: " + t + ", %qs: " + s + ", %ks: " + s +
          ", %batch: !kerf.batch, %c: !kerf.cache) -> (" + y + ", !kerf.cache) {\n" +
          initLike(x, queryWidth, Element::F32) + "  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 " +
          (rotated ? "table(%t : " + t + ") " : "") + (normed ? "scales(%qs, %ks : " + s + ", " + s + ") " : "") +
          "eps 1.0e-6 outs(%init : " + y + ") : " + x + "\n  return %q, %d : " + y + ", !kerf.cache\n}");
      for (int64_t rows : {0, 1, 3}) {
        Batch batch;
        batch.lengths = {3};
        for (int64_t row = 0; row < rows; ++row)
          addRow(batch, 0, row, row);
        Array input = randomArray(random, Element::F32, {rows, all}), table = randomTable(random, rows);
        Array queryScale = randomArray(random, Element::BF16, {size}),
              keyScale = randomArray(random, Element::BF16, {size});
        Array keys{kept, {planes, 1, 3, heads, size}, std::vector<float>(planes * 3 * width)}, values = keys;
        std::vector<Input> inputs = {input, table, queryScale, keyScale};
        batch.addTo(inputs);
        inputs.push_back(keys);
        inputs.push_back(values);
        std::vector<Array> results = program.run(inputs);
        ASSERT_EQ(results.size(), 1u);
        Array newKeys = Array::decode(kept, {3, width}, inputs[13].data.data());
        Array newValues = Array::decode(kept, {3, width}, inputs[14].data.data());
        newKeys.shape = newValues.shape = {rows, width};
        newKeys.values.resize(rows * width);
        newValues.values.resize(rows * width);

        std::vector<double> queries, rotatedKeys;
        Array expectedValues{kept, {rows, width}, {}};
        double largest = 1;
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t head = 0; head < 4 + heads; ++head) {
            const Array &scale = head < 4 ? queryScale : keyScale;
            std::vector<double> features;
            double squares = 0;
            for (int64_t i = 0; i < size; ++i) {
              features.push_back(input.at(row, head * size + i));
              squares += features.back() * features.back();
            }
            for (int64_t i = 0; i < size; ++i) {
              if (normed)
                features[i] *= scale.values[i] / std::sqrt(squares / size + eps);
              largest = std::max(largest, std::abs(features[i]));
            }
            for (double value : rotated ? rotate(features, table, row) : features)
              (head < 4 ? queries : rotatedKeys).push_back(value);
          }
          for (int64_t column = 0; column < width; ++column)
            expectedValues.values.push_back(round(input.at(row, queryWidth + width + column), kept));
        }
        // The norm's (size + 2) / 2 + 6 units, and three roundings of a rotation, of two features.
        double bound = 2 * largest * ((size + 2) / 2.0 + 6 + 3) * u32;
        expectNear(results[0], {rows, queryWidth}, queries, [&](size_t) { return bound; });
        expectNear(newKeys, {rows, width}, rotatedKeys, [&](size_t) { return bound; });
        expectSame(newValues, expectedValues);
      }
    }
}

TEST(ReferenceLinearRopeAppend, equals_linear_and_append_without_rounding_between) {
  std::mt19937 random(15);
  const int64_t in = 10, queryWidth = 4 * size, all = queryWidth + 2 * width;
  for (Element element : allElements)
    for (auto [biased, rotated] : {std::pair(false, true), {true, true}, {true, false}}) {
      const std::string x = rowsOf(in, element), w = matrixOf(all, in, element), b = vectorOf(all, Element::F32),
                        t = rowsOf(size, Element::F32), y = rowsOf(queryWidth, element),
                        sums = rowsOf(all, Element::F32);
      const std::string head = groupOf(element) + "func.func @f(%x: " + x + ", %w: " + w + ", %b: " + b + ", %t: " + t +
                               ", %batch: !kerf.batch, %c: !kerf.cache) -> (" + y + ", !kerf.cache) {\n" +
                               initLike(x, queryWidth, element);
      const std::string end = " outs(%init : " + y + ") : ", done = "\n  return %q, %d : " + y + ", !kerf.cache\n}";
      const std::string bias = biased ? " bias(%b : " + b + ")" : "", table = rotated ? " table(%t : " + t + ")" : "";
      Compiled fused(head + "  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 1" + bias + table +
                     end + x + ", " + w + done);
      Compiled parts(head + initLike(x, all, Element::F32, "e") + "  %y = kerf.linear %x, %w" + bias + " outs(%e : " +
                     sums + ") : " + x + ", " + w + "\n  %q, %d = kerf.rope_append %y, %batch to %c group @kv plane 1" +
                     table + " eps 1.0" + end + sums + done);
      for (int64_t rows : {0, 1, 3}) {
        Batch batch;
        batch.lengths = {3};
        for (int64_t row = 0; row < rows; ++row)
          addRow(batch, 0, row, row == 1 ? -1 : row);
        std::vector<Input> inputs = {randomArray(random, element, {rows, in}), randomArray(random, element, {all, in}),
                                     randomArray(random, Element::F32, {all}), randomTable(random, rows)};
        batch.addTo(inputs);
        const Array cache = randomArray(random, element, {planes, 1, 3, heads, size});
        inputs.push_back(cache);
        inputs.push_back(cache);
        std::vector<Input> same = inputs;
        std::vector<Array> results = fused.run(inputs), expected = parts.run(same);
        ASSERT_EQ(results.size(), 1u);
        expectSame(results[0], expected[0]);
        for (size_t i : {inputs.size() - 2, inputs.size() - 1})
          EXPECT_EQ(inputs[i].data, same[i].data);
        EXPECT_TRUE(rows == 0 || inputs.back().data != Input(cache).data);
      }
    }
}

// A mask, and the keys [first, end) that the row at `position` of a sequence of `length` tokens sees by it.
struct MaskCase {
  const char *text;
  int64_t behind, ahead;
  int64_t first(int64_t position) const { return std::max<int64_t>(0, position + 1 - behind); }
  int64_t end(int64_t position, int64_t length) const { return std::min(length, position + 1 + ahead); }
};
constexpr int64_t far = 1 << 20;
const MaskCase masks[] = {{"#kerf.causal", far, 0},
                          {"#kerf.window<1>", 1, 0},
                          {"#kerf.window<3>", 3, 0},
                          {"#kerf.window<40>", 40, 0},
                          {"#kerf.bidirectional", far, far}};

class ReferenceAttention : public testing::TestWithParam<MaskCase> {};

TEST_P(ReferenceAttention, equals_softmax_in_f64) {
  const MaskCase &mask = GetParam();
  std::mt19937 random(15);
  const int64_t queryHeads = 4, queryWidth = queryHeads * size, context = 37;
  const double scale = 0.40824829;
  for (Element kept : allElements)
    for (Element out : {Element::F32, Element::BF16}) {
      std::string x = rowsOf(queryWidth, Element::F32), y = rowsOf(queryWidth, out),
                  l = rowsOf(queryHeads, Element::F32);
      bool partial = kept != Element::F16;
      Compiled program(groupOf(kept) + "func.func @f(%x: " + x + ", %batch: !kerf.batch, %c: !kerf.cache) -> (" + y +
                       (partial ? ", " + l : "") + ") {\n" + initLike(x, queryWidth, out) +
                       initLike(x, queryHeads, Element::F32, "linit") +
                       "  %work = kerf.work_list of %batch group @kv mask " + mask.text + "\n  %y" +
                       (partial ? ", %l" : "") +
                       " = kerf.attention %x, %work, %c group @kv plane 1 scale 0.40824829 outs(%init : " + y + ") " +
                       (partial ? "lse(%linit : " + l + ") " : "") + ": " + x + (partial ? " -> " + l : "") +
                       "\n  return %y" + (partial ? ", %l : " + y + ", " + l : " : " + y) + "\n}");
      // One row of a full sequence, several of another, one that sees a single key and one that sees none.
      for (int64_t rows : {0, 1, 6}) {
        Batch batch;
        batch.lengths = {37, 4, 1, 0};
        const int32_t sequences[] = {0, 1, 1, 1, 2, 3}, indices[] = {36, 1, 2, 3, 0, -1};
        for (int64_t row = 0; row < rows; ++row)
          addRow(batch, sequences[row], indices[row], indices[row]);
        Array queries = randomArray(random, Element::F32, {rows, queryWidth}, 2);
        Array keys = randomArray(random, kept, {planes, 4, context, heads, size}, 2);
        Array values = randomArray(random, kept, {planes, 4, context, heads, size});
        // What no row may see.
        for (int64_t sequence = 0; sequence < 4; ++sequence)
          for (int64_t position = batch.lengths[sequence]; position < context; ++position)
            for (int64_t i = 0; i < width; ++i)
              keys.values[place(keys, 1, sequence, position, 0, i)] =
                  values.values[place(values, 1, sequence, position, 0, i)] = NAN;
        std::vector<Input> inputs = {queries};
        batch.addTo(inputs);
        inputs.push_back(keys);
        inputs.push_back(values);
        std::vector<Array> results = program.run(inputs);
        ASSERT_EQ(results.size(), partial ? 2u : 1u);

        std::vector<double> expected, bounds;
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t head = 0; head < queryHeads; ++head) {
            std::vector<double> scores;
            double scoreError = 0, maximum = -INFINITY, total = 0, largest = 0;
            const int64_t first = mask.first(indices[row]), end = mask.end(indices[row], batch.lengths[sequences[row]]);
            for (int64_t j = first; j < end; ++j) {
              double score = 0, magnitude = 0;
              for (int64_t i = 0; i < size; ++i) {
                double term = queries.at(row, head * size + i) *
                              static_cast<double>(keys.values[place(keys, 1, sequences[row], j, head / 2, i)]);
                score += scale * term;
                magnitude += scale * std::abs(term);
              }
              scores.push_back(score);
              maximum = std::max(maximum, score);
              // The sum, the scale and its rounding to f32, and the subtraction of the maximum.
              scoreError = std::max(scoreError, magnitude * (size + 5) * u32);
            }
            for (double &score : scores)
              total += score = std::exp(score - maximum);
            double count = scores.size();
            if (partial) {
              float lse = results[1].at(row, head);
              if (scores.empty())
                EXPECT_EQ(lse, -INFINITY);
              else
                EXPECT_NEAR(lse, maximum + std::log(total),
                            2 * scoreError + (count + 4) * u32 + 2 * u32 * std::abs(maximum + std::log(total)));
            }
            for (int64_t i = 0; i < size; ++i) {
              double sum = 0;
              for (size_t j = 0; j < scores.size(); ++j) {
                double value = values.values[place(values, 1, sequences[row], first + j, head / 2, i)];
                largest = std::max(largest, std::abs(value));
                sum += scores[j] * value;
              }
              expected.push_back(scores.empty() ? 0 : sum / total);
            }
            // Both sums have weights that are off by 2 * scoreError and an exponential; a mean of values is off by that
            // much of the largest.
            for (int64_t i = 0; i < size; ++i)
              bounds.push_back(largest * (4.04 * scoreError + 2 * (count + 4) * u32));
          }
        expectNear(results[0], {rows, queryWidth}, expected, [&](size_t i) { return bounds[i]; });
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Masks, ReferenceAttention, testing::ValuesIn(masks), [](const auto &info) {
  std::string name = info.param.text;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

TEST(ReferenceAttentionMerge, joins_disjoint_keys) {
  std::mt19937 random(16);
  const int64_t columns = 3 * size;
  for (Element in : allElements) {
    std::string x = rowsOf(columns, in), l = rowsOf(3, Element::F32);
    Compiled program("func.func @f(%x: " + x + ", %a: " + l + ", %y: " + x + ", %b: " + l + ") -> (" + x + ", " + l +
                     ") {\n" + initLike(x, columns, in) + initLike(x, 3, Element::F32, "linit") +
                     "  %z, %m = kerf.attention_merge %x, %a, %y, %b outs(%init : " + x + ") lse(%linit : " + l +
                     ") : " + x + ", " + l + ", " + x + ", " + l + "\n  return %z, %m : " + x + ", " + l + "\n}");
    for (int64_t rows : {0, 1, 5}) {
      Array lhs = randomArray(random, in, {rows, columns}), rhs = randomArray(random, in, {rows, columns});
      Array a = randomArray(random, Element::F32, {rows, 3}, 3), b = randomArray(random, Element::F32, {rows, 3}, 3);
      if (rows > 1)
        a.at(0, 0) = b.at(0, 1) = a.at(0, 2) = b.at(0, 2) = -INFINITY;
      std::vector<Array> results = program.run({lhs, a, rhs, b});
      ASSERT_EQ(results.size(), 2u);
      std::vector<double> expected;
      double largest = 0;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
          double l = a.at(row, column / size), r = b.at(row, column / size), m = std::max(l, r);
          double p = std::exp(l - m), q = std::exp(r - m), lse = m + std::log(p + q);
          bool none = m == -INFINITY;
          expected.push_back(none ? 0 : (p * lhs.at(row, column) + q * rhs.at(row, column)) / (p + q));
          largest = std::max({largest, std::abs<double>(lhs.at(row, column)), std::abs<double>(rhs.at(row, column))});
          if (none)
            EXPECT_EQ(results[1].at(row, column / size), -INFINITY);
          else
            EXPECT_NEAR(results[1].at(row, column / size), lse, 8 * u32 * (1 + std::abs(m)));
        }
      // An exponential of a rounded difference of up to about 20: 2 + 20 units, in numerator and denominator.
      expectNear(results[0], {rows, columns}, expected, [&](size_t) { return largest * 60 * u32; });
    }
  }
}

TEST(ReferenceExtent, gives_every_size_of_the_step) {
  const char *names[] = {"one", "tokens", "sequences", "logit_rows", "work_items", "attended", "cached"};
  for (int which = 0; which < 7; ++which) {
    Compiled program(groupOf(Element::F32) +
                     "func.func @f(%batch: !kerf.batch) -> (tensor<?xi32>, tensor<?xf32>) {\n  %n = kerf.extent " +
                     names[which] +
                     " of %batch\n  %e = tensor.empty(%n) : tensor<?xf32>\n"
                     "  %r = kerf.batch_field positions of %batch : tensor<?xi32>\n"
                     "  return %r, %e : tensor<?xi32>, tensor<?xf32>\n}");
    Batch batch;
    batch.lengths = {2, 0, 4};
    batch.logitRows = {0, 2};
    addRow(batch, 0, 1, 1);
    addRow(batch, 2, 2, 2);
    addRow(batch, 2, 3, 3);
    std::vector<Input> inputs;
    batch.addTo(inputs);
    std::vector<Array> results = program.run(inputs);
    ASSERT_EQ(results.size(), 2u);
    EXPECT_EQ(results[0].shape.front(), 3);
    // Two sequences have rows. Rows see 2, 3 and 4 keys; the sequences keep 2 and 4.
    const int64_t sizes[] = {1, 3, 2, 2, 3, 9, 6};
    EXPECT_EQ(results[1].shape.front(), sizes[which]) << names[which];
  }
}
