//===- Attention.cpp - softmax attention over pages -----------------------===//
//
// Keys pass in steps of a fixed number of positions. In each step a few queries at a time form their scores (one chain
// of FMAs over features each), bring their maximum and sum up to date, and add the step's values to their outputs, as
// in Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, and Dao et al., "FlashAttention",
// 2022. A chunk of queries goes through a step before the next one, so that its keys and values come from memory once.
//
// Nothing that a query computes depends on the queries beside it: what it does not see adds exact zeros to its sum,
// leaves its maximum, scales by exactly one, and is never multiplied into its output.
//
//===----------------------------------------------------------------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/RowLoops.h"

#include "llvm/ADT/Sequence.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace kerf::x86;
using mlir::Value;
using mlir::ValueRange;
using Values = KernelBuilder::Values;

namespace {

class AttentionEmitter {
public:
  AttentionEmitter(KernelBuilder &kernel, const AttentionSpec &spec);
  void emit();

private:
  /// Lanes of a query's running sum, whatever the width of vectors.
  static constexpr int64_t sumLanes = 16;

  void loadQueries(Value count);
  void takeStep(Value key, Value count);
  void takeQueries(Value first, unsigned queries);
  void score(Value first, unsigned queries);
  void normalize(Value query, Value number);
  void addValues(Value first, Value rows, Value factors, unsigned queries, Value begin, Value end);
  void finishQueries(Value count);

  /// The keys [first, end) that a row of the work item sees; `first` is null where it is always 0.
  Value firstKey(Value row);
  Value endKey(Value row);
  /// The keys [begin, end), 0 … step, of the present step that a query of the chunk sees.
  Value beginOf(Value query) { return spec.behind ? inStep(firstKey(rowOf(query))) : kernel.i64(0); }
  Value endOf(Value query) { return inStep(endKey(rowOf(query))); }
  Value inStep(Value key) { return kernel.max(kernel.min(kernel.sub(key, stepKey), kernel.i64(step)), kernel.i64(0)); }
  /// Row of the work item, and head of the group, that a query of the chunk is.
  Value rowOf(Value query) { return kernel.div(kernel.add(chunkBegin, query), group); }
  /// Element of queries and output where a query of the chunk starts, in units of heads.
  Value headOf(Value query);
  /// f32 at `base[row * columns + column]`.
  Value cell(Value base, Value row, int64_t columns) { return kernel.at(base, kernel.mul(row, 4 * columns)); }
  void forQueries(Value count, llvm::function_ref<void(Value)> body) { kernel.forEach(kernel.i64(0), count, 1, body); }
  static void forCount(KernelBuilder &kernel, Value count, unsigned most, llvm::function_ref<void(unsigned)> body);

  KernelBuilder &kernel;
  const AttentionSpec spec;
  const CacheLayout layout;
  const AttentionSchedule &schedule;
  const unsigned lanes;
  /// Query heads that share a key head; keys of a step; features of an output, padded.
  const int64_t group, step, padded;
  /// On the stack, f32: [chunk][headDim], [chunk][padded], [chunk][sumLanes], [chunk]; [queries][step], [queries].
  Value queryRows, outputs, sums, maxima, weights, scales;
  /// The task: the item's first row and its position, what of its keys is needed, the key head; the chunk's first
  /// query.
  Value rowBegin, firstPosition, keyFirst, keyEnd, behind, ahead, head, chunkBegin;
  /// The present step: its first key, and where its keys and values are.
  Value stepKey, keyBase, valueBase;
};

} // namespace

/// The longest step that a page is a whole number of.
static int64_t stepOf(int64_t pageSize) { return pageSize % 64 == 0 ? 64 : pageSize % 32 == 0 ? 32 : 16; }

AttentionEmitter::AttentionEmitter(KernelBuilder &kernel, const AttentionSpec &spec)
    : kernel(kernel), spec(spec), layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache},
      schedule(kernel.variant().attention), lanes(kernel.variant().lanes), group(spec.queryHeads / spec.kvHeads),
      step(stepOf(spec.pageSize)), padded(layout.valueStride()) {
  assert(spec.queryHeads % spec.kvHeads == 0 && "query heads must be a multiple of key heads");
  assert(spec.pageSize % CacheLayout::block == 0 && "pages must be whole blocks");
  const int64_t chunk = schedule.chunk;
  queryRows = kernel.reserve(4 * chunk * spec.headDim);
  outputs = kernel.reserve(4 * chunk * padded);
  sums = kernel.reserve(4 * chunk * sumLanes);
  maxima = kernel.reserve(4 * chunk);
  weights = kernel.reserve(4 * schedule.queries * step);
  scales = kernel.reserve(4 * schedule.queries);
}

