//===- TileProduct.cpp - products by AMX tiles ----------------------------===//
//
// Every tile is whole: 16 rows of 64 bytes. Where rows or k end within one, the operands are first copied into
// zero-padded tiles, so one row goes through the same instructions as sixteen and gets the same bits. One shape also
// means one tile configuration for the whole function, which LLVM loads once.
//
// Tiles are values of type x86_amx made by LLVM's intrinsics. They are carried round loops as such; the amx dialect
// cannot do that, its lowering fails on branches that carry a tile.
//
//===----------------------------------------------------------------------===//
#include "codegen/x86/Product.h"

#include "mlir/Dialect/LLVMIR/LLVMTypes.h"

using namespace kerf::x86;
using mlir::Value;
using mlir::ValueRange;

static constexpr int64_t tileRows = 16, tileRowBytes = 64, tileBytes = tileRows * tileRowBytes;
/// Elements of k in one tile of the input.
static constexpr int64_t tileK = tileRowBytes / 2;

namespace {

/// The tile instructions.
struct Tiles {
  KernelBuilder &kernel;
  mlir::Type type = mlir::LLVM::LLVMX86AMXType::get(kernel.ops().getContext());
  Value rows = i16(tileRows), bytes = i16(tileRowBytes);

  Value i16(int16_t value) {
    return mlir::arith::ConstantOp::create(kernel.ops(), kernel.ops().getI16IntegerAttr(value));
  }
  Value zero() { return kernel.intrinsic("llvm.x86.tilezero.internal", type, {rows, bytes}); }
  Value load(Value address, int64_t stride) {
    return kernel.intrinsic("llvm.x86.tileloadd64.internal", type, {rows, bytes, address, kernel.i64(stride)});
  }
  void store(Value tile, Value address) {
    kernel.intrinsic("llvm.x86.tilestored64.internal", nullptr, {rows, bytes, address, kernel.i64(tileRowBytes), tile});
  }
  Value dot(Value sum, Value input, Value weight) {
    return kernel.intrinsic("llvm.x86.tdpbf16ps.internal", type, {rows, bytes, bytes, sum, input, weight});
  }
};

} // namespace

void ProductEmitter::emitTiles(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd) {
  const unsigned streams = blocks * product.matrices(), rowTiles = rows / tileRows;
  const TileBuffers buffers{kernel.reserve(rowTiles * tileBytes), kernel.reserve(streams * tileBytes),
                            kernel.reserve(rowTiles * streams * tileBytes)};
  // Rows that no input is copied to hold zeros.
  auto bytes = kernel.integers(32, 16);
  for (int64_t offset = 0; offset < int64_t(rowTiles) * tileBytes; offset += tileRowBytes)
    kernel.store(kernel.zero(bytes), kernel.at(buffers.input, offset), tileRowBytes);

  auto blocksFrom = [&](Value block, unsigned together) {
    Value whole = kernel.sub(rowEnd, kernel.rem(kernel.sub(rowEnd, rowBegin), rows));
    kernel.forEach(rowBegin, whole, rows, [&](Value row) {
      emitTileBlock(buffers, row, kernel.i64(rows), block, rowTiles, together, /*copyInput=*/false);
    });
    kernel.ifThen(kernel.less(whole, rowEnd), [&] {
      Value rest = kernel.sub(rowEnd, whole);
      Value one = kernel.less(rest, kernel.i64(tileRows + 1));
      kernel.ifElse(
          one, {}, [&] { return emitTileBlock(buffers, whole, rest, block, 1, together, true), Values(); },
          [&] { return emitTileBlock(buffers, whole, rest, block, rowTiles, together, true), Values(); });
    });
  };
  forBlocks(blockBegin, blockEnd, std::min(blocks, panelBlocks), blocksFrom);
}

