// The passes that turn a planned graph into kernels for x86 CPUs.
#ifndef KERF_CODEGEN_X86_PASSES_TD
#define KERF_CODEGEN_X86_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitX86Kernels : Pass<"kerf-emit-x86-kernels", "::mlir::ModuleOp"> {
  let summary = "Make each program a list of dispatches, and write its kernels for every CPU variant";
  let description = [{
    Each op of a planned program becomes one `kerf.dispatch`. A kernel is written once for each combination of op,
    shapes, formats and options and gets its weights by address, so that equal layers and several programs share it.
    Kernels of one variant stand in one module inside a `kerf.variant`, as `llvm.func` with bodies of `scf`, `arith`
    and `llvm` ops.

    - Needs: programs as `kerf-plan-memory` leaves them.
    - Leaves: a `kerf.program` in place of each function, and the variants.
  }];
  let options = [
    ListOption<"variants", "variants", "std::string", "CPU variants to write, in ascending order; all if empty">
  ];
  let dependentDialects = ["::kerf::KerfDialect", "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect"];
}

#endif // KERF_CODEGEN_X86_PASSES_TD
