//===- SelectKernel.h - which kernel computes an op -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_SELECTKERNEL_H
#define KERF_CODEGEN_KERNELS_SELECTKERNEL_H

#include "codegen/kernels/Specs.h"
#include "dialects/kerf/KerfPrograms.h"

#include <string>

namespace kerf::kernels {

/// An op as a launch of a kernel: which one, and what it is given.
struct Launch {
  /// What the kernel computes: spells out op, shapes, formats and options. Ops with equal keys share a kernel, whatever
  /// layer they are in. Empty where there is no kernel for the op.
  std::string key;
  /// The same for those who write the kernel.
  Spec spec;
  /// The kernel's operands, in its order.
  llvm::SmallVector<mlir::Attribute> operands = {};
  /// What counts its rows.
  Extent rows = Extent::Tokens;
  /// The first operand that is no memory, if there is one: no slot, result, weight, work list or array of the step.
  mlir::Value unplanned = {};
};

/// The launch of `op`. `workLists` are those of the program; lists that it does not have yet are added.
Launch selectKernel(mlir::Operation *op, llvm::SmallVectorImpl<mlir::Attribute> &workLists);

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_SELECTKERNEL_H
