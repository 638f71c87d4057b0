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
  kernel.ifElse(
      kernel.less(kernel.i64(schedule.thinRows), rowCount), {},
      [&] { return emitWide(rowBegin, rowEnd, blockBegin, blockEnd), Values(); },
      [&] { return emitThin(rowBegin, rowCount, blockBegin, blockEnd), Values(); });
}

// Few rows: memory is the limit, and it is fastest read as one stream.
void ProductEmitter::emitThin(Value rowBegin, Value rowCount, Value blockBegin, Value blockEnd) {
  forRowCount(rowCount, schedule.thinRows, [&](unsigned count) {
    forBlocks(blockBegin, blockEnd, std::min(schedule.thinBlocks, panelBlocks), [&](Value block, unsigned together) {
      const Shape shape{count, together};
      Values sums(this->count(shape), kernel.zero(kernel.f32s()));
      sums = sum(stored(rowBegin, block, kernel.i64(0)), shape, product.k, /*thin=*/true, sums);
      finish(rowBegin, block, shape, sums);
    });
  });
}

ProductEmitter::Sources ProductEmitter::stored(Value row, Value block, Value k) {
  Sources sources{.input = inputAddress(row, k),
                  .weights = {},
                  .inputElement = product.input,
                  .weightElement = product.weight,
                  .rowBytes = product.k * bytesOf(product.input),
                  .blockBytes = layout.blockBytes()};
  for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
    sources.weights.push_back(weightAddress(matrix, block, k));
  return sources;
}

// Many rows. Where k is long it is cut, so that the weights of one cut stay in L2 while the rows pass; sums wait in
// memory between the cuts, which leaves their bits alone. Operands that FMAs cannot take are widened once for each cut.
void ProductEmitter::emitWide(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd) {
  const bool fma = schedule.dot == Dot::Fma;
  const bool widenWeights =
      fma && (product.weight == Element::F16 || (product.weight == Element::BF16 && schedule.widenBf16));
  const bool widenInput = fma && product.input != Element::F32;
  assert((widenWeights || !widenInput) && "f32 rows do not go with pairs of bf16");
  const int64_t longest = widenWeights || widenInput ? schedule.kWidened : schedule.kBlock;
  const int64_t cut = product.k > longest + longest / 2 ? longest : product.k;
  const int64_t lastCut = (product.k - 1) / cut * cut;
  const int64_t sumBytes = lanes * 4, blockSumBytes = count({1, 1}) * sumBytes;
  const unsigned together = std::min(blocks, panelBlocks);

  // One row's widened input ends a cache line off a multiple of the cut, so that rows do not share sets of the cache.
  const Sources wide{.input =
                         widenInput ? kernel.reserve(schedule.taskRows * (llvm::alignTo(cut * 4, 64) + 64)) : Value(),
                     .weights = {},
                     .inputElement = Element::F32,
                     .weightElement = Element::F32,
                     .rowBytes = int64_t(llvm::alignTo(cut * 4, 64) + 64),
                     .blockBytes = cut * stepBytes};
  Values wideWeights;
  if (widenWeights)
    for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
      wideWeights.push_back(kernel.reserve(together * wide.blockBytes));
  Value saved = lastCut ? kernel.reserve(schedule.taskRows * panelBlocks * blockSumBytes) : Value();

  auto cutAt = [&](Value kBegin, int64_t length, bool first, bool last) {
    auto tile = [&](Value row, Value block, Shape shape) {
      Sources sources = stored(row, block, kBegin);
      if (widenInput) {
        sources.input = kernel.at(wide.input, kernel.mul(kernel.sub(row, rowBegin), wide.rowBytes));
        sources.inputElement = wide.inputElement;
        sources.rowBytes = wide.rowBytes;
      }
      if (widenWeights) {
        sources.weights = wideWeights;
        sources.weightElement = wide.weightElement;
        sources.blockBytes = wide.blockBytes;
      }
      auto savedAt = [&](unsigned number) {
        Value start = kernel.mul(kernel.sub(row, rowBegin), panelBlocks * blockSumBytes);
        start = kernel.add(start, kernel.mul(kernel.sub(block, blockBegin), blockSumBytes));
        const unsigned perRow = count({1, shape.blocks});
        return kernel.at(kernel.at(saved, start),
                         number / perRow * panelBlocks * blockSumBytes + number % perRow * sumBytes);
      };
      Values sums;
      for (unsigned number = 0; number < count(shape); ++number)
        sums.push_back(first ? kernel.zero(kernel.f32s()) : kernel.load(kernel.f32s(), savedAt(number), sumBytes));
      sums = sum(sources, shape, length, /*thin=*/false, sums);
      if (last)
        return finish(row, block, shape, sums);
      for (auto [number, value] : llvm::enumerate(sums))
        kernel.store(value, savedAt(number), sumBytes);
    };
    if (widenInput)
      kernel.forEach(rowBegin, rowEnd, 1, [&](Value row) {
        Value to = kernel.at(wide.input, kernel.mul(kernel.sub(row, rowBegin), wide.rowBytes));
        widenRow(inputAddress(row, kBegin), to, length);
      });
    forBlocks(blockBegin, blockEnd, together, [&](Value block, unsigned blockCount) {
      if (widenWeights)
        widenBlocks(stored(rowBegin, block, kBegin), wideWeights, blockCount, wide.blockBytes, length);
      Value whole = kernel.sub(rowEnd, kernel.rem(kernel.sub(rowEnd, rowBegin), rows));
      kernel.forEach(rowBegin, whole, rows, [&](Value row) { tile(row, block, {rows, blockCount}); });
      if (rows > 1)
        kernel.ifThen(kernel.less(whole, rowEnd), [&] {
          forRowCount(kernel.sub(rowEnd, whole), rows - 1,
                      [&](unsigned rowCount) { tile(whole, block, {rowCount, blockCount}); });
        });
    });
  };
  if (!lastCut)
    return cutAt(kernel.i64(0), product.k, true, true);
  // The first cut stands by itself in place of one that finds zeros in memory.
  cutAt(kernel.i64(0), cut, true, false);
  if (lastCut > cut)
    kernel.forEach(kernel.i64(cut), kernel.i64(lastCut), cut, [&](Value k) { cutAt(k, cut, false, false); });
  cutAt(kernel.i64(lastCut), product.k - lastCut, false, true);
}

