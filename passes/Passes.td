// Graph-to-graph passes.
#ifndef KERF_PASSES_TD
#define KERF_PASSES_TD

include "mlir/Pass/PassBase.td"

def FuseProjections : Pass<"kerf-fuse-projections", "::mlir::ModuleOp"> {
  let summary = "Make one linear of the query, key and value projections, and one op of what follows them";
  let description = [{
    Where the queries of a `kerf.attention` and the keys and values of the `kerf.kv_append` before it are linears of one
    input, joins the three weights (and biases) by a concatenating source expression into one `kerf.linear`, and the
    head norms and rotations, where there are any, and the append into one `kerf.rope_append`. The input is read once
    and a layer has two dispatches in place of up to eight.

    - Needs: tensors, before memory planning. A module pass: it adds and removes weights.
    - Leaves: projections whose parts are read by anything else or have different element types; queries and keys of
      which one is rotated, or both by different tables.
  }];
  let dependentDialects = ["::kerf::KerfDialect"];
}

def FuseEpilogues : InterfacePass<"kerf-fuse-epilogues", "::mlir::FunctionOpInterface"> {
  let summary = "Fold activations, gating, residual sums and appends into the linears that feed them";
  let description = [{
    `kerf.gate` of two linears of one input becomes `kerf.gated_linear`; `kerf.activation` of a linear becomes the
    linear's activation and `kerf.add` of a linear its residual operand. With `append`, a `kerf.rope_append` of a linear
    becomes `kerf.linear_rope_append`, for targets that have a kernel for it: GPUs. The sums in between are no longer
    rounded or stored.

    - Needs: tensors, before memory planning.
    - Leaves: linears with other readers; linears that already have a residual; gates of activated linears; appends
      with head norms.
  }];
  let options = [Option<"append", "append", "bool", "false", "Fold rotations and appends">];
  let dependentDialects = ["::kerf::KerfDialect"];
}

def PlanMemory : Pass<"kerf-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Give every destination a slot of one arena";
  let description = [{
    Inlines the layers of each program and replaces every `tensor.empty` by a `kerf.slot`, and the destination of what
    the program returns by a `kerf.result`. Values whose lives overlap get different slots; among the free slots the
    one that grows least is taken. A slot's size is the maximum of its users' sizes, extent by extent, so that the
    arena of every smaller step fits into the offsets of the largest.

    - Needs: programs (`func.func` over a batch and a cache) in destination style.
    - Leaves: functions that take no batch.
  }];
  let dependentDialects = ["::kerf::KerfDialect"];
}

#endif // KERF_PASSES_TD
