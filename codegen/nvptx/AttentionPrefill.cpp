//===- AttentionPrefill.cpp - attention of several rows -------------------===//
//
// "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning": a block takes up to 64 rows of a
// query head, a warp 16 of them, and tiles of keys and values pass through shared memory. Each warp keeps its rows'
// queries, greatest scores, totals and outputs in registers. Tiles that no row sees are not visited; scores are masked
// in tiles that some row of the warp sees in part. Keys and values outside the item's range arrive as zeros.
//
// Keys and values each have a ring of two tiles, and copies are three tiles ahead:
//
//     wait for keys i; all are through with values i - 1; begin to copy values i + 1; scores, weights;
//     wait for values i; all are through with keys i; begin to copy keys i + 2; outputs
//
// Lane 4 g + t has rows g and g + 8 and columns 2t, 2t + 1 of each 16 x 8 product. Rows of tiles in shared memory are
// an odd number of 16 bytes apart, so that the 8 rows of a matrix lie in different banks.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Attention.h"

#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;
using Values = KernelBuilder::Values;
using Four = std::array<Value, 4>;

/// Keys of a tile: as many as leave room for two blocks on a multiprocessor (163 KiB of shared memory on sm_80, 99 on
/// sm_86 and sm_89) and in their registers.
static int64_t tileKeys(const Variant &variant, int64_t headDim) {
  return headDim <= (variant.architecture == 80 ? 128 : 64) ? 64 : 32;
}

namespace {

constexpr int64_t warps = 4, warpRows = 16;
/// Features of queries that stay in registers beside the outputs; a thread keeps its numbers of the rest in shared
/// memory.
constexpr int64_t heldFeatures = 192;

class PrefillEmitter {
public:
  PrefillEmitter(gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const AttentionSpec &spec);
  LaunchAttr emit();

private:
  void takeItem();
  void loadQueries();
  /// The A operand of 16 features of the queries.
  Values queryOf(int64_t feature);
  /// Pages of the tile at a key.
  Values pagesOf(Value key);
  /// Begins to copy keys, or values, of the tile at a key into the half of their ring that it is for.
  void copyTile(bool values, Value key, ValueRange pages);
  /// Where that is.
  Value tileAt(bool values, Value key);
  /// The warp's queries times the tile's keys.
  Values scoresOf(Value key);
  /// Those that a row does not see become -infinity.
  Values mask(Value key, Values scores);
  /// Turns scores into weights and brings greatest scores and totals up to date; gives what the outputs shrink by.
  std::array<Value, 2> weigh(Values &scores, Values &greatest, Values &totals);
  void addValues(Value key, const Values &weights, Values &sums);
  void storeRows(ValueRange greatest, ValueRange totals, ValueRange sums);
  /// Bytes of what the block keeps of 16 features.
  int64_t keptBytes() const { return 16 * kernel.threads(); }
  Value keptAt(int64_t feature) { return kernel.at(kept, kernel.i32((feature - heldFeatures) / 16 * keptBytes())); }
  /// Row of the item that is row g + 8 half of the warp.
  Value rowOf(int64_t half) { return kernel.add(kernel.add(kernel.mul(kernel.warp(), warpRows), laneRow), 8 * half); }

  AttentionBuilder kernel;
  const AttentionSpec &spec;
  /// Keys of a tile; bytes between its rows in shared memory and of the whole.
  const int64_t keys, pitch, tileBytes;
  /// Threads that copy a row, rows that are copied at once, and rows that one look-up of a page serves.
  const int64_t rowThreads, copyRows, pageRows;
  /// The items that it takes.
  const LaunchWhen when;
  /// t and g.
  Value lanePart, laneRow;
  /// Shared memory: two tiles of keys, two of values; the thread's part of queries.
  Value ring, kept;
  /// The item's keys, from the start of the first tile.
  Value first, begin, end, head, keyHead;
  /// Of rows g and g + 8: the keys that each sees.
  std::array<Value, 2> rowFirst, rowEnd;
  /// A operands of the queries that stay in registers.
  Values query;
};

} // namespace

PrefillEmitter::PrefillEmitter(gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                               const AttentionSpec &spec)
    : kernel(module, name, spec, 32 * warps,
             /*blocks=*/spec.headDim > 128 ? 1
             : spec.headDim > 64           ? 2
                                           : 3,
             /*scratch=*/!variant.invariant),
      spec(kernel.spec), keys(tileKeys(variant, spec.headDim)), pitch(kernel.keyBytes() + 16),
      tileBytes(llvm::alignTo(keys * pitch, 128)),
      rowThreads(std::min<int64_t>(spec.headDim / 8 & -(spec.headDim / 8), 32)), copyRows(32 * warps / rowThreads),
      pageRows(spec.pageSize % keys == 0 ? keys : std::min(keys, std::max<int64_t>(16, copyRows))),
      when(variant.invariant ? LaunchWhen::Always : LaunchWhen::SeveralRows), lanePart(kernel.rem(kernel.lane(), 4)),
      laneRow(kernel.div(kernel.lane(), 4)) {
  assert(variant.attentionTile <= warps * warpRows && "an item must fit its block");
}

