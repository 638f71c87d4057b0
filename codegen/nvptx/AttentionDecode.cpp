//===- AttentionDecode.cpp - attention of single rows ---------------------===//
//
// The keys of a row are cut into pieces at positions that depend on the row alone; a block takes one of them for a key
// head and up to 8 of the query heads that share it, and a second launch joins the pieces ("Flash-Decoding for
// long-context inference"). In a block each warp takes every fourth run of 16 keys, with the online softmax of
// "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", and the warps are joined as the
// pieces are.
//
// Keys and values go from memory into operands of mma.m16n8k16 as they lie, 16 bytes a lane. Lane 4 g + t is at row or
// column g of an operand and at its numbers 2t, 2t + 1, 2t + 8 and 2t + 9 along the contraction.
//
//     scores  = queries · keysᵀ     rows: heads (8 of 16), columns: keys, contraction: features, permuted alike on both
//                                   sides so that a lane's numbers are neighbours
//     outputs = valuesᵀ · weightsᵀ  rows: features, permuted so that a lane's are neighbours; columns: heads;
//                                   contraction: keys, so that the scores lie as the second operand wants them
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

namespace {

constexpr int64_t warps = 4, run = 16, stride = warps * run;
static_assert(stride == pieceStep, "warps take turns from the start of a piece");

using Pieces = AttentionBuilder::Pieces;

/// Blocks that take turns at the pieces of a row: fewer where there are many rows, so that each has something to do.
/// For up to `most` rows by parts of them (key heads by chunks of query heads). The bits are the same.
struct Turns {
  const char *suffix;
  int64_t blocks, most;
};
constexpr Turns table[] = {{"_decode", mostPieces, 64}, {"_decode_some", 4, 256}, {"_decode_many", 1, UINT32_MAX}};

class DecodeEmitter {
public:
  DecodeEmitter(gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec, int64_t turns)
      : kernel(module, name, spec, 32 * warps, /*blocks=*/spec.headDim > 128 ? 2 : 3, /*scratch=*/true),
        spec(kernel.spec), turns(turns), groupTiles(spec.headDim > 192 ? 4 : 8),
        chunks(llvm::divideCeil(kernel.group, headsTogether)), chunkHeads(llvm::divideCeil(kernel.group, chunks)),
        lanePart(kernel.rem(kernel.lane(), 4)), laneRow(kernel.div(kernel.lane(), 4)) {
    // A run of features of which a lane has 8, 4 or 2 neighbours.
    for (int64_t feature = 0; feature < spec.headDim;) {
      const int64_t each = std::min<int64_t>(8, llvm::bit_floor(uint64_t(spec.headDim - feature)) / 8);
      for (int64_t word = 0; word < each / 2; ++word)
        featureTiles.push_back({feature, each, word});
      feature += 8 * each;
    }
  }
  LaunchAttr emit(int64_t leastRows, int64_t mostRows);

private:
  /// 16 rows of the second product: rows g and g + 8 are features first + each * g + 2 * word and the next one.
  struct FeatureTile {
    int64_t first, each, word;
  };
  void takePiece(const Pieces &pieces, Value begin, Value end);
  Values loadKeys(Value address, Value key, const Pieces &pieces);
  std::array<Values, 4> loadValues(Value address, Value key, const Pieces &pieces, llvm::ArrayRef<FeatureTile> tiles);
  /// Offset of a key of the run at `key`, of those that the row sees the nearest one.
  Value offsetOf(Value inRun, Value key, const Pieces &pieces);
  void join(const Pieces &pieces, Value piece);
  Value chunkHead(Value number) { return kernel.add(kernel.mul(chunk, chunkHeads), number); }
  Value sumsAt(Value warp, Value head, Value feature);
  Value statesAt(Value warp, Value head) {
    return kernel.at(states, kernel.mul(kernel.add(kernel.mul(warp, headsTogether), head), 8));
  }

