//===- TileProduct.cpp - many rows times a matrix on tensor cores ---------===//
//
// Tiles of the input and of the matrix go through a ring in shared memory (cp.async), from there through ldmatrix into
// mma.m16n8k16. Rows of a tile are `depth` elements; their pieces of 16 bytes are permuted by the row so that ldmatrix
// meets no bank twice. Where an output has two sums, half of a tile's columns are of either part, so that a lane holds
// both.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Product.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using Values = KernelBuilder::Values;

namespace {

class TileProduct {
public:
  TileProduct(mlir::gpu::GPUModuleOp module, const TileSchedule &schedule, llvm::StringRef name,
              const ProductSpec &spec)
      : tile(schedule), spec(spec), steps(llvm::divideCeil(spec.k, schedule.depth)),
        rowFragments(tile.rows / tile.warpRows / 16), columnFragments(tile.columns / tile.warpColumns / 8),
        outputColumns(tile.columns / spec.parts()),
        kernel(module, name, spec.operands(), 32 * tile.warpRows * tile.warpColumns, schedule.blocks) {}

  LaunchAttr emit(int64_t leastRows, int64_t mostRows) {
    const int64_t columnTiles = llvm::divideCeil(spec.outputs(), outputColumns);
    ring = kernel.reserveShared(tile.stages * stageBytes());
    Value rowTiles = kernel.div(kernel.add(kernel.rows(), tile.rows - 1), tile.rows);
    kernel.ifThen(kernel.less(kernel.block(), kernel.mul(rowTiles, columnTiles)), [&] {
      // Blocks that run together share rows and columns: some row tiles side by side, then the next columns.
      const int64_t together = std::max<int64_t>(1, 1024 / tile.rows);
      Value turn = kernel.mul(kernel.div(kernel.block(), together * columnTiles), together);
      Value side = kernel.min(kernel.sub(rowTiles, turn), kernel.i32(together));
      Value inside = kernel.rem(kernel.block(), together * columnTiles);
      Value down = mlir::arith::RemUIOp::create(kernel.ops(), inside, side);
      firstRow = kernel.mul(kernel.add(turn, down), tile.rows);
      firstColumn = kernel.mul(kernel.div(inside, side), outputColumns);
      warpRow = kernel.div(kernel.warp(), tile.warpColumns);
      warpColumn = kernel.rem(kernel.warp(), tile.warpColumns);
      locateCopies();
      finish(multiply());
    });
    return kernel.finish({.tile = tile.rows, .columns = columnTiles, .leastRows = leastRows, .mostRows = mostRows});
  }

private:
  int64_t rowBytes() const { return 2 * tile.depth; }
  int64_t inputBytes() const { return tile.rows * rowBytes(); }
  int64_t stageBytes() const { return (tile.rows + tile.columns) * rowBytes(); }
  int64_t pieces() const { return tile.depth / 8; }

  /// Where piece `piece` of row `row` lies in a tile. With rows of 64 bytes two share the banks.
  Value place(Value row, Value piece) {
    Value turn =
        tile.depth == 64 ? kernel.bitAnd(row, kernel.i32(7)) : kernel.bitAnd(kernel.div(row, 2), kernel.i32(3));
    Value permuted = mlir::arith::XOrIOp::create(kernel.ops(), piece, turn);
    return kernel.add(kernel.mul(row, rowBytes()), kernel.mul(permuted, 16));
  }

  //===--------------------------------------------------------------------===//
  // Copies
  //===--------------------------------------------------------------------===//

  /// One of the pieces that this thread copies in each step.
  struct Copy {
    Value from, to, piece;
  };