void ProductEmitter::emitTileBlock(const TileBuffers &buffers, Value row, Value rowCount, Value block,
                                   unsigned rowTiles, unsigned together, bool copyInput) {
  Tiles tiles{kernel};
  const int64_t rowBytes = product.k * bytesOf(product.input), rest = product.k % tileK;
  const unsigned streams = together * product.matrices();
  auto line = kernel.integers(16, tileK);
  Value input = inputAddress(row, kernel.i64(0));
  Values weights;
  for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
    for (unsigned number = 0; number < together; ++number)
      weights.push_back(weightAddress(matrix, kernel.add(block, number), kernel.i64(0)));

  // Copies the rows that there are, 64 bytes of each or what is left of them at the end of k.
  auto copyRows = [&](Value source, bool whole) {
    kernel.forEach(kernel.i64(0), rowCount, 1, [&](Value r) {
      Value from = kernel.at(source, kernel.mul(r, rowBytes));
      Value values =
          whole ? kernel.load(line, from, 2) : kernel.loadMasked(line, from, kernel.mask(kernel.i64(rest), tileK), 2);
      kernel.store(values, kernel.at(buffers.input, kernel.mul(r, tileRowBytes)), tileRowBytes);
    });
  };
  auto multiply = [&](Values sums, Value inputBase, int64_t inputStride, ValueRange weightBases) {
    Values columns;
    for (Value base : weightBases)
      columns.push_back(tiles.load(base, tileRowBytes));
    for (unsigned tile = 0; tile < rowTiles; ++tile) {
      Value factor = tiles.load(kernel.at(inputBase, tile * tileRows * inputStride), inputStride);
      for (unsigned stream = 0; stream < streams; ++stream) {
        Value &sum = sums[tile * streams + stream];
        sum = tiles.dot(sum, factor, columns[stream]);
      }
    }
    return sums;
  };

  Values sums;
  for (unsigned number = 0; number < rowTiles * streams; ++number)
    sums.push_back(tiles.zero());
  if (product.k >= tileK)
    sums = kernel.loop(kernel.i64(0), kernel.i64(product.k / tileK), 1, sums, [&](Value step, ValueRange carried) {
      Value source = kernel.at(input, kernel.mul(step, tileRowBytes));
      Values bases;
      for (Value weight : weights)
        bases.push_back(kernel.at(weight, kernel.mul(step, tileBytes)));
      if (!copyInput)
        return multiply(Values(carried), source, rowBytes, bases);
      copyRows(source, /*whole=*/true);
      return multiply(Values(carried), buffers.input, tileRowBytes, bases);
    });
  if (rest) {
    copyRows(kernel.at(input, (product.k - rest) * 2), /*whole=*/false);
    Values bases;
    for (auto [number, weight] : llvm::enumerate(weights)) {
      bases.push_back(kernel.at(buffers.weight, number * tileBytes));
      for (int64_t pair = 0; pair < tileRows; ++pair) {
        const int64_t offset = pair * tileRowBytes;
        Value from = kernel.at(weight, product.k / tileK * tileBytes + offset);
        Value values = pair < (rest + 1) / 2 ? kernel.load(line, from, tileRowBytes) : kernel.zero(line);
        kernel.store(values, kernel.at(bases.back(), offset), tileRowBytes);
      }
    }
    sums = multiply(sums, buffers.input, tileRowBytes, bases);
  }

  for (auto [number, sum] : llvm::enumerate(sums))
    tiles.store(sum, kernel.at(buffers.sums, number * tileBytes));
  auto finishRows = [&](Value begin, Value end, unsigned tile) {
    kernel.forEach(begin, end, 1, [&](Value r) {
      Values values;
      for (unsigned stream = 0; stream < streams; ++stream) {
        Value base = kernel.at(buffers.sums, (tile * streams + stream) * tileBytes);
        values.push_back(kernel.load(kernel.f32s(), kernel.at(base, kernel.mul(r, tileRowBytes)), tileRowBytes));
      }
      finish(kernel.add(kernel.add(row, r), tile * tileRows), block, {1, together}, values);
    });
  };
  for (unsigned tile = 0; tile < rowTiles; ++tile)
    finishRows(kernel.i64(0), kernel.min(kernel.sub(rowCount, kernel.i64(tile * tileRows)), kernel.i64(tileRows)),
               tile);
}
