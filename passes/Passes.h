// Graph-to-graph passes and the phases made of them.
#ifndef KERF_PASSES_PASSES_H
#define KERF_PASSES_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassOptions.h"

namespace kerf {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

/// Generated: registers each pass under its argument.
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

/// What the optimize phase may do.
struct OptimizePhaseOptions : mlir::PassPipelineOptions<OptimizePhaseOptions> {
  Option<bool> fuse{*this, "fuse", llvm::cl::desc("Fuse projections, gating and residual sums"), llvm::cl::init(true)};
  Option<bool> fuseAppend{*this, "fuse-append", llvm::cl::desc("Where fuse is on, fuse appends too, for GPUs"),
                          llvm::cl::init(false)};
};

/// Graph to graph: from what `kerf-import` writes to the graph that is compiled.
void buildOptimizePhase(mlir::OpPassManager &pm, const OptimizePhaseOptions &options);

/// Graph to planned graph: every destination a slot or a result.
void buildMemoryPhase(mlir::OpPassManager &pm);

/// Registers the phases as `--kerf-optimize` and `--kerf-memory`.
void registerPipelines();

} // namespace kerf
#endif // KERF_PASSES_PASSES_H
