//===- Rows.h - what GPU functions that work row by row share ---*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_ROWS_H
#define KERF_CODEGEN_NVPTX_ROWS_H

#include "codegen/nvptx/KernelBuilder.h"

namespace kerf::nvptx {

/// Elements that a thread takes at once: the most, up to 16 bytes of the widest type, of which `length` is a multiple.
unsigned vectorLanes(int64_t length, llvm::ArrayRef<Element> elements);

/// Threads of a block for that many pieces of work: whole warps, at most `most`.
unsigned threadsFor(int64_t pieces, unsigned most = 256);

/// Address of element `column` (i32) in row `row` (i32) of rows of `columns` elements.
mlir::Value elementAt(KernelBuilder &kernel, mlir::Value base, mlir::Value row, int64_t columns, mlir::Value column,
                      Element type);

/// The scalar in each lane; the scalar itself for one lane.
mlir::Value spread(KernelBuilder &kernel, mlir::Value scalar, unsigned lanes);

/// A function in which each thread takes one piece of `lanes` elements of a row: starts it, calls `body` where there is
/// such a piece, and ends it.
Launches emitElementwise(mlir::gpu::GPUModuleOp module, llvm::StringRef name, llvm::ArrayRef<OperandInfo> operands,
                         int64_t columns, unsigned lanes,
                         llvm::function_ref<void(KernelBuilder &, mlir::Value row, mlir::Value column)> body);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_ROWS_H
