//===- StreamProduct.cpp - few rows times a matrix, at memory's speed -----===//
//
// The matrix is the 16-row operand of mma.m16n8k16, the rows of the step are its columns. The contraction is permuted
// alike on both sides so that the 16 bytes that a lane loads are operands as they lie: nothing goes through shared
// memory but the sums at the end. Warps take pieces of 64 of k in turn and their sums are added in the order of warps,
// so that a row's bits do not depend on the rows beside it.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Product.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using Values = KernelBuilder::Values;

namespace {

class StreamProduct {
public:
  StreamProduct(mlir::gpu::GPUModuleOp module, const StreamSchedule &schedule, llvm::StringRef name,
                const ProductSpec &spec, unsigned leastRows, unsigned mostRows)
      : spec(spec), leastRows(leastRows), warps(schedule.warps), rowTiles(mostRows / 8), outputs(spec.heads ? 8 : 16),
        mmas(outputs * spec.parts() / 16), unroll(piecesOfTurn(schedule.registers)),
        kernel(module, name, spec.operands(), 32 * schedule.warps, 2) {}

  LaunchAttr emit(int64_t mostRows) {
    const int64_t blocks = llvm::divideCeil(spec.outputs(), outputs);
    Value shared = kernel.reserveShared(int64_t(warps) * mmas * 16 * tokens() * 4);
    kernel.ifThen(kernel.less(kernel.block(), kernel.i32(blocks)), [&] {
      Value first = kernel.mul(kernel.block(), outputs);
      store(sum(first), shared);
      kernel.barrier();
      finish(first, shared);
    });
    return kernel.finish(
        {.tile = mostRows, .columns = blocks, .leastRows = leastRows, .mostRows = mostRows, .order = 1});
  }

private:
  /// Pieces of k that a lane has on its way at once: as many as registers allow, alike in all turns.
  unsigned piecesOfTurn(unsigned registers) const {
    const unsigned loads = 2 * (2 * mmas + rowTiles), sums = 4 * rowTiles * mmas;
    const unsigned most = std::max(1u, (registers - sums) / (4 * loads));
    const unsigned pieces = llvm::divideCeil(llvm::divideCeil(spec.k, 64), warps);
    return llvm::divideCeil(pieces, llvm::divideCeil(pieces, most));
  }

  /// Rows of the step that there are places for.
  int64_t tokens() const { return int64_t(rowTiles) * 8; }

  /// min(index, count - 1), i32.
  Value bounded(Value index, Value count) { return kernel.min(index, kernel.sub(count, kernel.i32(1))); }

  /// This warp's sums: for each mma and row tile four, as mma lays them out.
  Values sum(Value first) {
    const int64_t pieces = llvm::divideCeil(spec.k, 64), turn = int64_t(warps) * unroll, whole = spec.k / 64 / turn;
    group = kernel.div(kernel.lane(), 4);
    const int64_t rowBytes = spec.k * bytesOf(spec.input);
    for (unsigned column = 0; column < 16 * mmas; column += 8) {
      Value output = bounded(kernel.add(kernel.add(first, group), column % outputs), kernel.i32(spec.outputs()));
      weightRows.push_back(spec.weightRow(kernel, output, kernel.i32(int32_t(column / outputs))));
    }
    for (unsigned tile = 0; tile < rowTiles; ++tile) {
      Value row = kernel.add(group, 8 * tile);
      // Fewer rows never come here.
      if (8 * (tile + 1) > leastRows)
        row = bounded(row, kernel.rows());
      inputRows.push_back(kernel.atIndex(kernel.operand(0), row, rowBytes));
    }
    Values sums(4 * rowTiles * mmas, kernel.f32(0));
    if (whole)
      sums = kernel.loop(kernel.i32(0), kernel.i32(whole), 1, sums, [&](Value number, mlir::ValueRange carried) {
        return addPieces(kernel.mul(number, turn), unroll, Values(carried), /*partial=*/false);
      });
    const int64_t rest = pieces - whole * turn;
    if (rest == 0)
      return sums;
    Value from = kernel.i32(whole * turn);
    if (rest > warps || spec.k % 64)
      return addPieces(from, llvm::divideCeil(rest, warps), sums, /*partial=*/true);
    // A warp has a whole piece or none.
    return kernel.ifElse(
        kernel.less(kernel.warp(), kernel.i32(rest)), mlir::ValueRange(sums).getTypes(),
        [&] { return addPieces(from, 1, sums, /*partial=*/false); }, [&] { return sums; });
  }