  AttentionBuilder kernel;
  const AttentionSpec &spec;
  /// Blocks that take turns at the pieces of a row.
  const int64_t turns;
  /// Tiles of features whose values are loaded together, as many as registers allow; whole loads of 16 bytes.
  const size_t groupTiles;
  /// Blocks that share the query heads of a key head, and the heads of each.
  const int64_t chunks, chunkHeads;
  /// t and g.
  Value lanePart, laneRow;
  llvm::SmallVector<FeatureTile> featureTiles;
  Value head, chunk;
  Values query;
  /// Shared, f32: [warps][headsTogether][headDim], and the greatest score and total of each.
  Value sums, states;
};

} // namespace

LaunchAttr DecodeEmitter::emit(int64_t leastRows, int64_t mostRows) {
  const int64_t parts = spec.kvHeads * chunks, columns = parts * turns;
  sums = kernel.reserveShared(4 * warps * headsTogether * spec.headDim);
  states = kernel.reserveShared(8 * warps * headsTogether);
  kernel.withItem(kernel.div(kernel.block(), columns), LaunchWhen::SingleRows, [&] {
    Value part = kernel.rem(kernel.div(kernel.block(), turns), parts);
    head = kernel.div(part, chunks);
    chunk = kernel.rem(part, chunks);
    Pieces pieces = kernel.piecesOf();
    auto take = [&](Value piece) {
      Value begin = kernel.add(pieces.begin, kernel.mul(piece, pieces.keys));
      takePiece(pieces, begin, kernel.min(kernel.add(begin, pieces.keys), pieces.end));
      kernel.barrier();
      join(pieces, piece);
    };
    Value first = kernel.rem(kernel.block(), turns);
    if (turns == mostPieces)
      return kernel.ifThen(kernel.less(first, pieces.count), [&] { take(first); });
    kernel.forEach(first, pieces.count, turns, [&](Value piece) {
      take(piece);
      // The next piece's sums take the place of this one's.
      kernel.barrier();
    });
  });
  return kernel.finish(
      {.columns = columns, .leastRows = leastRows, .mostRows = mostRows, .when = LaunchWhen::SingleRows, .order = 1});
}

Value DecodeEmitter::offsetOf(Value inRun, Value key, const Pieces &pieces) {
  Value last = kernel.sub(kernel.sub(pieces.end, key), kernel.i32(1));
  Value nearest = kernel.min(inRun, last);
  if (spec.behind)
    nearest = kernel.max(nearest, kernel.sub(pieces.first, key));
  return nearest;
}

// For keys g and g + 8 of the run: of each 32 features a lane's 8, of 16 at the end 4.
Values DecodeEmitter::loadKeys(Value address, Value key, const Pieces &pieces) {
  Values words;
  for (int64_t half = 0; half < 2; ++half) {
    Value inRun = offsetOf(kernel.add(laneRow, 8 * half), key, pieces);
    Value start = kernel.atIndex(address, inRun, kernel.keyBytes());
    Value wide = kernel.atIndex(start, lanePart, 16);
    for (int64_t feature = 0; feature + 32 <= spec.headDim; feature += 32)
      llvm::append_range(words, kernel.loadOnce16(kernel.at(wide, 2 * feature)));
    if (spec.headDim % 32) {
      Value narrow = kernel.at(kernel.atIndex(start, lanePart, 8), 2 * (spec.headDim - 16));
      Value pair = kernel.load(kernel.integers(32, 2), narrow, 8);
      words.append({kernel.extract(pair, 0), kernel.extract(pair, 1)});
    }
  }
  return words;
}

// For keys 2t, 2t + 1, 2t + 8 and 2t + 9 of the run a word for each tile of features.
std::array<Values, 4> DecodeEmitter::loadValues(Value address, Value key, const Pieces &pieces,
                                                llvm::ArrayRef<FeatureTile> tiles) {
  std::array<Values, 4> words;
  for (int64_t number = 0; number < 4; ++number) {
    Value inRun = offsetOf(kernel.add(kernel.mul(lanePart, 2), number % 2 + number / 2 * 8), key, pieces);
    Value start = kernel.atIndex(address, inRun, kernel.keyBytes());
    for (const FeatureTile &tile : tiles) {
      if (tile.word)
        continue;
      Value at = kernel.at(kernel.atIndex(start, laneRow, 2 * tile.each), 2 * tile.first);
      if (tile.each == 8) {
        llvm::append_range(words[number], kernel.loadOnce16(at));
      } else if (tile.each == 4) {
        Value pair = kernel.load(kernel.integers(32, 2), at, 8);
        words[number].append({kernel.extract(pair, 0), kernel.extract(pair, 1)});
      } else {
        words[number].push_back(kernel.load(kernel.ops().getI32Type(), at, 4));
      }
    }
  }
  return words;
}

