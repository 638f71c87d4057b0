//===- attention_test.cpp - attention kernels against a scalar reference --===//
#include "codegen/nvptx/Attention.h"
#include "test/codegen/kernels/CacheMemory.h"

#include <map>

using namespace kerf::kernels;
using namespace kerf::test;

namespace {

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;

/// How far rows see, as work items say it.
struct Mask {
  int32_t behind = KERF_UNBOUNDED, ahead = 0;
  /// The keys [first, end) that some of the rows [position, position + count) of a sequence see.
  int64_t first(int64_t position) const { return std::max<int64_t>(0, position + 1 - behind); }
  int64_t end(int64_t position, int64_t count, int64_t length) const {
    return std::min(length, position + count + ahead);
  }
};

/// Rows of one sequence in a step.
struct Part {
  int32_t sequence;
  int64_t first, count;
};

/// What a step gives: rows in the order of the parts.
struct Result {
  std::vector<char> output, lse;
  bool operator==(const Result &) const = default;
};

/// Sequences with keys, values and queries for every position, and a compiled attention.
class Problem {
public:
  Problem(const Target &target, const AttentionSpec &spec, std::vector<int64_t> lengths, unsigned seed)
      : spec(spec), lengths(lengths), target(target), onTensorCores(target.gpu && kerf::nvptx::onTensorCores(spec)),
        random(seed), cache(target, {spec.kvHeads, spec.headDim, spec.pageSize, spec.cache}, lengths, random),
        kernel(target, [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); }) {
    // Weights may be rounded otherwise, each by a unit.
    if (onTensorCores)
      kernel.slack = 2 * halfUnit(spec.cache);
    std::normal_distribution<float> normal;
    for (size_t sequence = 0; sequence < lengths.size(); ++sequence) {
      queries.push_back(std::make_unique<Tensor>(spec.queries, lengths[sequence] * spec.queryHeads * spec.headDim));
      queries.back()->fill(random);
      for (int64_t position = 0; position < lengths[sequence]; ++position)
        for (int64_t head = 0; head < spec.kvHeads; ++head)
          for (int64_t d = 0; d < spec.headDim; ++d) {
            cache.memory->set(cache.key(cache.slot(sequence, position), head, d), coarse(normal(random)));
            cache.memory->set(cache.value(cache.slot(sequence, position), head, d), coarse(normal(random)));
          }
    }
  }

  /// Runs a step whose work items have at most `tile` rows.
  Result operator()(const std::vector<Part> &parts, int64_t tile) {
    std::vector<int32_t> items;
    int64_t rows = 0, itemCount = 0;
    for (const Part &part : parts) {
      for (int64_t at = 0; at < part.count; at += tile, ++itemCount) {
        const int64_t count = std::min(tile, part.count - at), position = part.first + at;
        for (int64_t field :
             {rows + at, count, int64_t(part.sequence), position, mask.first(position),
              mask.end(position, count, lengths[part.sequence]), int64_t(mask.behind), int64_t(mask.ahead)})
          items.push_back(field);
      }
      rows += part.count;
    }
    const size_t columns = spec.queryHeads * spec.headDim;
    Tensor input(spec.queries, rows * columns), output(spec.output, rows * columns), lse(f32, rows * spec.queryHeads);
    int64_t row = 0;
    for (const Part &part : parts) {
      input.copy(*queries[part.sequence], part.first * columns, part.count * columns, row * columns);
      row += part.count;
    }
    Integers itemOperand(items), begin(cache.begin), pages(cache.pages);
    std::vector<void *> operands = {input.data(), itemOperand.data(),   begin.data(),
                                    pages.data(), cache.memory->data(), output.data()};
    if (spec.logSumExp)
      operands.push_back(lse.data());
    const std::vector<char> before = cache.memory->bytes();
    runItems(operands, itemCount);
    EXPECT_TRUE(output.intact() && lse.intact() && cache.memory->bytes() == before);
    return {output.bytes(), lse.bytes()};
  }

  void runItems(const std::vector<void *> &operands, int64_t items) {
    const int64_t perItem = kerf::nvptx::scratchOf(spec).coefficient[KERF_EXTENT_WORK_ITEMS];
    kernel(operands, items, target.gpu ? perItem * items : 0);
  }

