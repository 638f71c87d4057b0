//===- PlainProduct.cpp - a product in f32, without tensor cores ----------===//
//
// A block computes 64 columns of some rows through shared memory, a thread 4 columns of `rowsOfThread` rows. Each
// output is one chain of FMAs over ascending k.
//
//===----------------------------------------------------------------------===//
#include "codegen/nvptx/Product.h"
#include "codegen/nvptx/Rows.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using Values = KernelBuilder::Values;

static constexpr int64_t depth = 16, columns = 64, columnsOfThread = 4, threads = 256;

LaunchAttr kerf::nvptx::emitPlainProduct(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const ProductSpec &spec,
                                         unsigned rowsOfThread, int64_t leastRows, int64_t mostRows) {
  const int64_t rows = 16 * rowsOfThread, columnTiles = llvm::divideCeil(spec.outputs(), columns);
  // [k][row], padded so that rows start at 16 bytes and differ in banks.
  const int64_t inputStride = rows + 4, weightStride = columns + 4;
  KernelBuilder kernel(module, name, spec.operands(), threads);
  Value inputTile = kernel.reserveShared(depth * inputStride * 4);
  Values weightTiles;
  for (unsigned part = 0; part < spec.parts(); ++part)
    weightTiles.push_back(kernel.reserveShared(depth * weightStride * 4));
  Value firstRow = kernel.mul(kernel.div(kernel.block(), columnTiles), rows);
  Value firstColumn = kernel.mul(kernel.rem(kernel.block(), columnTiles), columns);
  Value x = kernel.mul(kernel.rem(kernel.thread(), 16), columnsOfThread);
  Value y = kernel.mul(kernel.div(kernel.thread(), 16), rowsOfThread);

  // Copies [count][depth] of rows to a tile; zeros beyond k, the last row again beyond the rows.
  auto copy = [&](Value tile, int64_t stride, llvm::function_ref<Value(Value row)> start, Element element, Value first,
                  Value limit, int64_t count, Value k0) {
    for (int64_t done = 0; done < count * depth; done += threads) {
      Value number = kernel.add(kernel.thread(), done), row = kernel.div(number, depth), k = kernel.rem(number, depth);
      Value source = kernel.min(kernel.add(first, row), kernel.sub(limit, kernel.i32(1)));
      Value column = kernel.add(k0, k);
      auto load = [&] {
        return Values{kernel.loadF32(element, kernel.at(start(source), kernel.mul(column, bytesOf(element))), 1)};
      };
      Value value = spec.k % depth == 0
                        ? load()[0]
                        : kernel.ifElse(kernel.less(column, kernel.i32(spec.k)), {kernel.type(Element::F32)}, load,
                                        [&] { return Values{kernel.f32(0)}; })[0];
      kernel.store(value, kernel.at(tile, kernel.mul(kernel.add(kernel.mul(k, stride), row), 4)), 4);
    }
  };
  auto f32x4 = kernel.vectorType(Element::F32, 4);
  kernel.ifThen(kernel.less(firstRow, kernel.rows()), [&] {
    Values zeros(spec.parts() * rowsOfThread * columnsOfThread, kernel.f32(0));
    Values sums = kernel.loop(kernel.i32(0), kernel.i32(spec.k), depth, zeros, [&](Value k0, mlir::ValueRange carried) {
      Values sums(carried);
      auto inputRow = [&](Value row) { return kernel.atIndex(kernel.operand(0), row, spec.k * bytesOf(spec.input)); };
      copy(inputTile, inputStride, inputRow, spec.input, firstRow, kernel.rows(), rows, k0);
      for (unsigned part = 0; part < spec.parts(); ++part)
        copy(
            weightTiles[part], weightStride,
            [&](Value output) { return spec.weightRow(kernel, output, kernel.i32(part)); }, spec.weight, firstColumn,
            kernel.i32(spec.outputs()), columns, k0);
      kernel.barrier();
      for (int64_t k = 0; k < depth; ++k) {
        Values a;
        for (unsigned row = 0; row < rowsOfThread; ++row)
          a.push_back(kernel.load(kernel.type(Element::F32),
                                  kernel.at(inputTile, kernel.mul(kernel.add(y, k * inputStride + row), 4)), 4));
        for (unsigned part = 0; part < spec.parts(); ++part) {
          Value b =
              kernel.load(f32x4, kernel.at(weightTiles[part], kernel.mul(kernel.add(x, k * weightStride), 4)), 16);
          for (unsigned row = 0; row < rowsOfThread; ++row)
            for (unsigned column = 0; column < columnsOfThread; ++column) {
              Value &sum = sums[(part * rowsOfThread + row) * columnsOfThread + column];
              sum = kernel.fma(a[row], kernel.extract(b, column), sum);
            }
        }
      }
      kernel.barrier();
      return sums;
    });
    Epilogue epilogue(kernel, spec);
    for (unsigned i = 0; i < rowsOfThread; ++i)
      for (unsigned j = 0; j < columnsOfThread; ++j) {
        Value row = kernel.add(kernel.add(firstRow, y), i), column = kernel.add(kernel.add(firstColumn, x), j);
        kernel.ifThen(kernel.bitAnd(kernel.less(row, kernel.rows()), kernel.less(column, kernel.i32(spec.outputs()))),
                      [&] {
                        Values outputs;
                        for (unsigned part = 0; part < spec.parts(); ++part)
                          outputs.push_back(sums[(part * rowsOfThread + i) * columnsOfThread + j]);
                        epilogue.store(row, column, outputs);
                      });
      }
  });
  return kernel.finish({.tile = rows, .columns = columnTiles, .leastRows = leastRows, .mostRows = mostRows});
}