LaunchAttr PrefillEmitter::emit() {
  ring = kernel.reserveShared(4 * tileBytes);
  if (spec.headDim > heldFeatures)
    kept = kernel.at(kernel.reserveShared((spec.headDim - heldFeatures) / 16 * keptBytes()),
                     kernel.mul(kernel.thread(), 16));
  // Later items see more keys: they go first.
  Value item = kernel.sub(kernel.sub(kernel.rows(), kernel.i32(1)), kernel.div(kernel.block(), spec.queryHeads));
  kernel.ifThen(kernel.compare(arith::CmpIPredicate::sge, item, kernel.i32(0)),
                [&] { kernel.withItem(item, when, [&] { takeItem(); }); });
  return kernel.finish({.columns = spec.queryHeads, .when = when});
}

void PrefillEmitter::takeItem() {
  head = kernel.rem(kernel.block(), spec.queryHeads);
  keyHead = kernel.div(head, kernel.group);
  Value lastRow = kernel.sub(kernel.add(kernel.position, kernel.rowCount), kernel.i32(1));
  first = kernel.firstKey(kernel.position);
  begin = kernel.mul(kernel.div(first, keys), keys);
  end = kernel.endKey(lastRow);
  for (int64_t half = 0; half < 2; ++half) {
    Value position = kernel.add(kernel.position, rowOf(half));
    rowFirst[half] = kernel.firstKey(position);
    rowEnd[half] = kernel.endKey(position);
  }
  Values pages = pagesOf(begin), nextPages = pagesOf(kernel.add(begin, keys));
  copyTile(false, begin, pages);
  copyTile(true, begin, pages);
  copyTile(false, kernel.add(begin, keys), nextPages);
  loadQueries();

  const size_t pageCount = nextPages.size();
  const float infinity = std::numeric_limits<float>::infinity();
  Values state(2, kernel.f32(-infinity));
  state.append(2 + spec.headDim / 2, kernel.f32(0));
  state.append(nextPages);
  state = kernel.loop(begin, end, keys, state, [&](Value key, ValueRange carried) {
    Values greatest(carried.take_front(2)), totals(carried.slice(2, 2)), sums(carried.slice(4, spec.headDim / 2));
    Value next = kernel.add(key, keys), afterNext = kernel.add(next, keys);
    Values pages = pagesOf(afterNext);
    kernel.waitCopies(2);
    kernel.barrier();
    copyTile(true, next, carried.take_back(pageCount));
    Values weights = mask(key, scoresOf(key));
    std::array<Value, 2> shrink = weigh(weights, greatest, totals);
    for (auto [number, sum] : llvm::enumerate(sums))
      sum = kernel.mul(sum, shrink[number % 4 / 2]);
    kernel.waitCopies(2);
    kernel.barrier();
    copyTile(false, afterNext, pages);
    addValues(key, weights, sums);
    Values result(greatest);
    result.append(totals);
    result.append(sums);
    result.append(pages);
    return result;
  });
  // No copy outlives the block.
  kernel.waitCopies(0);
  ValueRange results(state);
  storeRows(results.take_front(2), results.slice(2, 2), results.slice(4, spec.headDim / 2));
}

// Rows beyond the item's repeat its last one.
void PrefillEmitter::loadQueries() {
  Value rows[2];
  for (int64_t half = 0; half < 2; ++half) {
    Value row = kernel.min(rowOf(half), kernel.sub(kernel.rowCount, kernel.i32(1)));
    Value address = kernel.rowHead(kernel.queries, kernel.add(kernel.rowBegin, row), head);
    rows[half] = kernel.atIndex(address, lanePart, 2 * bytesOf(spec.queries));
  }
  query.clear();
  for (int64_t feature = 0; feature < spec.headDim; feature += 16) {
    Values operand;
    for (int64_t at : {feature, feature + 8})
      for (Value row : rows)
        llvm::append_range(operand, kernel.queryPairs(kernel.at(row, at * bytesOf(spec.queries)), 2));
    if (feature < heldFeatures)
      query.append(operand);
    else
      kernel.store16(operand, keptAt(feature));
  }
}