void DecodeEmitter::takePiece(const Pieces &pieces, Value begin, Value end) {
  Type i32Type = kernel.ops().getI32Type();
  // Heads beyond the chunk's repeat its last one.
  Value own = kernel.min(chunkHead(laneRow), kernel.i32(kernel.group - 1));
  Value queryAt = kernel.rowHead(kernel.queries, kernel.rowBegin, kernel.add(kernel.mul(head, kernel.group), own));
  query.clear();
  for (int64_t feature = 0; feature < spec.headDim; feature += 32) {
    const int64_t each = std::min<int64_t>(8, (spec.headDim - feature) / 4);
    Value at = kernel.atIndex(queryAt, lanePart, each * bytesOf(spec.queries));
    llvm::append_range(query, kernel.queryPairs(kernel.at(at, feature * bytesOf(spec.queries)), each));
  }

  // The warp's first run that holds a key that the row sees.
  Value start = kernel.add(begin, kernel.mul(kernel.warp(), run));
  if (spec.behind) {
    Value before = kernel.compare(arith::CmpIPredicate::sle, kernel.add(start, run), pieces.first);
    start = kernel.add(start, kernel.select(before, kernel.i32(stride), kernel.i32(0)));
  }
  const size_t keyWords = spec.headDim / 4;
  llvm::SmallVector<Type> keyTypes(keyWords, i32Type);
  auto none = [&] { return Values(keyWords, kernel.i32(0)); };
  // Addresses of runs are known one turn before their keys are loaded, pages another one.
  auto pageOr0 = [&](Value key) {
    return kernel.ifElse(
        kernel.less(key, end), i32Type, [&] { return Values{kernel.pageOf(key)}; },
        [&] { return Values{kernel.i32(0)}; })[0];
  };
  Value address = kernel.keyIn(pageOr0(start), head, start);
  Values keys =
      kernel.ifElse(kernel.less(start, end), keyTypes, [&] { return loadKeys(address, start, pieces); }, none);

  const float infinity = std::numeric_limits<float>::infinity();
  Values state = {kernel.f32(-infinity), kernel.f32(0), address, pageOr0(kernel.add(start, stride))};
  const size_t firstKeys = state.size(), firstSum = firstKeys + keyWords;
  state.append(keys);
  state.append(4 * featureTiles.size(), kernel.f32(0));
  state = kernel.loop(start, end, stride, state, [&](Value key, ValueRange carried) {
    Value top = carried[0], total = carried[1], address = carried[2];
    ValueRange keys = carried.slice(firstKeys, keyWords);
    Value next = kernel.add(key, stride), nextAddress = kernel.keyIn(carried[3], head, next);
    Value pageAfter = pageOr0(kernel.add(next, stride));
    Value valueAddress = kernel.at(address, kernel.layout.partBytes());
    auto loadGroup = [&](size_t from) {
      return loadValues(valueAddress, key, pieces, llvm::ArrayRef(featureTiles).slice(from).take_front(groupTiles));
    };
    auto values = loadGroup(0);

    std::array<Value, 4> scores;
    for (int64_t half = 0; half < 2; ++half) {
      // Rows 0 … 7 of the first operand are the heads' features 0 … 15 of each 32, rows 8 … 15 the others: one sum is
      // of use in the first rows, the other in the last.
      std::array<Value, 4> low, high;
      low.fill(kernel.f32(0));
      high.fill(kernel.f32(0));
      const ValueRange own = keys.slice(half * keyWords / 2, keyWords / 2);
      for (size_t word = 0; word < own.size(); word += 4) {
        const size_t last = word + 2 < own.size() ? word + 2 : word;
        Value heads[] = {query[word], query[last], query[word + 1], query[last + 1]};
        low = kernel.multiply(spec.cache, heads, {own[word], own[word + 1]}, low);
        if (last != word)
          high = kernel.multiply(spec.cache, heads, {own[last], own[last + 1]}, high);
      }
      for (int64_t e = 0; e < 2; ++e) {
        Value number = kernel.add(kernel.add(key, 8 * half + e), kernel.mul(lanePart, 2));
        Value seen = kernel.less(number, pieces.end);
        if (spec.behind)
          seen = kernel.bitAnd(seen, kernel.compare(arith::CmpIPredicate::sge, number, pieces.first));
        scores[2 * half + e] = kernel.select(seen, kernel.add(low[e], high[2 + e]), kernel.f32(-infinity));
      }
    }
    // What follows the values in use is on its way: the rest of them, then the next run's keys.
    std::array<Values, 4> nextValues;
    Values nextKeys;
    auto loadAfter = [&](size_t group) {
      if (group < featureTiles.size())
        nextValues = loadGroup(group);
      else
        nextKeys =
            kernel.ifElse(kernel.less(next, end), keyTypes, [&] { return loadKeys(nextAddress, next, pieces); }, none);
    };
    loadAfter(groupTiles);

    Value best = top;
    for (Value score : scores)
      best = kernel.greater(best, score);
    for (unsigned mask : {1, 2})
      best = kernel.greater(best, kernel.shuffleXor(best, mask));
    Value scale = kernel.f32(kernel.exponent), shift = kernel.neg(kernel.finiteOr0(kernel.mul(best, scale)));
    Value shrink = kernel.exp2(kernel.add(kernel.mul(top, scale), shift));
    total = kernel.mul(total, shrink);
    for (Value &score : scores) {
      score = kernel.exp2(kernel.fma(score, scale, shift));
      total = kernel.add(total, score);
    }
    Value weights[] = {kernel.pack(spec.cache, scores[0], scores[1]), kernel.pack(spec.cache, scores[2], scores[3])};

    // Heads are rows of the scores and columns of the outputs.
    Value shrinks[2];
    for (int64_t e = 0; e < 2; ++e)
      shrinks[e] = kernel.shuffleFrom(shrink, kernel.add(kernel.mul(lanePart, 8), 4 * e));
    Values sums;
    auto join = [&](Value x, Value y, int32_t bytes) {
      return kernel.intrinsic("llvm.nvvm.prmt", i32Type, {x, y, kernel.i32(bytes)});
    };
    for (size_t tile = 0; tile < featureTiles.size(); ++tile) {
      if (tile && tile % groupTiles == 0) {
        values = nextValues;
        loadAfter(tile + groupTiles);
      }
      std::array<Value, 4> sum;
      for (size_t e = 0; e < 4; ++e)
        sum[e] = kernel.mul(carried[firstSum + 4 * tile + e], shrinks[e % 2]);
      Value a[4];
      for (size_t pair = 0; pair < 2; ++pair) {
        Value x = values[2 * pair][tile % groupTiles], y = values[2 * pair + 1][tile % groupTiles];
        a[2 * pair] = join(x, y, 0x5410);
        a[2 * pair + 1] = join(x, y, 0x7632);
      }
      llvm::append_range(sums, kernel.multiply(spec.cache, a, weights, sum));
    }
    Values result = {best, total, nextAddress, pageAfter};
    result.append(nextKeys);
    result.append(sums);
    return result;
  });

  Value total = kernel.sumLanes(state[1], 4);
  kernel.ifThen(kernel.compare(arith::CmpIPredicate::eq, lanePart, kernel.i32(0)), [&] {
    Value at = statesAt(kernel.warp(), laneRow);
    kernel.store(kernel.mul(state[0], kernel.f32(kernel.exponent)), at, 4);
    kernel.store(total, kernel.at(at, 4), 4);
  });
  for (size_t tile = 0; tile < featureTiles.size(); ++tile)
    for (int64_t e = 0; e < 4; ++e) {
      const FeatureTile &place = featureTiles[tile];
      Value feature = kernel.add(kernel.mul(laneRow, place.each), place.first + 2 * place.word + e / 2);
      Value number = kernel.add(kernel.mul(lanePart, 2), e % 2);
      kernel.store(state[firstSum + 4 * tile + e], sumsAt(kernel.warp(), number, feature), 4);
    }
}

