// Positions, the cache, and attention over it.
#include "codegen/reference/Emitter.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

static constexpr double infinity = std::numeric_limits<double>::infinity();

static Value exp(Emitter &e, Value x) { return math::ExpOp::create(e.b, e.loc, x); }
static Value log(Emitter &e, Value x) { return math::LogOp::create(e.b, e.loc, x); }

static void lower(RopeTableOp op, Emitter &e) {
  Value positions = e.get(op.getPositions()), frequencies = e.get(op.getFrequencies());
  int64_t count = op.getFrequencies().getType().getDimSize(0);
  Value factor = e.f32(op.getFactorAttr().getValueAsDouble());
  Value result = e.empty(op.getInit());
  result = e.loop1(e.dim(result, 0), result, [&](Value row, Value perRow) {
    return e.loop1(e.index(count), perRow, [&](Value i, Value tensor) {
      Value position = tensor::ExtractOp::create(e.b, e.loc, positions, ValueRange{row});
      Value asFloat = arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), position);
      Value angle = e.mul(asFloat, e.load(frequencies, {i}));
      Value cos = math::CosOp::create(e.b, e.loc, angle), sin = math::SinOp::create(e.b, e.loc, angle);
      tensor = e.insert(e.mul(factor, cos), tensor, {row, i});
      return e.insert(e.mul(factor, sin), tensor, {row, e.addIndex(i, e.index(count))});
    });
  });
  e.mapping.map(op.getResult(), result);
}

namespace {

/// The two features of a pair after rotation.
using Pair = std::pair<Value, Value>;

} // namespace

/// Rotates the features `i` and `half + i` of a head by the angle `i` of `row`.
static Pair rotate(Emitter &e, Value table, Value row, Value i, int64_t half, Value low, Value high) {
  Value cos = e.load(table, {row, i}), sin = e.load(table, {row, e.addIndex(i, e.index(half))});
  return {e.sub(e.mul(low, cos), e.mul(high, sin)), e.add(e.mul(high, cos), e.mul(low, sin))};
}

static void lower(RopeOp op, Emitter &e) {
  Value input = e.get(op.getInput()), table = e.get(op.getTable());
  int64_t size = op.getTable().getType().getDimSize(1), half = size / 2;
  int64_t heads = op.getInput().getType().getDimSize(1) / size;
  Value result = e.empty(op.getInit());
  result = e.loop1(e.dim(result, 0), result, [&](Value row, Value perRow) {
    return e.loop1(e.index(heads), perRow, [&](Value head, Value perHead) {
      return e.loop1(e.index(half), perHead, [&](Value i, Value tensor) {
        Value low = e.addIndex(e.mulIndex(head, size), i), high = e.addIndex(low, e.index(half));
        Pair rotated = rotate(e, table, row, i, half, e.load(input, {row, low}), e.load(input, {row, high}));
        tensor = e.insert(rotated.first, tensor, {row, low});
        return e.insert(rotated.second, tensor, {row, high});
      });
    });
  });
  e.mapping.map(op.getResult(), result);
}

/// Emits `body(row, sequence, slot)` for every row that has a slot.
static void forKeptRows(Emitter &e, Value batch, function_ref<void(Value, Value, Value)> body) {
  Value sequences = e.getAll(batch)[Sequences], slots = e.getAll(batch)[Slots];
  e.loop(e.dim(slots, 0), {}, [&](Value row, ValueRange) -> SmallVector<Value> {
    Value slot = e.loadIndex(slots, row), sequence = e.loadIndex(sequences, row);
    Value kept = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, slot, e.index(0));
    scf::IfOp::create(e.b, e.loc, kept, [&](OpBuilder &, Location) {
      body(row, sequence, slot);
      scf::YieldOp::create(e.b, e.loc);
    });
    return {};
  });
}

