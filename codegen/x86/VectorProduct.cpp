//===- VectorProduct.cpp - products by FMA and vdpbf16ps ------------------===//
//
// Each output is one chain of sums over ascending k, whatever the number of rows: how the work is cut changes which
// chains run side by side, never the order within one. The blocking for registers and caches follows Goto and van de
// Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008; the weights come packed.
//
//===----------------------------------------------------------------------===//
#include "codegen/x86/Product.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf::x86;
using mlir::Value;
using mlir::ValueRange;

/// Bytes of a block's weights for one step of the inner loop, in both layouts: 16 columns of 32 bits.
static constexpr int64_t stepBytes = 64;

void ProductEmitter::emitVectors(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd) {
  Value rowCount = kernel.sub(rowEnd, rowBegin);
  auto thin = [&] {
    // Few rows: memory is the limit, and it is fastest read as one stream.
    forRowCount(rowCount, schedule.thinRows, [&](unsigned count) {
      forBlocks(blockBegin, blockEnd, std::min(schedule.thinBlocks, panelBlocks), [&](Value block, unsigned together) {
        const Shape shape{count, together};
        Values weights;
        for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
          weights.push_back(weightAddress(matrix, block, kernel.i64(0)));
        Values sums(this->count(shape), kernel.zero(kernel.f32s()));
        sums = sum(inputAddress(rowBegin, kernel.i64(0)), weights, shape, product.k, /*thin=*/true, sums);
        finish(rowBegin, block, shape, sums);
      });
    });
  };
  auto wide = [&] {
    forBlocks(blockBegin, blockEnd, std::min(blocks, panelBlocks),
              [&](Value block, unsigned together) { emitWide(rowBegin, rowEnd, block, together); });
  };
  kernel.ifElse(
      kernel.less(kernel.i64(schedule.thinRows), rowCount), {}, [&] { return wide(), Values(); },
      [&] { return thin(), Values(); });
}

// All rows of the task with `together` blocks. Where k is long it is cut, so that the weights of one cut stay in L2
// while the rows pass; sums wait in memory between the cuts, which leaves their bits alone.
void ProductEmitter::emitWide(Value rowBegin, Value rowEnd, Value block, unsigned together) {
  const int64_t cut = product.k > schedule.kBlock + schedule.kBlock / 2 ? schedule.kBlock : product.k;
  const int64_t lastCut = (product.k - 1) / cut * cut;
  const int64_t sumBytes = lanes * 4, rowSumBytes = count({1, blocks}) * sumBytes;
  if (lastCut && !scratch)
    scratch = kernel.reserve(schedule.taskRows * rowSumBytes);

  auto rowsFrom = [&](Value kBegin, int64_t length, bool first, bool last) {
    auto tile = [&](Value row, unsigned rowCount) {
      const Shape shape{rowCount, together};
      Values weights, sums;
      for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
        weights.push_back(weightAddress(matrix, block, kBegin));
      auto saved = [&](unsigned number) {
        Value start = kernel.at(scratch, kernel.mul(kernel.sub(row, rowBegin), rowSumBytes));
        return kernel.at(start, number * sumBytes);
      };
      for (unsigned number = 0; number < count(shape); ++number)
        sums.push_back(first ? kernel.zero(kernel.f32s()) : kernel.load(kernel.f32s(), saved(number), sumBytes));
      sums = sum(inputAddress(row, kBegin), weights, shape, length, /*thin=*/false, sums);
      if (last)
        return finish(row, block, shape, sums);
      for (auto [number, value] : llvm::enumerate(sums))
        kernel.store(value, saved(number), sumBytes);
    };
    Value whole = kernel.sub(rowEnd, kernel.rem(kernel.sub(rowEnd, rowBegin), rows));
    kernel.forEach(rowBegin, whole, rows, [&](Value row) { tile(row, rows); });
    if (rows > 1)
      kernel.ifThen(kernel.less(whole, rowEnd), [&] {
        forRowCount(kernel.sub(rowEnd, whole), rows - 1, [&](unsigned rowCount) { tile(whole, rowCount); });
      });
  };
  if (!lastCut)
    return rowsFrom(kernel.i64(0), product.k, true, true);
  // The first cut stands by itself in place of one that finds zeros in memory.
  rowsFrom(kernel.i64(0), cut, true, false);
  if (lastCut > cut)
    kernel.forEach(kernel.i64(cut), kernel.i64(lastCut), cut, [&](Value k) { rowsFrom(k, cut, false, false); });
  rowsFrom(kernel.i64(lastCut), product.k - lastCut, false, true);
}