  void locateCopies() {
    auto locate = [&](int64_t rows, int64_t begin, llvm::function_ref<Value(Value row)> start) {
      for (int64_t done = 0; done < rows * pieces(); done += kernel.threads()) {
        Value number = kernel.add(kernel.thread(), done);
        Value row = kernel.div(number, pieces()), piece = kernel.rem(number, pieces());
        copies.push_back({kernel.at(start(row), kernel.mul(piece, 16)), kernel.add(place(row, piece), begin), piece});
      }
    };
    auto bounded = [&](Value index, Value count) { return kernel.min(index, kernel.sub(count, kernel.i32(1))); };
    const int64_t bytes = spec.k * bytesOf(spec.input);
    locate(tile.rows, 0, [&](Value row) {
      return kernel.atIndex(kernel.operand(0), bounded(kernel.add(firstRow, row), kernel.rows()), bytes);
    });
    locate(tile.columns, inputBytes(), [&](Value row) {
      // Of each warp's columns the first are the first parts of its outputs.
      const int64_t share = tile.columns / tile.warpColumns, outputs = share / spec.parts();
      Value warp = kernel.div(row, share), inside = kernel.rem(row, share);
      Value output = kernel.add(kernel.add(firstColumn, kernel.mul(warp, outputs)), kernel.rem(inside, outputs));
      return spec.weightRow(kernel, bounded(output, kernel.i32(spec.outputs())), kernel.div(inside, outputs));
    });
  }

  /// Starts the copies of step `step` (i32, below `steps`) into the stage at `stage`.
  void fetch(Value step, Value stage) {
    for (const Copy &copy : copies) {
      Value bytes;
      if (spec.k % tile.depth != 0) {
        Value k = kernel.add(kernel.mul(step, tile.depth), kernel.mul(copy.piece, 8));
        bytes = kernel.select(kernel.less(k, kernel.i32(spec.k)), kernel.i32(16), kernel.i32(0));
      }
      kernel.copyAsync(kernel.at(ring, kernel.add(stage, copy.to)), kernel.atIndex(copy.from, step, rowBytes()), bytes);
    }
  }

  //===--------------------------------------------------------------------===//
  // Sums
  //===--------------------------------------------------------------------===//

  /// What a warp multiplies at once: 16 of k of its rows and columns.
  Values loadFragments(Value stage, unsigned depth) {
    Values fragments;
    Value lane = kernel.lane();
    auto load = [&](int64_t begin, Value row, Value piece) {
      Value at = kernel.add(kernel.add(stage, begin), place(row, piece));
      llvm::append_range(fragments, kernel.loadMatrices(kernel.at(ring, at)));
    };
    for (unsigned i = 0; i < rowFragments; ++i)
      load(0, kernel.add(kernel.add(kernel.mul(warpRow, rowFragments * 16), kernel.rem(lane, 16)), i * 16),
           kernel.add(kernel.div(lane, 16), depth * 2));
    for (unsigned j = 0; j < columnFragments / 2; ++j) {
      Value row = kernel.add(kernel.rem(lane, 8), kernel.mul(kernel.div(lane, 16), 8));
      load(inputBytes(), kernel.add(kernel.add(kernel.mul(warpColumn, columnFragments * 8), row), j * 16),
           kernel.add(kernel.rem(kernel.div(lane, 8), 2), depth * 2));
    }
    return fragments;
  }

  void accumulate(llvm::MutableArrayRef<Value> sums, llvm::ArrayRef<Value> fragments) {
    for (unsigned i = 0; i < rowFragments; ++i)
      for (unsigned j = 0; j < columnFragments; ++j) {
        auto d = sums.slice(4 * (i * columnFragments + j), 4);
        llvm::copy(
            kernel.multiply(spec.input, fragments.slice(4 * i, 4), fragments.slice(4 * rowFragments + 2 * j, 2), d),
            d.begin());
      }
  }