void ProductEmitter::widenRow(Value from, Value to, int64_t length) {
  const int64_t whole = length / lanes * lanes;
  kernel.forEach(kernel.i64(0), kernel.i64(whole), lanes, [&](Value i) {
    Value values = kernel.loadF32(product.input, kernel.at(from, kernel.mul(i, bytesOf(product.input))));
    kernel.store(values, kernel.at(to, kernel.mul(i, 4)), lanes * 4);
  });
  for (int64_t i = whole; i < length; ++i)
    kernel.store(kernel.loadScalarF32(product.input, kernel.at(from, i * bytesOf(product.input))), kernel.at(to, i * 4),
                 4);
}

void ProductEmitter::widenBlocks(const Sources &sources, llvm::ArrayRef<Value> to, unsigned blockCount,
                                 int64_t blockBytes, int64_t length) {
  auto pairAt = [&](Value pair, unsigned parts) {
    for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
      for (unsigned block = 0; block < blockCount; ++block)
        for (unsigned part = 0; part < parts; ++part)
          for (unsigned vector = 0; vector < vectors; ++vector) {
            const int64_t offset = vector * lanes * 4;
            Value from = kernel.at(sources.weights[matrix], kernel.mul(pair, stepBytes));
            Value target = kernel.at(to[matrix], kernel.mul(pair, 2 * stepBytes));
            kernel.store(loadWide(kernel.at(from, block * sources.blockBytes + offset), sources.weightElement, part),
                         kernel.at(target, block * blockBytes + part * stepBytes + offset), lanes * 4);
          }
  };
  kernel.forEach(kernel.i64(0), kernel.i64(length / 2), 1, [&](Value pair) { pairAt(pair, 2); });
  if (length % 2)
    pairAt(kernel.i64(length / 2), 1);
}

// One vector of weights as f32; of 16-bit elements the first or second of each pair.
Value ProductEmitter::loadWide(Value address, Element element, unsigned part) {
  if (element == Element::F32)
    return kernel.load(kernel.f32s(), address, lanes * 4);
  if (element == Element::BF16)
    return widenPart(kernel.load(kernel.integers(32, lanes), address, lanes * 4), part);
  llvm::SmallVector<int32_t> picks;
  for (unsigned lane = 0; lane < lanes; ++lane)
    picks.push_back(2 * lane + part);
  Value both = kernel.load(kernel.vectorType(Element::F16, 2 * lanes), address, lanes * 4);
  return kernel.widen(kernel.shuffle(both, both, picks));
}