void AttentionEmitter::emit() {
  auto loadIndex = [&](Value base, Value number, int64_t scale, int64_t offset) {
    Value at = kernel.at(kernel.at(base, kernel.mul(number, scale)), offset);
    return kernel.signExtend(kernel.load(kernel.ops().getI32Type(), at, 4));
  };
  Value item = kernel.div(kernel.task(), spec.kvHeads), items = kernel.operand(1);
  head = kernel.rem(kernel.task(), spec.kvHeads);
  auto loadField = [&](int64_t offset) { return loadIndex(items, item, sizeof(kerf_work_item), offset); };
  rowBegin = loadField(offsetof(kerf_work_item, row_begin));
  firstPosition = loadField(offsetof(kerf_work_item, position));
  Value rowCount = loadField(offsetof(kerf_work_item, row_count));
  Value sequence = loadField(offsetof(kerf_work_item, sequence));
  if (spec.behind) {
    keyFirst = loadField(offsetof(kerf_work_item, key_first));
    behind = loadField(offsetof(kerf_work_item, behind));
  }
  if (spec.ahead) {
    keyEnd = loadField(offsetof(kerf_work_item, key_end));
    ahead = loadField(offsetof(kerf_work_item, ahead));
  }
  Value pages = kernel.at(kernel.operand(3), kernel.mul(loadIndex(kernel.operand(2), sequence, 4, 0), 4));
  Value headBase = kernel.at(kernel.operand(4), kernel.mul(head, layout.headBytes()));

  Value queryCount = kernel.mul(rowCount, group);
  kernel.forEach(kernel.i64(0), queryCount, schedule.chunk, [&](Value begin) {
    chunkBegin = begin;
    Value count = kernel.min(kernel.sub(queryCount, begin), kernel.i64(schedule.chunk));
    loadQueries(count);
    // The first query sees from, and the last one to, the farthest.
    Value from = spec.behind ? firstKey(rowOf(kernel.i64(0))) : kernel.i64(0);
    if (spec.behind)
      from = kernel.sub(from, kernel.rem(from, step));
    Value to = endKey(rowOf(kernel.sub(count, kernel.i64(1))));
    kernel.forEach(from, to, step, [&](Value key) {
      Value page = loadIndex(pages, kernel.div(key, spec.pageSize), 4, 0);
      Value inPage = kernel.rem(key, spec.pageSize);
      Value start = kernel.at(headBase, kernel.mul(page, layout.pageBytes()));
      const int64_t bytes = bytesOf(spec.cache);
      keyBase = kernel.at(start, kernel.mul(inPage, spec.headDim * bytes));
      valueBase =
          kernel.at(kernel.at(start, layout.keyElements() * bytes), kernel.mul(inPage, layout.valueStride() * bytes));
      takeStep(key, count);
    });
    finishQueries(count);
  });
}

Value AttentionEmitter::headOf(Value query) {
  Value number = kernel.add(chunkBegin, query);
  Value row = kernel.add(rowBegin, kernel.div(number, group));
  Value queryHead = kernel.add(kernel.mul(head, group), kernel.rem(number, group));
  return kernel.add(kernel.mul(row, spec.queryHeads), queryHead);
}

// Queries side by side in f32, and nothing seen yet.
void AttentionEmitter::loadQueries(Value count) {
  forQueries(count, [&](Value query) {
    Value from = elementAt(kernel, kernel.operand(0), kernel.mul(headOf(query), spec.headDim), spec.queries);
    Value to = cell(queryRows, query, spec.headDim);
    forElements(kernel, spec.headDim, 4, [&](Value d, unsigned width) {
      Value features = kernel.loadF32(spec.queries, elementAt(kernel, from, d, spec.queries), width);
      kernel.storeF32(Element::F32, features, elementAt(kernel, to, d, Element::F32));
    });
    Value zero = kernel.zero(kernel.f32s());
    for (int64_t at = 0; at < padded; at += lanes)
      kernel.storeF32(Element::F32, zero, kernel.at(cell(outputs, query, padded), 4 * at));
    for (int64_t at = 0; at < sumLanes; at += lanes)
      kernel.storeF32(Element::F32, zero, kernel.at(cell(sums, query, sumLanes), 4 * at));
    kernel.store(kernel.f32(-std::numeric_limits<float>::infinity()), cell(maxima, query, 1), 4);
  });
}

