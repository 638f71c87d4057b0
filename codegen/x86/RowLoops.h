//===- RowLoops.h - loops of kernels that work row by row -------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_ROWLOOPS_H
#define KERF_CODEGEN_X86_ROWLOOPS_H

#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"

namespace kerf::x86 {

/// Rows of one task, when a row takes that many elements: enough work to be worth a task, little enough that a
/// prompt has tasks for all threads and what a task touches stays in L2.
uint32_t rowsOfTask(int64_t elements);

/// Emits the body for each row of the kernel's task.
void forRows(KernelBuilder &kernel, uint32_t tile, llvm::function_ref<void(mlir::Value row)> body);

/// Emits the body for elements [0, count): first in vectors of the variant's width, `unroll` in one turn, then in
/// vectors of descending powers of two, down to one lane. Nothing is masked and each element is met once.
void forElements(KernelBuilder &kernel, int64_t count, unsigned unroll,
                 llvm::function_ref<void(mlir::Value element, unsigned lanes)> body);

/// Address of element `element` of `base`.
mlir::Value elementAt(KernelBuilder &kernel, mlir::Value base, mlir::Value element, Element type);

/// Sum over `count` elements, in f32: four chains of vectors, then the rest. `add` gives the sum plus the term of an
/// element, for any number of lanes.
mlir::Value sumElements(KernelBuilder &kernel, Element type, mlir::Value address, int64_t count,
                        llvm::function_ref<mlir::Value(mlir::Value x, mlir::Value sum)> add);

/// Sum of the squares of `count` elements, in f32.
mlir::Value sumOfSquares(KernelBuilder &kernel, Element type, mlir::Value address, int64_t count);

/// 1 / sqrt(sum / count + eps), in f32.
mlir::Value inverseNorm(KernelBuilder &kernel, mlir::Value sum, int64_t count, double eps);

/// The rotated halves of a head: (low * cos - high * sin, high * cos + low * sin).
std::pair<mlir::Value, mlir::Value> rotate(KernelBuilder &kernel, mlir::Value low, mlir::Value high, mlir::Value cos,
                                           mlir::Value sin);

/// What the kernel is dispatched with, once it is complete.
KernelInfo describe(const KernelBuilder &kernel, llvm::StringRef name, uint32_t tile, uint32_t columns = 1);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_ROWLOOPS_H