  /// All rows of all sequences.
  std::vector<Part> everything() const {
    std::vector<Part> parts;
    for (size_t sequence = 0; sequence < lengths.size(); ++sequence)
      parts.push_back({int32_t(sequence), 0, lengths[sequence]});
    return parts;
  }

  void check(const std::vector<Part> &parts, const Result &result) {
    Tensor output(spec.output, result.output.size() / bytesOf(spec.output)), lse(f32, result.lse.size() / 4);
    std::memcpy(output.data(), result.output.data(), result.output.size());
    std::memcpy(lse.data(), result.lse.data(), result.lse.size());
    int64_t row = 0;
    for (const Part &part : parts)
      for (int64_t i = 0; i < part.count; ++i, ++row)
        for (int64_t head = 0; head < spec.queryHeads; ++head) {
          checkRow(part.sequence, part.first + i, head, output, (row * spec.queryHeads + head) * spec.headDim, lse,
                   row * spec.queryHeads + head);
          if (testing::Test::HasFatalFailure())
            return;
        }
  }

  const AttentionSpec spec;
  const std::vector<int64_t> lengths;
  /// The same kernel serves all masks of a kind.
  Mask mask;
  const Target target;
  /// Products are those of 16-bit elements.
  const bool onTensorCores;
  std::mt19937 random;
  Cache cache;
  Kernel kernel;
  std::vector<std::unique_ptr<Tensor>> queries;

private:
  void checkRow(int64_t sequence, int64_t position, int64_t head, const Tensor &output, size_t at, const Tensor &lse,
                size_t lseAt) {
    const int64_t keyHead = head / (spec.queryHeads / spec.kvHeads), first = mask.first(position);
    const int64_t seen = mask.end(position, 1, lengths[sequence]) - first;
    std::vector<double> scores(seen);
    double greatest = -INFINITY, magnitude = 0;
    for (int64_t key = 0; key < seen; ++key) {
      double sum = 0, size = 0;
      for (int64_t d = 0; d < spec.headDim; ++d) {
        float query = queries[sequence]->get((position * spec.queryHeads + head) * spec.headDim + d);
        if (onTensorCores)
          query = fromBits(spec.cache, toBits(spec.cache, query));
        const double product =
            double(query) * cache.memory->get(cache.key(cache.slot(sequence, first + key), keyHead, d));
        sum += product;
        size += std::fabs(product);
      }
      scores[key] = spec.scale * sum;
      greatest = std::max(greatest, scores[key]);
      magnitude = std::max(magnitude, spec.scale * size);
    }
    double total = 0;
    for (double &score : scores)
      total += score = std::exp(score - greatest);
    // A score is a chain of headDim FMAs and a product by a rounded scale. Its error, twice for that of the maximum,
    // is relative in its exponential (1 ulp itself). Sums are chains of `seen` additions of positive numbers, rescaled
    // once in 16 keys at most by a factor that errs alike.
    const double scoreError = magnitude * (spec.headDim + 2) * 0x1p-24;
    const double relative = 2 * scoreError + (2 * greatestDifference(scores) + 4 + 2 * seen + seen / 4.0) * 0x1p-24;
    // Weights, relative to that of the greatest score so far, are rounded there before they multiply values.
    const double rounding = onTensorCores ? halfUnit(spec.cache) : 0;
    for (int64_t d = 0; d < spec.headDim; ++d) {
      double sum = 0, size = 0, small = 0;
      for (int64_t key = 0; key < seen; ++key) {
        const double value = cache.memory->get(cache.value(cache.slot(sequence, first + key), keyHead, d));
        sum += scores[key] / total * value;
        size += scores[key] / total * std::fabs(value);
        small += std::fabs(value) / total * 0x1p-25;
      }
      double error = 2 * size * relative + size * rounding;
      if (onTensorCores && spec.cache == f16)
        error += small;
      const double smallest = spec.output == f16 ? 0x1p-25 : 0x1p-126;
      ASSERT_NEAR(output.get(at + d), sum, error + (std::fabs(sum) + error) * halfUnit(spec.output) + smallest)
          << "sequence " << sequence << " position " << position << " head " << head << " feature " << d;
    }
    if (!spec.logSumExp)
      return;
    const double expected = greatest + std::log(total);
    ASSERT_NEAR(lse.get(lseAt), expected, scoreError + relative + std::fabs(expected) * 0x1p-23 + 0x1p-23);
  }