  Values multiply() {
    const unsigned ahead = tile.stages - 1, depths = tile.depth / 16;
    for (unsigned step = 0; step < ahead; ++step) {
      if (step < steps)
        fetch(kernel.i32(step), kernel.i32(step * stageBytes()));
      kernel.commitCopies();
    }
    kernel.waitCopies(ahead - 1);
    kernel.barrier();
    const unsigned sumCount = 4 * rowFragments * columnFragments;
    Values start(sumCount, kernel.f32(0));
    llvm::append_range(start, loadFragments(kernel.i32(0), 0));
    // The stage that is read, and the one before it, which is free.
    start.push_back(kernel.i32(0));
    start.push_back(kernel.i32(ahead * stageBytes()));
    auto turn = [&](Value step, mlir::ValueRange carried, bool last) {
      Values sums(carried.take_front(sumCount));
      Values fragments(carried.drop_front(sumCount).drop_back(2));
      Value stage = carried[carried.size() - 2], free = carried.back(), next = stage;
      for (unsigned depth = 0; depth < depths; ++depth) {
        const bool end = depth + 1 == depths;
        Values ahead;
        if (end && !last) {
          // The next stage has landed for everyone, and everyone is past the stage that the next copies overwrite.
          kernel.waitCopies(tile.stages - 2);
          kernel.barrier();
          Value behind = kernel.add(stage, stageBytes());
          next = kernel.select(kernel.less(behind, kernel.i32(tile.stages * stageBytes())), behind, kernel.i32(0));
        }
        if (!end || !last)
          ahead = loadFragments(end ? next : stage, end ? 0 : depth + 1);
        if (depth == 0 && !last) {
          Value fetched = kernel.add(step, tile.stages - 1);
          kernel.ifThen(kernel.less(fetched, kernel.i32(steps)), [&] { fetch(fetched, free); });
          kernel.commitCopies();
        }
        accumulate(sums, fragments);
        fragments = ahead;
      }
      llvm::append_range(sums, fragments);
      sums.append({next, stage});
      return sums;
    };
    Values sums = kernel.loop(kernel.i32(0), kernel.i32(steps - 1), 1, start,
                              [&](Value step, mlir::ValueRange carried) { return turn(step, carried, false); });
    sums = turn(kernel.i32(steps - 1), sums, /*last=*/true);
    sums.truncate(sumCount);
    return sums;
  }

  void finish(const Values &sums) {
    Epilogue epilogue(kernel, spec);
    const unsigned share = columnFragments / spec.parts();
    Value group = kernel.div(kernel.lane(), 4), pair = kernel.mul(kernel.rem(kernel.lane(), 4), 2);
    Value left = kernel.add(kernel.add(firstColumn, kernel.mul(warpColumn, share * 8)), pair);
    Value top = kernel.add(kernel.add(firstRow, kernel.mul(warpRow, rowFragments * 16)), group);
    auto sumOf = [&](unsigned i, unsigned j, unsigned part, unsigned number) {
      return sums[4 * (i * columnFragments + part * share + j) + number];
    };
    auto storeOne = [&](Value row, Value column, unsigned lanes, unsigned i, unsigned j, unsigned number) {
      Values outputs;
      for (unsigned part = 0; part < spec.parts(); ++part) {
        Value sum = sumOf(i, j, part, number);
        if (lanes == 2) {
          Value pairOf = kernel.broadcast(sum, 2);
          sum = mlir::LLVM::InsertElementOp::create(kernel.ops(), pairOf, sumOf(i, j, part, number + 1), kernel.i32(1));
        }
        outputs.push_back(sum);
      }
      kernel.ifThen(kernel.less(column, kernel.i32(spec.outputs())), [&] { epilogue.store(row, column, outputs); });
    };
    for (unsigned i = 0; i < rowFragments; ++i)
      for (unsigned half = 0; half < 2; ++half) {
        Value row = kernel.add(top, i * 16 + half * 8);
        kernel.ifThen(kernel.less(row, kernel.rows()), [&] {
          for (unsigned j = 0; j < share; ++j)
            for (unsigned lane = 0; lane < 2; lane += epilogue.lanes())
              storeOne(row, kernel.add(left, j * 8 + lane), epilogue.lanes(), i, j, 2 * half + lane);
        });
      }
  }

  const TileSchedule &tile;
  const ProductSpec &spec;
  const int64_t steps;
  /// Of a warp: 16 rows each, and 8 columns each.
  const unsigned rowFragments, columnFragments;
  /// Columns of the output in a tile.
  const int64_t outputColumns;
  KernelBuilder kernel;
  Value ring, firstRow, firstColumn, warpRow, warpColumn;
  llvm::SmallVector<Copy> copies;
};

} // namespace

LaunchAttr kerf::nvptx::emitTileProduct(mlir::gpu::GPUModuleOp module, const TileSchedule &schedule,
                                        llvm::StringRef name, const ProductSpec &spec, int64_t leastRows,
                                        int64_t mostRows) {
  return TileProduct(module, schedule, name, spec).emit(leastRows, mostRows);
}