Values PrefillEmitter::queryOf(int64_t feature) {
  if (feature < heldFeatures)
    return Values(llvm::ArrayRef(query).slice(feature / 4, 4));
  Four operand = kernel.load16(keptAt(feature));
  return Values(llvm::ArrayRef(operand));
}

Values PrefillEmitter::pagesOf(Value key) {
  Values pages;
  Value last = kernel.max(kernel.sub(end, kernel.i32(1)), kernel.i32(0));
  Value ownRow = kernel.div(kernel.thread(), rowThreads);
  for (int64_t row = 0; row < keys; row += pageRows) {
    Value at = kernel.add(key, row);
    if (pageRows < keys || spec.pageSize % keys)
      at = kernel.add(at, ownRow);
    pages.push_back(kernel.pageOf(kernel.min(at, last)));
  }
  return pages;
}

Value PrefillEmitter::tileAt(bool values, Value key) {
  Value odd = kernel.rem(kernel.div(key, keys), 2);
  return kernel.at(ring, kernel.add(kernel.mul(odd, tileBytes), values ? 2 * tileBytes : 0));
}

void PrefillEmitter::copyTile(bool values, Value key, ValueRange pages) {
  Value ownRow = kernel.div(kernel.thread(), rowThreads), ownPiece = kernel.rem(kernel.thread(), rowThreads);
  Value to = kernel.at(tileAt(values, key), kernel.add(kernel.mul(ownRow, pitch), kernel.mul(ownPiece, 16)));
  auto copy = [&] {
    Value from;
    for (int64_t row = 0; row < keys; row += copyRows) {
      Value own = kernel.add(kernel.add(key, row), ownRow);
      if (row % pageRows == 0)
        from = kernel.atIndex(kernel.keyIn(pages[row / pageRows], keyHead, own), ownPiece, 16);
      Value seen = kernel.less(own, end);
      if (spec.behind)
        seen = kernel.bitAnd(seen, kernel.compare(arith::CmpIPredicate::sge, own, first));
      Value bytes = kernel.select(seen, kernel.i32(16), kernel.i32(0));
      const int64_t source = row % pageRows * kernel.keyBytes() + (values ? kernel.layout.partBytes() : 0);
      for (int64_t piece = 0; piece < spec.headDim / 8; piece += rowThreads)
        kernel.copyAsync(kernel.at(to, kernel.i32(row * pitch + 16 * piece)), kernel.at(from, source + 16 * piece),
                         bytes);
    }
  };
  if (copyRows > keys)
    kernel.ifThen(kernel.less(ownRow, kernel.i32(keys)), copy);
  else
    copy();
  kernel.commitCopies();
}

Values PrefillEmitter::scoresOf(Value key) {
  // Lanes give rows of the matrices keys 0 … 7, features 0 … 7; keys 0 … 7, features 8 … 15; then keys 8 … 15.
  Value lane = kernel.lane();
  Value row = kernel.add(kernel.rem(lane, 8), kernel.mul(kernel.div(lane, 16), 8));
  Value column = kernel.rem(kernel.div(lane, 8), 2);
  Value tile = kernel.at(tileAt(false, key), kernel.add(kernel.mul(row, pitch), kernel.mul(column, 16)));
  Values scores(keys / 2, kernel.f32(0));
  for (int64_t feature = 0; feature < spec.headDim; feature += 16) {
    Values a = queryOf(feature);
    for (int64_t at = 0; at < keys; at += 16) {
      Four b = kernel.loadMatrices(kernel.at(tile, kernel.i32(at * pitch + 2 * feature)));
      for (int64_t half = 0; half < 2; ++half) {
        auto sum = llvm::MutableArrayRef(scores).slice(at / 2 + 4 * half, 4);
        llvm::copy(kernel.multiply(spec.cache, a, llvm::ArrayRef(b).slice(2 * half, 2), sum), sum.begin());
      }
    }
  }
  return scores;
}

Values PrefillEmitter::mask(Value key, Values scores) {
  // What all rows of the warp see; later rows end later and begin later.
  Value warpFirst = kernel.add(kernel.position, kernel.mul(kernel.warp(), warpRows));
  Value some = kernel.less(kernel.endKey(warpFirst), kernel.add(key, keys));
  if (spec.behind)
    some = kernel.bitOr(some, kernel.less(key, kernel.firstKey(kernel.add(warpFirst, warpRows - 1))));
  llvm::SmallVector<Type> types(scores.size(), kernel.ops().getF32Type());
  return kernel.ifElse(
      some, types,
      [&] {
        Values masked;
        Value own = kernel.add(key, kernel.mul(lanePart, 2));
        for (auto [index, score] : llvm::enumerate(scores)) {
          const int64_t half = index % 4 / 2;
          Value number = kernel.add(own, index / 4 * 8 + index % 2);
          Value seen = kernel.less(number, rowEnd[half]);
          if (spec.behind)
            seen = kernel.bitAnd(seen, kernel.compare(arith::CmpIPredicate::sge, number, rowFirst[half]));
          masked.push_back(kernel.select(seen, score, kernel.f32(-std::numeric_limits<float>::infinity())));
        }
        return masked;
      },
      [&] { return scores; });
}