// The first of two bf16 is the lower half of 32 bits, and a bf16 is the upper half of its f32.
Value ProductEmitter::widenPart(Value pairs, unsigned part) {
  Value bits = part == 0 ? kernel.shiftLeft(pairs, kernel.i32Splat(16))
                         : kernel.bitAnd(pairs, kernel.i32Splat(int32_t(0xffff0000)));
  return kernel.bitcast(kernel.f32s(), bits);
}

ProductEmitter::Values ProductEmitter::sum(const Sources &sources, Shape shape, int64_t length, bool thin,
                                           Values sums) {
  const int64_t group = sources.weightElement == Element::F32 ? 1 : 2, steps = length / group;
  const int64_t inputBytes = group * bytesOf(sources.inputElement);
  // Enough work in one turn to hide the loop's own instructions.
  const unsigned unroll = std::max(1u, 24 / count(shape));
  auto stepAt = [&](const Sources &base, int64_t number, bool half, Values &sums) {
    Sources here = base;
    here.input = kernel.at(base.input, number * inputBytes);
    for (Value &weight : here.weights) {
      weight = kernel.at(weight, number * stepBytes);
      if (thin && schedule.prefetchBytes)
        for (unsigned block = 0; block < shape.blocks; ++block)
          kernel.prefetch(weight, block * sources.blockBytes + schedule.prefetchBytes);
    }
    step(here, shape, half, sums);
  };
  const int64_t whole = steps / unroll * unroll;
  if (whole)
    sums = kernel.loop(kernel.i64(0), kernel.i64(whole), unroll, sums, [&](Value first, ValueRange carried) {
      Values sums(carried);
      Sources base = sources;
      base.input = kernel.at(base.input, kernel.mul(first, inputBytes));
      for (Value &weight : base.weights)
        weight = kernel.at(weight, kernel.mul(first, stepBytes));
      for (unsigned number = 0; number < unroll; ++number)
        stepAt(base, number, false, sums);
      return sums;
    });
  for (int64_t number = whole; number < steps; ++number)
    stepAt(sources, number, false, sums);
  if (length % group)
    stepAt(sources, steps, true, sums);
  return sums;
}

// One step: the next element of k in f32, the next two in 16 bits (one if `half`, the last of an odd k).
void ProductEmitter::step(const Sources &at, Shape shape, bool half, Values &sums) {
  if (schedule.dot == Dot::Bf16Pairs)
    return stepPairs(at, shape, half, sums);
  const unsigned parts = at.weightElement == Element::F32 || half ? 1 : 2;
  for (unsigned part = 0; part < parts; ++part) {
    Values columns;
    for (Value weight : at.weights)
      for (unsigned block = 0; block < shape.blocks; ++block)
        for (unsigned vector = 0; vector < vectors; ++vector)
          columns.push_back(
              loadWide(kernel.at(weight, block * at.blockBytes + vector * lanes * 4), at.weightElement, part));
    for (unsigned row = 0; row < shape.rows; ++row) {
      Value address = kernel.at(at.input, row * at.rowBytes);
      Value factor = at.inputElement == Element::F32
                         ? kernel.broadcast(kernel.loadScalarF32(Element::F32, kernel.at(address, part * 4)))
                         : widenPart(kernel.broadcast(loadPair(address, half)), part);
      const unsigned first = index(shape, row, 0, 0, 0);
      for (auto [number, column] : llvm::enumerate(columns))
        sums[first + number] = kernel.fma(factor, column, sums[first + number]);
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
void ProductEmitter::stepPairs(const Sources &at, Shape shape, bool half, Values &sums) {
  auto pairs = kernel.vectorType(Element::BF16, 2 * lanes);
  Values columns;
  for (Value weight : at.weights)
    for (unsigned block = 0; block < shape.blocks; ++block)
      columns.push_back(kernel.load(pairs, kernel.at(weight, block * at.blockBytes), stepBytes));
  for (unsigned row = 0; row < shape.rows; ++row) {
    Value factor = kernel.bitcast(pairs, kernel.broadcast(loadPair(kernel.at(at.input, row * at.rowBytes), half)));
    const unsigned first = index(shape, row, 0, 0, 0);
    for (auto [number, column] : llvm::enumerate(columns))
      sums[first + number] =
          kernel.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", kernel.f32s(), {sums[first + number], factor, column});
  }
}
