//===- Rows.cpp - what GPU functions that work row by row share -----------===//
#include "codegen/nvptx/Rows.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;

unsigned kerf::nvptx::vectorLanes(int64_t length, llvm::ArrayRef<Element> elements) {
  int64_t widest = 1;
  for (Element element : elements)
    widest = std::max(widest, bytesOf(element));
  unsigned lanes = 16 / widest;
  while (length % lanes != 0)
    lanes /= 2;
  return lanes;
}

unsigned kerf::nvptx::threadsFor(int64_t pieces, unsigned most) {
  return unsigned(std::min<int64_t>(llvm::alignTo(std::max<int64_t>(pieces, 1), 32), most));
}

Value kerf::nvptx::elementAt(KernelBuilder &kernel, Value base, Value row, int64_t columns, Value column,
                             Element type) {
  return kernel.at(kernel.atIndex(base, row, columns * bytesOf(type)), kernel.mul(column, bytesOf(type)));
}

Value kerf::nvptx::spread(KernelBuilder &kernel, Value scalar, unsigned lanes) {
  return lanes == 1 ? scalar : kernel.broadcast(scalar, lanes);
}

Launches kerf::nvptx::emitElementwise(mlir::gpu::GPUModuleOp module, llvm::StringRef name,
                                      llvm::ArrayRef<OperandInfo> operands, int64_t columns, unsigned lanes,
                                      llvm::function_ref<void(KernelBuilder &, Value row, Value column)> body) {
  const int64_t pieces = columns / lanes;
  const unsigned threads = threadsFor(pieces);
  const int64_t blocks = llvm::divideCeil(pieces, threads);
  KernelBuilder kernel(module, name, operands, threads);
  Value row = kernel.div(kernel.block(), blocks);
  Value piece = kernel.add(kernel.mul(kernel.rem(kernel.block(), blocks), threads), kernel.thread());
  Value inside = kernel.bitAnd(kernel.less(row, kernel.rows()), kernel.less(piece, kernel.i32(pieces)));
  kernel.ifThen(inside, [&] { body(kernel, row, kernel.mul(piece, lanes)); });
  return {kernel.finish({.columns = blocks})};
}
