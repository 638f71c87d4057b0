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
/// All launches of a program share it. A form of zeros: none. Nothing: the target has no such kernel.
using ScratchOf = llvm::function_ref<std::optional<LinearForm>(const Spec &)>;

/// Turns each planned program of the module into a kerf.program, and collects its kernels. Fails with a diagnostic on
/// an op that has no kernel and on operands that are no memory.
mlir::LogicalResult lowerPrograms(mlir::ModuleOp module, KernelTable &kernels, ScratchOf scratch);

/// The variants of those names among a target's, or all of them where there are no names. Fails with a diagnostic that
/// lists them on a name that is none.
template <typename Variant>
llvm::FailureOr<llvm::SmallVector<const Variant *>>
chooseVariants(mlir::ModuleOp module, llvm::ArrayRef<std::string> names, llvm::ArrayRef<Variant> known) {
  llvm::SmallVector<const Variant *> chosen;
  for (const std::string &name : names) {
    const Variant *variant = llvm::find_if(known, [&](const Variant &each) { return name == each.name; });
    if (variant == known.end()) {
      mlir::InFlightDiagnostic diag = module.emitError("variants must be among");
      for (const Variant &each : known)
        diag << " " << each.name;
      return diag << ", got " << name;
    }
    chosen.push_back(variant);
  }
  if (chosen.empty())
    for (const Variant &each : known)
      chosen.push_back(&each);
  return chosen;
}

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_LOWERPROGRAMS_H
