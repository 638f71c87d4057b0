// The phases of compilation that turn a graph into a graph.
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"

using namespace mlir;

void kerf::buildOptimizePhase(OpPassManager &pm, const OptimizePhaseOptions &options) {
  if (options.fuse) {
    // Projections first: they start from attention, and their linears never end in a residual sum.
    pm.addPass(createFuseProjections());
    pm.nest<func::FuncOp>().addPass(createFuseEpilogues({.append = options.fuseAppend}));
  }
  pm.addPass(createCanonicalizerPass());
  // After the canonicalizer, which leaves equal constants and destinations behind.
  pm.nest<func::FuncOp>().addPass(createCSEPass());
}

void kerf::buildMemoryPhase(OpPassManager &pm) { pm.addPass(createPlanMemory()); }

void kerf::registerPipelines() {
  PassPipelineRegistration<OptimizePhaseOptions>("kerf-optimize", "The optimize phase: fuse what belongs together",
                                                 buildOptimizePhase);
  PassPipelineRegistration<>("kerf-memory", "The memory phase: give every destination a slot of one arena",
                             buildMemoryPhase);
}