ProductEmitter::Values ProductEmitter::sum(Value input, llvm::ArrayRef<Value> weights, Shape shape, int64_t length,
                                           bool thin, Values sums) {
  const int64_t group = layout.group(), steps = length / group;
  const int64_t inputBytes = group * bytesOf(product.input);
  // Enough work in one turn to hide the loop's own instructions.
  const unsigned unroll = std::max(1u, 24 / count(shape));
  auto stepAt = [&](Value inputBase, llvm::ArrayRef<Value> weightBases, int64_t number, bool half, Values &sums) {
    Values at;
    for (Value base : weightBases) {
      at.push_back(kernel.at(base, number * stepBytes));
      if (thin && schedule.prefetchBytes)
        for (unsigned block = 0; block < shape.blocks; ++block)
          kernel.prefetch(at.back(), block * layout.blockBytes() + schedule.prefetchBytes);
    }
    step(kernel.at(inputBase, number * inputBytes), at, shape, half, sums);
  };
  const int64_t whole = steps / unroll * unroll;
  if (whole)
    sums = kernel.loop(kernel.i64(0), kernel.i64(whole), unroll, sums, [&](Value first, ValueRange carried) {
      Values sums(carried), bases;
      for (Value weight : weights)
        bases.push_back(kernel.at(weight, kernel.mul(first, stepBytes)));
      Value base = kernel.at(input, kernel.mul(first, inputBytes));
      for (unsigned number = 0; number < unroll; ++number)
        stepAt(base, bases, number, false, sums);
      return sums;
    });
  for (int64_t number = whole; number < steps; ++number)
    stepAt(input, weights, number, false, sums);
  if (length % group)
    stepAt(input, weights, steps, true, sums);
  return sums;
}

// One step: the next element of k in f32, the next two in 16 bits (one if `half`, the last of an odd k).
void ProductEmitter::step(Value input, llvm::ArrayRef<Value> weights, Shape shape, bool half, Values &sums) {
  if (schedule.dot == Dot::Bf16Pairs)
    return stepPairs(input, weights, shape, half, sums);
  const int64_t group = layout.group(), rowBytes = product.k * bytesOf(product.input);
  auto weightAt = [&](unsigned matrix, unsigned block, unsigned vector) {
    return kernel.at(weights[matrix], block * layout.blockBytes() + vector * lanes * 4);
  };
  for (unsigned part = 0; part < (half ? 1 : group); ++part) {
    Values widened(count({1, shape.blocks}));
    for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
      for (unsigned block = 0; block < shape.blocks; ++block)
        for (unsigned vector = 0; vector < vectors; ++vector) {
          Value address = weightAt(matrix, block, vector),
                &wide = widened[index({1, shape.blocks}, 0, matrix, block, vector)];
          if (product.weight == Element::F32) {
            wide = kernel.load(kernel.f32s(), address, lanes * 4);
          } else if (product.weight == Element::BF16) {
            // The first of two is the lower half of 32 bits, and a bf16 is the upper half of its f32.
            Value both = kernel.load(kernel.integers(32, lanes), address, lanes * 4);
            wide = part == 0 ? kernel.shiftLeft(both, kernel.i32Splat(16))
                             : kernel.bitAnd(both, kernel.i32Splat(int32_t(0xffff0000)));
            wide = kernel.bitcast(kernel.f32s(), wide);
          } else {
            llvm::SmallVector<int32_t> picks;
            for (unsigned lane = 0; lane < lanes; ++lane)
              picks.push_back(2 * lane + part);
            Value both = kernel.load(kernel.vectorType(Element::F16, 2 * lanes), address, lanes * 4);
            wide = kernel.widen(kernel.shuffle(both, both, picks));
          }
        }
    for (unsigned row = 0; row < shape.rows; ++row) {
      Value address = kernel.at(input, row * rowBytes), factor;
      if (product.input == Element::F32) {
        factor = kernel.broadcast(kernel.loadScalarF32(Element::F32, kernel.at(address, part * 4)));
      } else {
        Value both = kernel.broadcast(loadPair(address, half));
        factor = part == 0 ? kernel.shiftLeft(both, kernel.i32Splat(16))
                           : kernel.bitAnd(both, kernel.i32Splat(int32_t(0xffff0000)));
        factor = kernel.bitcast(kernel.f32s(), factor);
      }
      const unsigned first = index(shape, row, 0, 0, 0);
      for (auto [number, weight] : llvm::enumerate(widened))
        sums[first + number] = kernel.fma(factor, weight, sums[first + number]);
    }
  }
}

// Two bf16 elements of the input as one integer; the second is zero where the row ends.
Value ProductEmitter::loadPair(Value address, bool half) {
  auto &ops = kernel.ops();
  if (!half)
    return kernel.load(ops.getI32Type(), address, 2);
  return mlir::arith::ExtUIOp::create(ops, ops.getI32Type(), kernel.load(ops.getI16Type(), address, 2));
}

// vdpbf16ps treats subnormal inputs and results as zero and rounds to nearest even, whatever MXCSR says.
void ProductEmitter::stepPairs(Value input, llvm::ArrayRef<Value> weights, Shape shape, bool half, Values &sums) {
  const int64_t rowBytes = product.k * bytesOf(product.input);
  auto pairs = kernel.vectorType(Element::BF16, 2 * lanes);
  Values columns;
  for (Value weight : weights)
    for (unsigned block = 0; block < shape.blocks; ++block)
      columns.push_back(kernel.load(pairs, kernel.at(weight, block * layout.blockBytes()), stepBytes));
  for (unsigned row = 0; row < shape.rows; ++row) {
    Value factor = kernel.bitcast(pairs, kernel.broadcast(loadPair(kernel.at(input, row * rowBytes), half)));
    const unsigned first = index(shape, row, 0, 0, 0);
    for (auto [number, column] : llvm::enumerate(columns))
      sums[first + number] =
          kernel.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", kernel.f32s(), {sums[first + number], factor, column});
  }
}