void AttentionEmitter::forCount(KernelBuilder &kernel, Value count, unsigned most,
                                llvm::function_ref<void(unsigned)> body) {
  if (most == 0)
    return;
  Value here = kernel.compare(mlir::arith::CmpIPredicate::eq, count, kernel.i64(most));
  kernel.ifElse(
      here, {}, [&] { return body(most), Values(); },
      [&] { return forCount(kernel, count, most - 1, body), Values(); });
}

void AttentionEmitter::takeStep(Value key, Value count) {
  stepKey = key;
  const unsigned together = schedule.queries;
  // Queries of rows that end before the step's first key see none of it.
  Value firstRow = kernel.sub(key, firstPosition);
  if (spec.ahead)
    firstRow = kernel.sub(firstRow, ahead);
  firstRow = kernel.max(firstRow, kernel.i64(0));
  Value first = kernel.max(kernel.sub(kernel.mul(firstRow, group), chunkBegin), kernel.i64(0));
  first = kernel.sub(first, kernel.rem(first, together));
  Value rest = kernel.rem(count, together), whole = kernel.sub(count, rest);
  kernel.forEach(first, whole, together, [&](Value query) { takeQueries(query, together); });
  forCount(kernel, rest, together - 1, [&](unsigned queries) { takeQueries(whole, queries); });
}

Value AttentionEmitter::firstKey(Value row) {
  Value next = kernel.add(kernel.add(firstPosition, row), 1);
  return kernel.max(kernel.sub(next, behind), keyFirst);
}

Value AttentionEmitter::endKey(Value row) {
  Value next = kernel.add(kernel.add(firstPosition, row), 1);
  return spec.ahead ? kernel.min(kernel.add(next, ahead), keyEnd) : next;
}

void AttentionEmitter::takeQueries(Value first, unsigned queries) {
  score(first, queries);
  forQueries(kernel.i64(queries), [&](Value number) { normalize(kernel.add(first, number), number); });
  auto together = [&] {
    // All of them see what the first one sees; what some see beyond it they take one by one.
    Value common = endOf(first);
    addValues(first, weights, scales, queries, beginOf(first), common);
    if (queries == 1)
      return;
    kernel.ifThen(kernel.less(common, endOf(kernel.add(first, queries - 1))), [&] {
      kernel.forEach(kernel.i64(1), kernel.i64(queries), 1, [&](Value number) {
        Value query = kernel.add(first, number);
        addValues(query, cell(weights, number, step), Value(), 1, common, endOf(query));
      });
    });
  };
  if (!spec.behind || queries == 1)
    return together();
  // Where windows begin in this step, some begin later than others.
  Value apart = kernel.less(beginOf(first), beginOf(kernel.add(first, queries - 1)));
  kernel.ifElse(
      apart, {},
      [&] {
        forQueries(kernel.i64(queries), [&](Value number) {
          Value query = kernel.add(first, number);
          addValues(query, cell(weights, number, step), cell(scales, number, 1), 1, beginOf(query), endOf(query));
        });
        return Values();
      },
      [&] { return together(), Values(); });
}

// weights[query][key] = scale * (query · key) for the whole step.
void AttentionEmitter::score(Value first, unsigned queries) {
  const int64_t bytes = bytesOf(spec.cache), unroll = spec.headDim % 4 == 0 ? 4 : 2;
  unsigned vectors = std::min<unsigned>(std::max(1u, schedule.sums / queries), step / lanes);
  vectors = llvm::bit_floor(vectors);
  Value rows = cell(queryRows, first, spec.headDim);
  Value scale = kernel.f32Splat(float(spec.scale));
  kernel.forEach(kernel.i64(0), kernel.i64(step), vectors * lanes, [&](Value key) {
    // Where the vectors start: `lanes` divide a block, and `vectors` fill blocks or share one.
    Value keys = kernel.at(keyBase, kernel.mul(kernel.div(key, CacheLayout::block), layout.blockElements() * bytes));
    keys = kernel.at(keys, kernel.mul(kernel.rem(key, CacheLayout::block), bytes));
    Values products(queries * vectors, kernel.zero(kernel.f32s()));
    products =
        kernel.loop(kernel.i64(0), kernel.i64(spec.headDim), unroll, products, [&](Value begin, ValueRange carried) {
          Values products(carried);
          Value feature = kernel.at(keys, kernel.mul(begin, CacheLayout::block * bytes));
          Value factor = kernel.at(rows, kernel.mul(begin, 4));
          for (int64_t d = 0; d < unroll; ++d) {
            Values loaded;
            for (unsigned vector = 0; vector < vectors; ++vector) {
              const int64_t lane = vector * lanes;
              const int64_t element = lane / CacheLayout::block * layout.blockElements() + d * CacheLayout::block +
                                      lane % CacheLayout::block;
              loaded.push_back(kernel.loadF32(spec.cache, kernel.at(feature, element * bytes)));
            }
            for (unsigned query = 0; query < queries; ++query) {
              Value x = kernel.broadcast(
                  kernel.loadScalarF32(Element::F32, kernel.at(factor, 4 * (query * spec.headDim + d))));
              for (unsigned vector = 0; vector < vectors; ++vector) {
                Value &product = products[query * vectors + vector];
                product = kernel.fma(x, loaded[vector], product);
              }
            }
          }
          return products;
        });
    for (unsigned query = 0; query < queries; ++query)
      for (unsigned vector = 0; vector < vectors; ++vector) {
        Value to = kernel.at(kernel.at(weights, kernel.mul(key, 4)), 4 * (query * step + vector * lanes));
        kernel.storeF32(Element::F32, kernel.mul(products[query * vectors + vector], scale), to);
      }
  });
}