// Where a row sees nothing of a tile its state stays as it is to the bit.
std::array<Value, 2> PrefillEmitter::weigh(Values &scores, Values &greatest, Values &totals) {
  Value scale = kernel.f32(kernel.exponent);
  std::array<Value, 2> shrink, shift;
  for (size_t half = 0; half < 2; ++half) {
    Value best = greatest[half];
    for (auto [index, score] : llvm::enumerate(scores))
      if (index % 4 / 2 == half)
        best = kernel.greater(best, score);
    for (unsigned mask : {1, 2})
      best = kernel.greater(best, kernel.shuffleXor(best, mask));
    shift[half] = kernel.neg(kernel.finiteOr0(kernel.mul(best, scale)));
    shrink[half] = kernel.exp2(kernel.add(kernel.mul(greatest[half], scale), shift[half]));
    totals[half] = kernel.mul(totals[half], shrink[half]);
    greatest[half] = best;
  }
  for (auto [index, score] : llvm::enumerate(scores)) {
    const size_t half = index % 4 / 2;
    score = kernel.exp2(kernel.fma(score, scale, shift[half]));
    totals[half] = kernel.add(totals[half], score);
  }
  return shrink;
}

void PrefillEmitter::addValues(Value key, const Values &weights, Values &sums) {
  // Lanes give rows of the matrices keys 0 … 7, features 0 … 7; keys 8 … 15, features 0 … 7; then features 8 … 15.
  Value lane = kernel.lane();
  Value row = kernel.rem(lane, 16), column = kernel.div(lane, 16);
  Value tile = kernel.at(tileAt(true, key), kernel.add(kernel.mul(row, pitch), kernel.mul(column, 16)));
  for (int64_t at = 0; at < keys; at += 16) {
    Value a[4];
    for (int64_t i = 0; i < 4; ++i)
      a[i] = kernel.pack(spec.cache, weights[at / 2 + 2 * i], weights[at / 2 + 2 * i + 1]);
    for (int64_t feature = 0; feature < spec.headDim; feature += 16) {
      Four b = kernel.loadMatrices(kernel.at(tile, kernel.i32(at * pitch + 2 * feature)), /*transposed=*/true);
      for (int64_t half = 0; half < 2; ++half) {
        auto sum = llvm::MutableArrayRef(sums).slice(feature / 2 + 4 * half, 4);
        llvm::copy(kernel.multiply(spec.cache, a, llvm::ArrayRef(b).slice(2 * half, 2), sum), sum.begin());
      }
    }
  }
}

void PrefillEmitter::storeRows(ValueRange greatest, ValueRange totals, ValueRange sums) {
  const int64_t bytes = bytesOf(spec.output);
  for (int64_t half = 0; half < 2; ++half) {
    Value total = kernel.sumLanes(totals[half], 4);
    kernel.ifThen(kernel.less(rowOf(half), kernel.rowCount), [&] {
      Value inverse = kernel.inverse(total), row = kernel.add(kernel.rowBegin, rowOf(half));
      Value to = kernel.atIndex(kernel.rowHead(kernel.output, row, head), lanePart, 2 * bytes);
      for (int64_t feature = 0; feature < spec.headDim; feature += 8) {
        Value low = kernel.mul(sums[feature / 2 + 2 * half], inverse);
        Value high = kernel.mul(sums[feature / 2 + 2 * half + 1], inverse);
        Value at = kernel.at(to, feature * bytes);
        if (spec.output != Element::F32) {
          kernel.store(kernel.pack(spec.output, low, high), at, 4);
          continue;
        }
        kernel.store(low, at, 4);
        kernel.store(high, kernel.at(at, 4), 4);
      }
      if (spec.logSumExp)
        kernel.ifThen(kernel.compare(arith::CmpIPredicate::eq, lanePart, kernel.i32(0)), [&] {
          kernel.storeLogSumExp(row, head, kernel.mul(greatest[half], kernel.f32(kernel.exponent)), total);
        });
    });
  }
}

LaunchAttr kerf::nvptx::emitPrefill(gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                                    const AttentionSpec &spec) {
  return PrefillEmitter(module, variant, (name + "_prefill").str(), spec).emit();
}
