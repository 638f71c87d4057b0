//===- LowerPrograms.h - planned programs into lists of dispatches -*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_LOWERPROGRAMS_H
#define KERF_CODEGEN_KERNELS_LOWERPROGRAMS_H

#include "codegen/kernels/SelectKernel.h"

#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/MapVector.h"

namespace kerf::kernels {

/// The kernels of all programs, each once, by key, in the order of their first use.
using KernelTable = llvm::MapVector<mlir::StringAttr, Spec>;

/// Memory that a kernel needs for itself while it runs, beside its operands: a slot that becomes its last operand.
/// All launches of a program share it. A form of zeros: none.
using ScratchOf = llvm::function_ref<LinearForm(const Spec &)>;

/// Turns each planned program of the module into a kerf.program, and collects its kernels. Fails with a diagnostic on
/// an op that has no kernel and on operands that are no memory.
mlir::LogicalResult lowerPrograms(mlir::ModuleOp module, KernelTable &kernels, ScratchOf scratch);

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_LOWERPROGRAMS_H