  /// Adds `count` pieces of k, the first of this warp's behind `from`; where it is partial some may lie beyond k.
  Values addPieces(Value from, unsigned count, Values sums, bool partial) {
    struct Piece {
      std::array<Value, 4> bits;
    };
    llvm::SmallVector<Piece> weights, inputs;
    Value piece = kernel.add(from, kernel.warp()), lane = kernel.mul(kernel.rem(kernel.lane(), 4), 16);
    for (unsigned number = 0; number < count; ++number) {
      Value start = kernel.add(kernel.mul(kernel.add(piece, int64_t(number) * warps), 128), lane);
      for (unsigned half = 0; half < 2; ++half) {
        Value at = kernel.add(start, 64 * half), inside;
        if (partial) {
          // Beyond k the start of the row stands in.
          inside = kernel.less(at, kernel.i32(spec.k * bytesOf(spec.input)));
          at = kernel.select(inside, at, kernel.i32(0));
        }
        auto load = [&](Value row, bool once) {
          Value address = kernel.at(row, at);
          std::array<Value, 4> bits = once && !partial ? kernel.loadOnce16(address) : kernel.load16(address);
          if (partial)
            for (Value &pair : bits)
              pair = kernel.select(inside, pair, kernel.i32(0));
          return Piece{bits};
        };
        for (Value row : weightRows)
          weights.push_back(load(row, /*once=*/true));
        for (Value row : inputRows)
          inputs.push_back(load(row, /*once=*/false));
      }
    }
    for (unsigned load = 0; load < 2 * count; ++load)
      for (unsigned mma = 0; mma < mmas; ++mma) {
        const auto &low = weights[(load * mmas + mma) * 2].bits;
        const auto &high = weights[(load * mmas + mma) * 2 + 1].bits;
        for (unsigned tile = 0; tile < rowTiles; ++tile) {
          const auto &x = inputs[load * rowTiles + tile].bits;
          auto d = llvm::MutableArrayRef<Value>(sums).slice(4 * (mma * rowTiles + tile), 4);
          for (unsigned step = 0; step < 4; step += 2)
            llvm::copy(kernel.multiply(spec.input, {low[step], high[step], low[step + 1], high[step + 1]},
                                       {x[step], x[step + 1]}, d),
                       d.begin());
        }
      }
    return sums;
  }

  /// Places in shared memory: [warp][mma][column][row of the step], which is [warp][part][output][row of the step].
  void store(const Values &sums, Value shared) {
    Value pair = kernel.mul(kernel.rem(kernel.lane(), 4), 2);
    for (unsigned mma = 0; mma < mmas; ++mma)
      for (unsigned tile = 0; tile < rowTiles; ++tile)
        for (unsigned half = 0; half < 2; ++half) {
          Value column = kernel.add(kernel.add(kernel.mul(kernel.warp(), mmas * 16), group), mma * 16 + half * 8);
          Value place = kernel.add(kernel.add(kernel.mul(column, tokens()), pair), tile * 8);
          const unsigned from = 4 * (mma * rowTiles + tile) + 2 * half;
          for (unsigned i = 0; i < 2; ++i)
            kernel.store(sums[from + i], kernel.at(shared, kernel.mul(kernel.add(place, i), 4)), 4);
        }
  }

  /// Adds up the warps' sums and stores the outputs, those of a row to neighbouring threads.
  void finish(Value first, Value shared) {
    Epilogue epilogue(kernel, spec);
    for (int64_t done = 0; done < outputs * tokens(); done += kernel.threads()) {
      Value number = kernel.add(kernel.thread(), done), place = kernel.rem(number, outputs);
      Value output = kernel.add(first, place), row = kernel.div(number, outputs);
      Value inside = kernel.bitAnd(kernel.less(row, kernel.min(kernel.rows(), kernel.i32(tokens()))),
                                   kernel.less(output, kernel.i32(spec.outputs())));
      kernel.ifThen(inside, [&] {
        Values sums;
        for (unsigned part = 0; part < spec.parts(); ++part) {
          Value sum;
          for (unsigned warp = 0; warp < warps; ++warp) {
            Value at = kernel.add(kernel.mul(kernel.add(place, 16 * warp * mmas + outputs * part), tokens()), row);
            Value share = kernel.load(kernel.type(Element::F32), kernel.at(shared, kernel.mul(at, 4)), 4);
            sum = sum ? kernel.add(sum, share) : share;
          }
          sums.push_back(sum);
        }
        epilogue.store(row, output, sums);
      });
    }
  }

  const ProductSpec &spec;
  const unsigned leastRows, warps, rowTiles;
  /// Outputs of a block; mma.sync that take them side by side. Queries, keys and values have few columns: with half as
  /// many outputs, of two parts each, they make as many blocks as a linear of as many columns.
  const int64_t outputs;
  const unsigned mmas, unroll;
  KernelBuilder kernel;
  /// Where this lane's rows of weights (rows g and g + 8 of 16, for each mma) and of the input start.
  Values weightRows, inputRows;
  /// Quarter of the lane's number: its row in operands.
  Value group;
};

} // namespace

LaunchAttr kerf::nvptx::emitStreamProduct(mlir::gpu::GPUModuleOp module, const StreamSchedule &schedule,
                                          llvm::StringRef name, const ProductSpec &spec, unsigned leastRows,
                                          unsigned mostRows) {
  return StreamProduct(module, schedule, name, spec, leastRows, mostRows).emit(mostRows);
}
