// The passes that turn a planned graph into kernels for NVIDIA GPUs.
#ifndef KERF_CODEGEN_NVPTX_PASSES_H
#define KERF_CODEGEN_NVPTX_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassOptions.h"

namespace kerf::nvptx {

#define GEN_PASS_DECL
#include "codegen/nvptx/Passes.h.inc"

/// Generated: registers each pass under its argument.
#define GEN_PASS_REGISTRATION
#include "codegen/nvptx/Passes.h.inc"

/// What the kernels phase writes.
struct KernelsPhaseOptions : mlir::PassPipelineOptions<KernelsPhaseOptions> {
  ListOption<std::string> variants{*this, "variants",
                                   llvm::cl::desc("GPU variants to write, in ascending order; all if empty")};
  Option<bool> invariant{*this, "invariant", llvm::cl::init(false),
                         llvm::cl::desc("Let a row's bits depend on nothing but its own sequence")};
};

/// Planned graph to dispatches and kernels.
void buildKernelsPhase(mlir::OpPassManager &pm, const KernelsPhaseOptions &options);

/// Kernels to the llvm dialect.
void buildLLVMPhase(mlir::OpPassManager &pm);

/// Registers the phases as `--kerf-nvptx-kernels` and `--kerf-nvptx-llvm`.
void registerPipelines();

} // namespace kerf::nvptx
#endif // KERF_CODEGEN_NVPTX_PASSES_H
