//===- SelectKernel.h - which kernel computes an op -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_SELECTKERNEL_H
#define KERF_CODEGEN_X86_SELECTKERNEL_H

#include "codegen/x86/Kernels.h"
#include "dialects/kerf/KerfPrograms.h"

#include <functional>
#include <string>

namespace kerf::x86 {

/// Writes a kernel of that name for one variant.
using KernelEmitter = std::function<KernelInfo(mlir::ModuleOp, const Variant &, llvm::StringRef name)>;

/// An op as a launch: which kernel, how to write it, and what it is given.
struct Launch {
  /// What the kernel computes: spells out op, shapes, formats and options. Ops with equal keys share a kernel, whatever
  /// layer they are in.
  std::string key;
  /// Null where there is no kernel for the op.
  KernelEmitter emit;
  /// The kernel's operands, in its order.
  llvm::SmallVector<mlir::Attribute> operands;
  /// What counts its rows.
  Extent rows = Extent::Tokens;
  /// The first operand that is no memory, if there is one: no slot, result, weight, work list or array of the step.
  mlir::Value unplanned = {};
};

/// The launch of `op`. `workLists` are those of the program; lists that it does not have yet are added.
Launch selectKernel(mlir::Operation *op, llvm::SmallVectorImpl<mlir::Attribute> &workLists);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_SELECTKERNEL_H