  /// How far below the maximum scores lie: the rounding of the difference is relative to it.
  static double greatestDifference(const std::vector<double> &exponentials) {
    double least = 1;
    for (double each : exponentials)
      least = std::min(least, each);
    return -std::log(std::max(least, 1e-30));
  }
};

class Attention : public TargetTest {
protected:
  /// Checks values and that bits do not depend on how steps and items were cut, for each of some masks of one kind.
  void check(AttentionSpec spec, const std::vector<int64_t> &lengths, const std::vector<Mask> &masks = {{}}) {
    spec.behind = masks.front().behind != KERF_UNBOUNDED;
    spec.ahead = masks.front().ahead != 0;
    SCOPED_TRACE("heads " + std::to_string(spec.queryHeads) + "/" + std::to_string(spec.kvHeads) + " headDim " +
                 std::to_string(spec.headDim) + " page " + std::to_string(spec.pageSize) + " " + nameOf(spec.queries) +
                 " " + nameOf(spec.cache) + " " + nameOf(spec.output));
    Problem problem(target(), spec, lengths, spec.headDim + spec.queryHeads);
    const auto everything = problem.everything();
    for (const Mask &mask : masks) {
      SCOPED_TRACE("behind " + std::to_string(mask.behind) + " ahead " + std::to_string(mask.ahead));
      problem.mask = mask;
      known.clear();
      // Items of one row are another kernel's on tensor cores.
      for (int64_t tile : {target().attentionTile(), int64_t(1), int64_t(3), int64_t(7)}) {
        const Result result = problem(everything, tile);
        if (tile > 1 ? known.empty() : problem.onTensorCores)
          problem.check(everything, result);
        if (!HasFatalFailure())
          checkBits(problem, everything, tile, result);
        if (HasFatalFailure())
          return;
      }
      checkCuts(problem);
      if (HasFatalFailure())
        return;
    }
  }

  /// Prompts in pieces of random length, down to decoding one by one, with other sequences beside.
  void checkCuts(Problem &problem) {
    // A GPU of one CPU is slow.
    for (int64_t longest : target().cpu ? std::vector<int64_t>{1, 5, 40} : std::vector<int64_t>{12, 40}) {
      std::vector<int64_t> done(problem.lengths.size());
      for (bool more = true; more;) {
        more = false;
        std::vector<Part> parts;
        for (size_t sequence = 0; sequence < done.size(); ++sequence) {
          const int64_t left = problem.lengths[sequence] - done[sequence];
          const int64_t count = std::min<int64_t>(left, 1 + problem.random() % longest);
          if (count)
            parts.push_back({int32_t(sequence), done[sequence], count});
          done[sequence] += count;
          more |= count < left;
        }
        std::shuffle(parts.begin(), parts.end(), problem.random);
        checkBits(problem, parts, target().attentionTile(), problem(parts, target().attentionTile()));
        if (HasFatalFailure())
          return;
      }
    }
  }

  /// The bits of each row that was seen: by sequence, position, and whether its item had but one row where that counts.
  std::map<std::tuple<int32_t, int64_t, bool>, std::vector<char>> known;

  void checkBits(const Problem &problem, const std::vector<Part> &parts, int64_t tile, const Result &result) {
    const AttentionSpec &spec = problem.spec;
    const size_t outputRow = spec.queryHeads * spec.headDim * bytesOf(spec.output);
    const size_t lseRow = spec.logSumExp ? spec.queryHeads * 4 : 0;
    size_t row = 0;
    for (const Part &part : parts)
      for (int64_t i = 0; i < part.count; ++i, ++row) {
        const bool single = problem.onTensorCores && std::min(tile, part.count - i / tile * tile) == 1;
        std::vector<char> bits(&result.output[row * outputRow], &result.output[row * outputRow] + outputRow);
        bits.insert(bits.end(), result.lse.begin() + row * lseRow, result.lse.begin() + (row + 1) * lseRow);
        auto [at, isNew] = known.try_emplace({part.sequence, part.first + i, single}, bits);
        ASSERT_EQ(at->second, bits) << "sequence " << part.sequence << " position " << part.first + i
                                    << ", items of up to " << tile;
      }
  }
};