static void lower(KvAppendOp op, Emitter &e) {
  KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
  Value plane = e.index(op.getPlane());
  Value keys = e.getKeys(op.getCache(), op.getGroupAttr()), values = e.getValues(op.getCache(), op.getGroupAttr());
  Value newKeys = e.get(op.getKeys()), newValues = e.get(op.getValues());
  forKeptRows(e, op.getBatch(), [&](Value row, Value sequence, Value slot) {
    e.loop(e.index(group.getHeads()), {}, [&](Value head, ValueRange) -> SmallVector<Value> {
      e.loop(e.index(group.getHeadDim()), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
        Value column = e.addIndex(e.mulIndex(head, group.getHeadDim()), i);
        e.store(e.load(newKeys, {row, column}), keys, {plane, sequence, slot, head, i});
        e.store(e.load(newValues, {row, column}), values, {plane, sequence, slot, head, i});
        return {};
      });
      return {};
    });
  });
  e.setAll(op.getResult(), e.getAll(op.getCache()));
}

/// Splits the rows of `input` into heads as `op` says; with scales, head norms come first.
template <typename OpTy>
static void splitHeads(OpTy op, Value input, Value queryScale, Value keyScale, double eps, Emitter &e) {
  KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
  Value plane = e.index(op.getPlane());
  Value table = op.getTable() ? e.get(op.getTable()) : Value();
  Value keys = e.getKeys(op.getCache(), op.getGroupAttr()), values = e.getValues(op.getCache(), op.getGroupAttr());
  int64_t size = group.getHeadDim(), half = size / 2;
  int64_t queryColumns = op.getInit().getType().getDimSize(1);

  // Norms and rotates, where that is asked for, the head that begins at column `begin`; `write` takes each pair.
  auto headOf = [&](Value row, Value begin, Value scale, Value carried,
                    function_ref<Value(Value, Pair, Value)> write) -> SmallVector<Value> {
    Value inverse;
    if (scale)
      inverse = e.inverseRms(size, eps, [&](Value i) { return e.load(input, {row, e.addIndex(begin, i)}); });
    auto feature = [&](Value i) {
      Value x = e.load(input, {row, e.addIndex(begin, i)});
      return scale ? e.mul(e.mul(x, inverse), e.load(scale, {i})) : x;
    };
    return e.loop(e.index(half), carried ? ValueRange(carried) : ValueRange(),
                  [&](Value i, ValueRange tensors) -> SmallVector<Value> {
                    Value high = e.addIndex(i, e.index(half));
                    Pair pair = {feature(i), feature(high)};
                    if (table)
                      pair = rotate(e, table, row, i, half, pair.first, pair.second);
                    Value written = write(i, pair, tensors.empty() ? Value() : tensors.front());
                    return written ? SmallVector<Value>{written} : SmallVector<Value>{};
                  });
  };

  Value result = e.empty(op.getInit());
  result = e.loop1(e.dim(result, 0), result, [&](Value row, Value perRow) {
    return e.loop1(e.index(queryColumns / size), perRow, [&](Value head, Value perHead) {
      Value begin = e.mulIndex(head, size);
      return headOf(row, begin, queryScale, perHead,
                    [&](Value i, Pair pair, Value tensor) {
                      Value low = e.addIndex(begin, i), high = e.addIndex(low, e.index(half));
                      return e.insert(pair.second, e.insert(pair.first, tensor, {row, low}), {row, high});
                    })
          .front();
    });
  });
  e.mapping.map(op.getQueries(), result);

  forKeptRows(e, op.getBatch(), [&](Value row, Value sequence, Value slot) {
    e.loop(e.index(group.getHeads()), {}, [&](Value head, ValueRange) -> SmallVector<Value> {
      Value keyBegin = e.addIndex(e.mulIndex(head, size), e.index(queryColumns));
      headOf(row, keyBegin, keyScale, {}, [&](Value i, Pair pair, Value) {
        e.store(pair.first, keys, {plane, sequence, slot, head, i});
        e.store(pair.second, keys, {plane, sequence, slot, head, e.addIndex(i, e.index(half))});
        return Value();
      });
      Value valueBegin = e.addIndex(keyBegin, e.index(group.getHeads() * size));
      e.loop(e.index(size), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
        e.store(e.load(input, {row, e.addIndex(valueBegin, i)}), values, {plane, sequence, slot, head, i});
        return {};
      });
      return {};
    });
  });
  e.setAll(op.getResult(), e.getAll(op.getCache()));
}