// Turns scores into weights relative to the maximum so far; 0 for what is not seen.
void AttentionEmitter::normalize(Value query, Value number) {
  auto &ops = kernel.ops();
  const float infinity = std::numeric_limits<float>::infinity();
  Value row = cell(weights, number, step);
  auto inLanes = [&](Value key) { return kernel.broadcast(mlir::arith::TruncIOp::create(ops, ops.getI32Type(), key)); };
  Value end = inLanes(endOf(query)), beforeBegin;
  if (spec.behind)
    beforeBegin = inLanes(kernel.sub(beginOf(query), kernel.i64(1)));
  const unsigned vectors = step / lanes;
  Values scores, masks;
  Value greatest = kernel.f32Splat(-infinity);
  for (unsigned vector = 0; vector < vectors; ++vector) {
    auto numbers = llvm::to_vector(llvm::seq<int32_t>(vector * lanes, (vector + 1) * lanes));
    Value positions = mlir::arith::ConstantOp::create(
        ops, mlir::DenseElementsAttr::get(kernel.integers(32, lanes), llvm::ArrayRef(numbers)));
    Value seen = kernel.less(positions, end);
    if (spec.behind)
      seen = mlir::arith::AndIOp::create(ops, seen, kernel.less(beforeBegin, positions));
    masks.push_back(seen);
    Value loaded = kernel.loadF32(Element::F32, kernel.at(row, 4 * int64_t(vector) * lanes));
    scores.push_back(kernel.select(masks[vector], loaded, kernel.f32Splat(-infinity)));
    greatest = kernel.max(scores[vector], greatest);
  }
  Value address = cell(maxima, query, 1);
  Value before = kernel.load(ops.getF32Type(), address, 4);
  Value after = kernel.max(kernel.reduceMax(greatest), before);
  kernel.store(after, address, 4);
  // Also -infinity to -infinity, where nothing was seen, is no change.
  Value same = kernel.compare(mlir::arith::CmpFPredicate::OEQ, before, after);
  Value scale = kernel.select(same, kernel.f32(1), exponential(kernel, kernel.sub(before, after)));
  kernel.store(scale, cell(scales, number, 1), 4);

  Values totals;
  Value total = cell(sums, query, sumLanes);
  for (unsigned part = 0; part < sumLanes / lanes; ++part) {
    Value loaded = kernel.loadF32(Element::F32, kernel.at(total, 4 * int64_t(part) * lanes));
    totals.push_back(kernel.mul(loaded, kernel.broadcast(scale)));
  }
  Value reference = kernel.broadcast(after);
  for (unsigned vector = 0; vector < vectors; ++vector) {
    Value weight = exponential(kernel, kernel.sub(scores[vector], reference));
    weight = kernel.select(masks[vector], weight, kernel.zero(weight.getType()));
    Value &part = totals[vector % totals.size()];
    part = kernel.add(part, weight);
    kernel.storeF32(Element::F32, weight, kernel.at(row, 4 * int64_t(vector) * lanes));
  }
  for (unsigned part = 0; part < totals.size(); ++part)
    kernel.storeF32(Element::F32, totals[part], kernel.at(total, 4 * int64_t(part) * lanes));
}