TEST_P(Attention, HeadDims) {
  for (int64_t headDim : {2, 8, 16, 20, 64, 80, 96, 128})
    check({2, 1, headDim, 16, f32, f32, f32, 1 / std::sqrt(double(headDim)), true}, {19, 3});
}

TEST_P(Attention, Groups) {
  for (auto [queryHeads, kvHeads] : {std::pair(1, 1), {3, 3}, {9, 3}, {5, 1}, {8, 2}, {50, 1}})
    check({queryHeads, kvHeads, 16, 32, f32, f32, f32, 0.25, true}, {37, 1, 70});
}

TEST_P(Attention, Elements) {
  for (Element cache : {f32, bf16, f16})
    for (auto [queries, output] : {std::pair(f32, f32), {f32, bf16}, {bf16, bf16}, {f16, f16}})
      check({6, 2, 24, 16, queries, cache, output, 0.2, true}, {33, 5});
}

// Operands of tensor cores on GPUs, whole and with every remainder, for tiles and pages that sequences cross.
TEST_P(Attention, HeadDimsOf16Bits) {
  const struct {
    int64_t headDim, page;
    Element cache;
  } cases[] = {{16, 16, bf16}, {32, 48, f16},   {48, 64, bf16},  {64, 16, bf16},  {64, 64, f16},
               {80, 32, f16},  {96, 16, bf16},  {112, 64, bf16}, {128, 16, bf16}, {128, 64, f16},
               {144, 32, f16}, {176, 16, bf16}, {192, 48, bf16}, {240, 64, bf16}, {256, 16, f16}};
  for (auto [headDim, page, cache] : cases)
    check({2, 1, headDim, page, cache, cache, f32, 1 / std::sqrt(double(headDim)), true}, {67, 18});
}

TEST_P(Attention, GroupsOf16Bits) {
  for (auto [queryHeads, kvHeads] : {std::pair(3, 3), {9, 3}, {5, 1}, {8, 1}, {9, 1}, {34, 2}})
    check({queryHeads, kvHeads, 16, 32, f32, bf16, bf16, 0.25, true}, {37, 1, 70});
}

TEST_P(Attention, ElementsOf16Bits) {
  for (Element cache : {bf16, f16})
    for (auto [queries, output] : {std::pair(f32, f32), {f32, bf16}, {bf16, bf16}, {f16, f16}})
      check({6, 2, 48, 16, queries, cache, output, 0.2, false}, {33, 5});
}

// Pieces of decoding: one, a few of 256 keys, and as many as there may be, of more keys.
TEST_P(Attention, LongRows) {
  for (int64_t headDim : {16, 80}) {
    AttentionSpec spec{3, 1, headDim, 32, f32, bf16, f32, 0.25, true};
    const std::vector<int64_t> lengths = {255, 4500, 257, 1100};
    for (const Mask &mask : {Mask(), Mask{700, 0}}) {
      spec.behind = mask.behind != KERF_UNBOUNDED;
      Problem problem(target(), spec, lengths, headDim);
      problem.mask = mask;
      std::vector<Part> ends;
      for (size_t sequence = 0; sequence < lengths.size(); ++sequence)
        for (int64_t back : {1, 45})
          ends.push_back({int32_t(sequence), lengths[sequence] - back, 1});
      problem.check(ends, problem(ends, 1));
      if (HasFatalFailure())
        return;
    }
  }
}