static void lower(RopeAppendOp op, Emitter &e) {
  Value queryScale = op.getQueryScale() ? e.get(op.getQueryScale()) : Value();
  Value keyScale = op.getKeyScale() ? e.get(op.getKeyScale()) : Value();
  splitHeads(op, e.get(op.getInput()), queryScale, keyScale, op.getEpsAttr().getValueAsDouble(), e);
}

static void lower(LinearRopeAppendOp op, Emitter &e) {
  Value input = e.get(op.getInput()), weight = e.get(op.getWeight());
  Value bias = op.getBias() ? e.get(op.getBias()) : Value();
  const int64_t shape[] = {ShapedType::kDynamic, op.getWeight().getType().getDimSize(0)};
  Value sums = tensor::EmptyOp::create(e.b, e.loc, shape, e.b.getF32Type(), ValueRange{e.dim(input, 0)});
  sums = e.fillNew(sums, [&](Value row, Value column) { return e.product(input, weight, bias, row, column); });
  splitHeads(op, sums, /*queryScale=*/Value(), /*keyScale=*/Value(), /*eps=*/0, e);
}

/// The keys [first, end) that a row sees.
static Pair keysOf(Emitter &e, AttentionOp op, Value row) {
  ArrayRef<Value> work = e.getAll(op.getWork());
  Value sequences = work[0], indices = work[1], lengths = work[2];
  MaskRange range = cast<MaskAttrInterface>(op.getWork().getDefiningOp<WorkListOp>().getMask()).getRange();
  Value position = e.loadIndex(indices, row), length = e.loadIndex(lengths, e.loadIndex(sequences, row));
  Value first = e.index(0), end = length;
  if (range.behind)
    first = arith::MaxSIOp::create(e.b, e.loc, e.addIndex(position, e.index(1 - *range.behind)), first);
  if (range.ahead)
    end = arith::MinSIOp::create(e.b, e.loc, e.addIndex(position, e.index(1 + *range.ahead)), end);
  return {first, end};
}

static void lower(AttentionOp op, Emitter &e) {
  KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
  Value plane = e.index(op.getPlane()), queries = e.get(op.getQueries());
  Value keys = e.getKeys(op.getCache(), op.getGroupAttr()), values = e.getValues(op.getCache(), op.getGroupAttr());
  Value sequences = e.getAll(op.getWork())[0];
  int64_t size = group.getHeadDim(), heads = op.getQueries().getType().getDimSize(1) / size;
  Value scale = e.f32(op.getScaleAttr().getValueAsDouble()), none = e.f32(-infinity), zero = e.f32(0);

  // The scores of one row and head; then their exponentials.
  Value context = memref::DimOp::create(e.b, e.loc, keys, 2);
  auto scratchType = MemRefType::get({ShapedType::kDynamic}, e.b.getF32Type());
  Value scores = memref::AllocOp::create(e.b, e.loc, scratchType, ValueRange{context});

  SmallVector<Value> results = {e.empty(op.getInit())};
  if (op.getLseInit())
    results.push_back(e.empty(op.getLseInit()));
  auto perHead = [&](Value row, Value head, ValueRange tensors) -> SmallVector<Value> {
    Value sequence = e.loadIndex(sequences, row);
    auto [first, end] = keysOf(e, op, row);
    Value begin = first;
    Value count = arith::SubIOp::create(e.b, e.loc, end, begin);
    auto keyOf = [&](Value j) { return e.addIndex(begin, j); };
    Value keyHead = e.divIndex(head, heads / group.getHeads()), column = e.mulIndex(head, size);
    Value maximum = e.loop1(count, none, [&](Value j, Value greatest) -> Value {
      Value product = e.dot(e.index(size), [&](Value i) {
        return Pair(e.load(queries, {row, e.addIndex(column, i)}),
                    e.load(keys, {plane, sequence, keyOf(j), keyHead, i}));
      });
      Value score = e.mul(scale, product);
      memref::StoreOp::create(e.b, e.loc, score, scores, ValueRange{j});
      return arith::MaximumFOp::create(e.b, e.loc, greatest, score);
    });
    Value total = e.loop1(count, zero, [&](Value j, Value sum) {
      Value weight = exp(e, e.sub(e.load(scores, {j}), maximum));
      memref::StoreOp::create(e.b, e.loc, weight, scores, ValueRange{j});
      return e.add(sum, weight);
    });
    Value any = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, count, e.index(0));
    Value tensor = e.loop1(e.index(size), tensors.front(), [&](Value i, Value tensor) {
      Value weighted = e.dot(count, [&](Value j) {
        return Pair(e.load(scores, {j}), e.load(values, {plane, sequence, keyOf(j), keyHead, i}));
      });
      Value mean = arith::SelectOp::create(e.b, e.loc, any, e.div(weighted, total), zero);
      return e.insert(mean, tensor, {row, e.addIndex(column, i)});
    });
    if (tensors.size() == 1)
      return {tensor};
    // Without keys this is -infinity + log(0).
    return {tensor, e.insert(e.add(maximum, log(e, total)), tensors[1], {row, head})};
  };
  results = e.loop(e.dim(results.front(), 0), results, [&](Value row, ValueRange perRow) {
    return e.loop(e.index(heads), perRow, [&](Value head, ValueRange tensors) { return perHead(row, head, tensors); });
  });
  memref::DeallocOp::create(e.b, e.loc, scores);
  e.mapping.map(op.getResult(), results.front());
  if (op.getLseInit())
    e.mapping.map(op.getLogSumExp(), results.back());
}