// outputs[query] = outputs[query] * factors[query] + sum over keys [begin, end) of weight * value, keys ascending;
// without factors nothing is scaled.
void AttentionEmitter::addValues(Value first, Value rows, Value factors, unsigned queries, Value begin, Value end) {
  const int64_t bytes = bytesOf(spec.cache), parts = padded / lanes;
  const int64_t most = std::max(1u, schedule.sums / queries), passes = llvm::divideCeil(parts, most);
  for (int64_t pass = 0, part = 0; pass < passes; ++pass) {
    const int64_t vectors = llvm::divideCeil(parts - part, passes - pass), start = part * lanes;
    part += vectors;
    auto place = [&](unsigned query, int64_t vector) {
      return kernel.at(cell(outputs, first, padded), 4 * (query * padded + start + vector * lanes));
    };
    Values products;
    for (unsigned query = 0; query < queries; ++query) {
      Value scale = factors
                        ? kernel.broadcast(kernel.loadScalarF32(Element::F32, kernel.at(factors, 4 * int64_t(query))))
                        : Value();
      for (int64_t vector = 0; vector < vectors; ++vector) {
        Value output = kernel.loadF32(Element::F32, place(query, vector));
        products.push_back(factors ? kernel.mul(output, scale) : output);
      }
    }
    auto takeKeys = [&](Value from, Value to, int64_t unroll) {
      products = kernel.loop(from, to, unroll, products, [&](Value key, ValueRange carried) {
        Values products(carried);
        Value values = kernel.at(valueBase, kernel.mul(key, padded * bytes));
        Value weight = kernel.at(rows, kernel.mul(key, 4));
        for (int64_t number = 0; number < unroll; ++number) {
          Values loaded;
          for (int64_t vector = 0; vector < vectors; ++vector)
            loaded.push_back(
                kernel.loadF32(spec.cache, kernel.at(values, (number * padded + start + vector * lanes) * bytes)));
          for (unsigned query = 0; query < queries; ++query) {
            Value factor =
                kernel.broadcast(kernel.loadScalarF32(Element::F32, kernel.at(weight, 4 * (query * step + number))));
            for (int64_t vector = 0; vector < vectors; ++vector) {
              Value &product = products[query * vectors + vector];
              product = kernel.fma(factor, loaded[vector], product);
            }
          }
        }
        return products;
      });
    };
    constexpr int64_t unroll = 4;
    Value whole = kernel.sub(end, kernel.rem(kernel.sub(end, begin), unroll));
    takeKeys(begin, whole, unroll);
    takeKeys(whole, end, 1);
    for (unsigned query = 0; query < queries; ++query)
      for (int64_t vector = 0; vector < vectors; ++vector)
        kernel.storeF32(Element::F32, products[query * vectors + vector], place(query, vector));
  }
}

void AttentionEmitter::finishQueries(Value count) {
  forQueries(count, [&](Value query) {
    Value total =
        kernel.reduceAdd(kernel.load(kernel.vectorType(Element::F32, sumLanes), cell(sums, query, sumLanes), 64));
    Value zero = kernel.f32(0), blind = kernel.compare(mlir::arith::CmpFPredicate::OEQ, total, zero);
    // A query that saw nothing has an output of zeros, which 1 leaves alone.
    Value divisor = kernel.select(blind, kernel.f32(1), total);
    Value place = headOf(query);
    Value to = elementAt(kernel, kernel.operand(5), kernel.mul(place, spec.headDim), spec.output);
    Value from = cell(outputs, query, padded);
    forElements(kernel, spec.headDim, 4, [&](Value d, unsigned width) {
      Value output = kernel.loadF32(Element::F32, elementAt(kernel, from, d, Element::F32), width);
      kernel.storeF32(spec.output, kernel.div(output, kernel.broadcast(divisor, width)),
                      elementAt(kernel, to, d, spec.output));
    });
    if (!spec.logSumExp)
      return;
    // The maximum is -infinity where nothing was seen.
    Value greatest = kernel.load(kernel.ops().getF32Type(), cell(maxima, query, 1), 4);
    kernel.store(kernel.add(greatest, logarithm(kernel, divisor)), cell(kernel.operand(6), place, 1), 4);
  });
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const AttentionSpec &spec) {
  const unsigned queryBytes = bytesOf(spec.queries), outputBytes = bytesOf(spec.output);
  llvm::SmallVector<OperandInfo> operands = {{.alignment = queryBytes, .noalias = false},
                                             {.alignment = 4},
                                             {.alignment = 4},
                                             {.alignment = 4},
                                             {.alignment = 64},
                                             {.alignment = outputBytes, .written = true, .noalias = false}};
  if (spec.logSumExp)
    operands.push_back({.alignment = 4, .written = true});
  KernelBuilder kernel(module, variant, name, operands);
  AttentionEmitter(kernel, spec).emit();
  kernel.finish();
  return describe(kernel, name, 1, spec.kvHeads);
}