// The same rows in steps of few and of many.
TEST_P(Attention, LongRowsInSteps) {
  const std::vector<int64_t> lengths = {255, 1300, 257, 600};
  Problem problem(target(), {16, 16, 16, 64, bf16, bf16, f32, 0.25, true}, lengths, 3);
  for (int64_t backs : {1, 4, 9}) {
    std::vector<Part> ends;
    for (size_t sequence = 0; sequence < lengths.size(); ++sequence)
      for (int64_t back = 1; back <= backs; ++back)
        ends.push_back({int32_t(sequence), lengths[sequence] - back, 1});
    const Result result = problem(ends, 1);
    checkBits(problem, ends, 1, result);
    if (!HasFatalFailure())
      problem.check(ends, result);
    if (HasFatalFailure())
      return;
  }
}

TEST_P(Attention, PageBoundaries) {
  for (int64_t page : {16, 48, 64, 128, 192})
    check({4, 2, 16, page, f32, bf16, f32, 0.25, false},
          {page - 1, page, page + 1, 2 * page, 15, 16, 17, 63, 64, 65, 1});
}

// Windows below, at and above the step of 64 keys, the block of 16, the page and the text.
TEST_P(Attention, Windows) {
  std::vector<Mask> masks;
  for (int32_t behind : {1, 2, 15, 16, 17, 63, 64, 65, 100, 200})
    masks.push_back({behind, 0});
  for (int64_t page : {16, 64})
    check({4, 2, 16, page, f32, bf16, f32, 0.25, true}, {1, 17, 64, 65, 150}, masks);
  check({9, 3, 24, 32, bf16, f16, bf16, 0.25, true}, {90, 3}, masks);
}

TEST_P(Attention, Bidirectional) {
  const std::vector<Mask> all = {{KERF_UNBOUNDED, KERF_UNBOUNDED}};
  for (int64_t page : {16, 64})
    for (Element cache : {f32, bf16})
      check({4, 2, 16, page, f32, cache, f32, 0.25, true}, {1, 15, 16, 17, 63, 64, 65, 130}, all);
  check({6, 1, 20, 16, bf16, bf16, bf16, 0.25, false}, {40, 7}, all);
}

TEST_P(Attention, WindowsToBothSides) {
  for (Element cache : {f32, bf16}) {
    const AttentionSpec spec{6, 2, 16, 32, f32, cache, f32, 0.25, true};
    check(spec, {1, 40, 64, 131}, {{1, 1}, {3, 20}, {17, 16}, {64, 64}});
    check(spec, {1, 40, 64, 131}, {{KERF_UNBOUNDED, 5}});
  }
}

TEST_P(Attention, EmptyStep) {
  Problem problem(target(), {2, 1, 8, 16, f32, f32, f32, 1, true}, {4}, 1);
  EXPECT_EQ(problem({}, 8), Result());
}

TEST_P(Attention, RandomShapes) {
  std::mt19937 random(9);
  auto any = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  for (int round = 0; round < 6; ++round) {
    const int64_t kvHeads = any(1, 4);
    const Element cache = std::array{f32, bf16, f16}[any(0, 2)];
    std::vector<int64_t> lengths(any(1, 5));
    for (int64_t &length : lengths)
      length = any(1, 150);
    const Mask masks[] = {{}, {int32_t(any(1, 120)), 0}, {KERF_UNBOUNDED, KERF_UNBOUNDED}};
    const int64_t headDim = round % 2 ? 2 * any(1, 50) : 16 * any(1, 8);
    const AttentionSpec spec{kvHeads * any(1, 7), kvHeads, headDim, 16 * any(1, 6), f32, cache, f32, 0.3,
                             bool(any(0, 1))};
    check(spec, lengths, {masks[round % 3]});
  }
}