static void lower(AttentionMergeOp op, Emitter &e) {
  Value lhs = e.get(op.getLhs()), rhs = e.get(op.getRhs());
  Value lhsLse = e.get(op.getLhsLse()), rhsLse = e.get(op.getRhsLse());
  int64_t heads = op.getLhsLse().getType().getDimSize(1), size = op.getLhs().getType().getDimSize(1) / heads;
  SmallVector<Value> results = {e.empty(op.getInit()), e.empty(op.getLseInit())};
  Value none = e.f32(-infinity), zero = e.f32(0);
  auto perHead = [&](Value row, Value head, ValueRange tensors) -> SmallVector<Value> {
    Value l = e.load(lhsLse, {row, head}), r = e.load(rhsLse, {row, head});
    Value m = arith::MaximumFOp::create(e.b, e.loc, l, r);
    Value empty = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, m, none);
    Value a = exp(e, e.sub(l, m)), b = exp(e, e.sub(r, m)), both = e.add(a, b);
    Value tensor = e.loop1(e.index(size), tensors[0], [&](Value i, Value tensor) {
      Value column = e.addIndex(e.mulIndex(head, size), i);
      Value sum = e.add(e.mul(a, e.load(lhs, {row, column})), e.mul(b, e.load(rhs, {row, column})));
      Value merged = arith::SelectOp::create(e.b, e.loc, empty, zero, e.div(sum, both));
      return e.insert(merged, tensor, {row, column});
    });
    Value lse = arith::SelectOp::create(e.b, e.loc, empty, none, e.add(m, log(e, both)));
    return {tensor, e.insert(lse, tensors[1], {row, head})};
  };
  results = e.loop(e.dim(results.front(), 0), results, [&](Value row, ValueRange perRow) {
    return e.loop(e.index(heads), perRow, [&](Value head, ValueRange tensors) { return perHead(row, head, tensors); });
  });
  e.mapping.map(op.getResult(), results[0]);
  e.mapping.map(op.getLogSumExp(), results[1]);
}

LogicalResult reference::lowerAttentionOp(Operation *op, Emitter &emitter) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<RopeTableOp, RopeOp, KvAppendOp, RopeAppendOp, LinearRopeAppendOp, AttentionOp, AttentionMergeOp>(
          [&](auto op) {
            lower(op, emitter);
            return success();
          })
      .Default(failure());
}
