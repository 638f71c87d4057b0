// Passes that look and change nothing.
#ifndef KERF_ANALYSIS_PASSES_TD
#define KERF_ANALYSIS_PASSES_TD

include "mlir/Pass/PassBase.td"

def PrintCosts : Pass<"kerf-print-costs", "::mlir::ModuleOp"> {
  let summary = "Print the bytes and operations of each op, layer and program";
  let description = [{
    One line for each op that reports a cost, as a linear form over the extents of a step
    (`131072 + 1536*tokens`), a total for each layer and each program, and what the model keeps: bytes of its weights
    by format and bytes of each position in each KV group. Planned programs (`kerf.program`) are printed by dispatch.
    With `tokens` the forms are evaluated for one step of that many rows, `sequences` sequences with `past` keys each
    before the step, and operations for each byte are shown.

    - Needs: any module; a module pass because costs of attention need the module's KV groups.
    - Leaves: everything.
    - Skips: ops inside loops, whose trip counts it does not know. They and ops that report no cost are counted at the
      end of their program under their names.
  }];
  let options = [
    Option<"perOp", "per-op", "bool", "true", "Print a line for each op, not only totals">,
    Option<"tokens", "tokens", "int64_t", "0", "Rows of the step to evaluate for; 0 prints the forms alone">,
    Option<"sequences", "sequences", "int64_t", "1", "Sequences of the step; the rows are spread evenly">,
    Option<"past", "past", "int64_t", "0", "Keys that each sequence has before the step">,
    Option<"logitRows", "logit-rows", "int64_t", "0", "Rows that want logits; 0 means one for each sequence">,
    Option<"attentionTile", "attention-tile", "int64_t", "16", "Most rows in one entry of the attention work list">
  ];
}

#endif // KERF_ANALYSIS_PASSES_TD
