// The passes that turn a planned graph into kernels for NVIDIA GPUs.
#ifndef KERF_CODEGEN_NVPTX_PASSES_TD
#define KERF_CODEGEN_NVPTX_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitNvptxKernels : Pass<"kerf-emit-nvptx-kernels", "::mlir::ModuleOp"> {
  let summary = "Make each program a list of dispatches, and write its kernels for every GPU variant";
  let description = [{
    Each op of a planned program becomes one `kerf.dispatch`. A kernel is written once for each combination of op,
    shapes, formats and options and gets its weights by address, so that equal layers and several programs share it.
    It is one or more functions that are launched in order, each for some numbers of rows. The functions of one variant
    stand in one `gpu.module` inside a `kerf.variant`, as `llvm.func` with bodies of `scf`, `arith`, `nvvm` and `llvm`
    ops. A kernel that needs memory for itself gets a slot behind the planned ones, which all share. A program that
    gives logits ends in a dispatch that draws tokens from them, its last result.

    - Needs: programs as `kerf-plan-memory` leaves them.
    - Leaves: a `kerf.program` in place of each function, and the variants.
  }];
  let options = [
    ListOption<"variants", "variants", "std::string", "GPU variants to write, in ascending order; all if empty">,
    Option<"invariant", "invariant", "bool", "false",
           "Let a row's bits depend on nothing but its own sequence, not on the number of rows beside it">
  ];
  let dependentDialects = ["::kerf::KerfDialect", "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
                           "::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

#endif // KERF_CODEGEN_NVPTX_PASSES_TD
