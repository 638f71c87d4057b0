// Runs a compiled model's kernels on this CPU and says which dispatch computes something else than the reference path.
#ifndef KERF_CODEGEN_VERIFYKERNELS_H
#define KERF_CODEGEN_VERIFYKERNELS_H

#include "codegen/VerifyNumerics.h"
#include "codegen/package/Source.h"

namespace kerf {

/// What was found.
struct KernelsReport {
  /// Variants that were run; the others need what this CPU lacks.
  std::vector<std::string> variants;
  /// Results that were compared, over all variants.
  unsigned compared = 0;
  /// Whether a dispatch differs. The fields below are about the first that does.
  bool diverged = false;
  /// Its variant, kernel and origin.
  std::string variant, kernel, origin;
  /// Relative error of its result.
  double error = 0;
};

/// Links the objects of `compiled`, a module after the object phase, packs its weights, and runs its first program by
/// each variant that this CPU can run, on sequences as VerifyNumerics does. `planned` is the same module after the
/// memory phase: each dispatch is compared with what the op that it comes from gives on the reference path. What it
/// gave is replaced by that then, so that errors do not add up and the first dispatch that differs is the one that is
/// wrong; a value that another was written over stays lost. Accepted are options.tolerance or, where that is 0, 1e-4
/// for results of f32, 1e-2 for f16 and bf16, whose operands are the same numbers on both sides.
///
/// A dispatch that differs is a diagnostic at its op, and in `report`. Fails if the model cannot be linked or run.
llvm::Error verifyKernels(mlir::ModuleOp planned, mlir::ModuleOp compiled, const TensorSource &tensors,
                          const VerifyNumericsOptions &options, KernelsReport &report);

} // namespace kerf
#endif // KERF_CODEGEN_VERIFYKERNELS_H