// Keys and values of later positions, however bad, leave a row alone.
TEST_P(Attention, LaterRowsDoNotLeak) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    const AttentionSpec spec{6, 2, 16, 16, f32, f32, f32, 0.25, true};
    Problem problem(target(), spec, {90}, 4);
    const Result clean = problem({{0, 0, 70}}, 32);
    for (int64_t position = 70; position < 90; ++position)
      for (int64_t head = 0; head < 2; ++head)
        for (int64_t d = 0; d < 16; ++d) {
          problem.cache.memory->set(problem.cache.key(problem.cache.slot(0, position), head, d), bad);
          problem.cache.memory->set(problem.cache.value(problem.cache.slot(0, position), head, d), bad);
        }
    const Result spoilt = problem({{0, 0, 90}}, 32);
    ASSERT_TRUE(std::equal(clean.output.begin(), clean.output.end(), spoilt.output.begin()));
    ASSERT_TRUE(std::equal(clean.lse.begin(), clean.lse.end(), spoilt.lse.begin()));
    for (size_t byte = clean.output.size(); byte < spoilt.output.size(); byte += 4) {
      float value;
      std::memcpy(&value, &spoilt.output[byte], 4);
      ASSERT_FALSE(std::isfinite(value));
    }
  }
}

// Keys and values that lie behind every window, however bad, leave all rows alone.
TEST_P(Attention, EarlierKeysDoNotLeak) {
  for (Element cache : {f32, bf16}) {
    AttentionSpec spec{6, 2, 16, 16, f32, cache, f32, 0.25, true};
    spec.behind = true;
    // Ever shorter windows, so that what spoils one lies behind the next one too.
    Problem problem(target(), spec, {150}, 4);
    for (int32_t behind : {64, 20, 9, 1}) {
      problem.mask = {behind, 0};
      const std::vector<Part> parts = {{0, 75, 73}, {0, 149, 1}};
      const Result clean = problem(parts, 16);
      for (int64_t position = 0; position < 76 - behind; ++position)
        for (int64_t head = 0; head < 2; ++head)
          for (int64_t d = 0; d < 16; ++d) {
            problem.cache.memory->set(problem.cache.key(problem.cache.slot(0, position), head, d), NAN);
            problem.cache.memory->set(problem.cache.value(problem.cache.slot(0, position), head, d), NAN);
          }
      ASSERT_EQ(problem(parts, 16), clean) << behind;
    }
  }
}

TEST_P(Attention, BlindRowsAreZero) {
  Problem problem(target(), {3, 1, 8, 16, f32, bf16, f32, 1, true}, {20}, 5);
  Tensor queries(f32, 2 * 24), output(f32, 2 * 24), lse(f32, 2 * 3);
  queries.fill(problem.random);
  // The first of two rows stands before the first key.
  Integers items({0, 2, 0, -1, 0, 1, KERF_UNBOUNDED, 0}), begin(problem.cache.begin), pages(problem.cache.pages);
  problem.runItems({queries.data(), items.data(), begin.data(), pages.data(), problem.cache.memory->data(),
                    output.data(), lse.data()},
                   1);
  for (int i = 0; i < 24; ++i)
    EXPECT_EQ(output.get(i), 0);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(lse.get(i), -INFINITY);
  // The second one sees one key, so its output is that key's value.
  for (int i = 24; i < 48; ++i)
    EXPECT_EQ(output.get(i), problem.cache.memory->get(problem.cache.value(problem.cache.slot(0, 0), 0, i % 8)));
}

// The scores of a sequence grow, so every key moves the maximum; and differences overflow the exponential.
TEST_P(Attention, GrowingScores) {
  const AttentionSpec spec{2, 1, 2, 16, f32, f32, f32, 1, true};
  Problem problem(target(), spec, {200}, 6);
  for (int64_t position = 0; position < 200; ++position)
    for (int64_t d = 0; d < 2; ++d) {
      problem.cache.memory->set(problem.cache.key(problem.cache.slot(0, position), 0, d), float(position * 7));
      for (int64_t head = 0; head < 2; ++head)
        problem.queries[0]->set((position * 2 + head) * 2 + d, head ? -2.0f : 3.0f);
    }
  const Result result = problem(problem.everything(), 32);
  problem.check(problem.everything(), result);
}