Value DecodeEmitter::sumsAt(Value warp, Value head, Value feature) {
  Value row = kernel.add(kernel.mul(warp, headsTogether), head);
  return kernel.at(sums, kernel.mul(kernel.add(kernel.mul(row, spec.headDim), feature), 4));
}

// Adds up the warps in their order; a thread takes every 128th number of the heads.
void DecodeEmitter::join(const Pieces &pieces, Value piece) {
  Type f32Type = kernel.ops().getF32Type();
  Value heads = kernel.min(kernel.i32(chunkHeads), kernel.sub(kernel.i32(kernel.group), chunkHead(kernel.i32(0))));
  Value whole = kernel.compare(arith::CmpIPredicate::eq, pieces.count, kernel.i32(1));
  kernel.forEach(kernel.thread(), kernel.mul(heads, spec.headDim), kernel.threads(), [&](Value number) {
    Value local = kernel.div(number, spec.headDim), feature = kernel.rem(number, spec.headDim);
    Value queryHead = kernel.add(kernel.mul(head, kernel.group), chunkHead(local));
    Values tops;
    Value best;
    for (int64_t warp = 0; warp < warps; ++warp) {
      tops.push_back(kernel.load(f32Type, statesAt(kernel.i32(warp), local), 4));
      best = warp ? kernel.greater(best, tops[warp]) : tops[warp];
    }
    Value shift = kernel.finiteOr0(best), sum = kernel.f32(0), total = kernel.f32(0);
    for (int64_t warp = 0; warp < warps; ++warp) {
      Value weight = kernel.exp2(kernel.sub(tops[warp], shift));
      sum = kernel.fma(kernel.load(f32Type, sumsAt(kernel.i32(warp), local, feature), 4), weight, sum);
      total = kernel.fma(kernel.load(f32Type, kernel.at(statesAt(kernel.i32(warp), local), 4), 4), weight, total);
    }
    Value first = kernel.compare(arith::CmpIPredicate::eq, feature, kernel.i32(0));
    kernel.ifElse(
        whole, {},
        [&] {
          Value at = kernel.rowHead(kernel.output, kernel.rowBegin, queryHead);
          kernel.storeF32(spec.output, kernel.mul(sum, kernel.inverse(total)),
                          kernel.atIndex(at, feature, bytesOf(spec.output)));
          if (spec.logSumExp)
            kernel.ifThen(first, [&] { kernel.storeLogSumExp(kernel.rowBegin, queryHead, best, total); });
          return Values();
        },
        [&] {
          Value at = kernel.pieceAt(queryHead, piece);
          kernel.store(sum, kernel.atIndex(at, feature, 4), 4);
          kernel.ifThen(first, [&] {
            kernel.store(best, kernel.at(at, 4 * spec.headDim), 4);
            kernel.store(total, kernel.at(at, 4 * spec.headDim + 4), 4);
          });
          return Values();
        });
  });
}

Launches kerf::nvptx::emitDecode(gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec) {
  Launches launches;
  const int64_t parts = spec.kvHeads * llvm::divideCeil(spec.queryHeads / spec.kvHeads, headsTogether);
  int64_t least = 1;
  for (const Turns &turns : table) {
    const int64_t most = turns.most == UINT32_MAX ? turns.most : turns.most / parts;
    if (most < least)
      continue;
    launches.push_back(DecodeEmitter(module, (name + turns.suffix).str(), spec, turns.blocks).emit(least, most));
    least = most + 1;
  }
  return launches;
}
