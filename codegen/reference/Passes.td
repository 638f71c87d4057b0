// Passes of the reference path.
#ifndef KERF_CODEGEN_REFERENCE_PASSES_TD
#define KERF_CODEGEN_REFERENCE_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerToReference : Pass<"kerf-lower-to-reference", "::mlir::ModuleOp"> {
  let summary = "Lower programs, op by op, to plain loops that compute in f32";
  let description = [{
    Replaces every `func.func` by one over tensors and memrefs that computes the same with `scf`, `tensor`, `arith` and
    `math`: it widens every operand to f32 and rounds where the contract of the op rounds. Slow and obvious: the judge
    of every other lowering.

    - Needs: functions of one block (layers are inlined), dense weights, caches that are read before the append that
      replaces them.
    - Leaves: functions in which no kerf op or type occurs.
    - A batch becomes `token_ids, positions, logit_rows, sequences, indices, slots, lengths` (`tensor<?xi32>`), a cache
      the keys and values of each KV group (`memref<planes x sequences x context x heads x head_dim>`), every weight
      that is read a tensor after the other arguments. Results go out through `@kerf_reference_emit`.
    - A module pass: weights and KV groups are symbols of the module, and go.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
                           "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
  let options = [Option<"record", "record", "bool", "false", "Emit the result of every op, not only the program's">];
}

#endif // KERF_CODEGEN_REFERENCE_PASSES_TD