TEST_P(Attention, MergeOfHalvesIsTheWhole) {
  // One sequence of 96 keys as two of 48 that share its pages: queries at the end see both.
  const int64_t queryHeads = 6, headDim = 20, columns = queryHeads * headDim;
  const AttentionSpec spec{queryHeads, 2, headDim, 16, f32, bf16, f32, 0.2, true};
  Problem problem(target(), spec, {96}, 7);
  const Result whole = problem({{0, 95, 1}}, 1);
  Tensor query(f32, columns), outputs(f32, 2 * columns), lses(f32, 2 * queryHeads);
  query.copy(*problem.queries[0], 95 * columns, columns);
  Integers items({0, 1, 0, 47, 0, 48, KERF_UNBOUNDED, 0}), pages(problem.cache.pages);
  std::vector<std::unique_ptr<Tensor>> parts, partLses;
  for (int32_t half : {0, 1}) {
    Integers begin({half * 3, half * 3 + 3});
    parts.push_back(std::make_unique<Tensor>(f32, columns));
    partLses.push_back(std::make_unique<Tensor>(f32, queryHeads));
    problem.runItems({query.data(), items.data(), begin.data(), pages.data(), problem.cache.memory->data(),
                      parts.back()->data(), partLses.back()->data()},
                     1);
  }
  Kernel merge(target(), [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, AttentionMergeSpec{columns, queryHeads, f32, f32});
  });
  Tensor output(f32, columns), lse(f32, queryHeads);
  merge({parts[0]->data(), partLses[0]->data(), parts[1]->data(), partLses[1]->data(), output.data(), lse.data()}, 1);
  const Result merged{output.bytes(), lse.bytes()};
  problem.check({{0, 95, 1}}, merged);
  problem.check({{0, 95, 1}}, whole);
  // In place.
  merge({parts[0]->data(), partLses[0]->data(), parts[1]->data(), partLses[1]->data(), parts[0]->data(),
         partLses[0]->data()},
        1);
  EXPECT_EQ(parts[0]->bytes(), merged.output);
  EXPECT_EQ(partLses[0]->bytes(), merged.lse);
}

TEST_P(Attention, Merge) {
  std::mt19937 random(8);
  for (int64_t headDim : {1, 7, 16, 80})
    for (auto [in, out] : {std::pair(f32, f32), {f32, bf16}, {bf16, bf16}}) {
      const AttentionMergeSpec spec{3 * headDim, 3, in, out};
      Kernel kernel(target(), [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
      for (int64_t rows : {0, 1, int(kernel.tile) + 1}) {
        Tensor lhs(in, rows * spec.columns), rhs(in, rows * spec.columns), output(out, rows * spec.columns);
        Tensor l(f32, rows * 3), r(f32, rows * 3), lse(f32, rows * 3);
        lhs.fill(random);
        rhs.fill(random);
        l.fill(random, 10);
        r.fill(random, 10);
        for (int64_t i = 0; i < rows * 3; ++i) {
          if (i % 5 == 0)
            l.set(i, -INFINITY);
          if (i % 7 == 0)
            r.set(i, -INFINITY);
        }
        kernel({lhs.data(), l.data(), rhs.data(), r.data(), output.data(), lse.data()}, rows);
        ASSERT_TRUE(output.intact() && lse.intact());
        for (int64_t i = 0; i < rows * 3; ++i) {
          const double m = std::max(l.get(i), r.get(i));
          const bool blind = m == -INFINITY;
          const double a = blind ? 0 : std::exp(l.get(i) - m), b = blind ? 0 : std::exp(r.get(i) - m);
          if (blind)
            ASSERT_EQ(lse.get(i), -INFINITY);
          else
            ASSERT_NEAR(lse.get(i), m + std::log(a + b), (std::fabs(m) + 4) * 0x1p-23);
          for (int64_t d = 0; d < headDim; ++d) {
            const int64_t at = i * headDim + d;
            const double x = a * lhs.get(at), y = b * rhs.get(at), expected = blind ? 0 : (x + y) / (a + b);
            // The difference of log-sum-exps is rounded (relative to up to 64), the rest are some units.
            const double error = (std::fabs(x) + std::fabs(y)) * (64 + 8) * 0x1p-24;
            ASSERT_NEAR(output.get(at), expected,
                        error + (std::fabs(expected) + error) * halfUnit(out) + (blind ? 0 : 0x1p-126));
          }
        }
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, Attention, testing::ValuesIn(kerf::test::targetNames()),
                         [](const auto &info) { return std::string(info.param); });
} // namespace
