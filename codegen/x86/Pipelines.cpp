// The phases of compilation that turn a planned graph into code for x86 CPUs.
#include "codegen/x86/Lower.h"
#include "codegen/x86/Passes.h"
#include "dialects/kerf/KerfDialect.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

void kerf::x86::buildKernelsPhase(OpPassManager &pm, const KernelsPhaseOptions &options) {
  EmitX86KernelsOptions emit;
  emit.variants.assign(options.variants.begin(), options.variants.end());
  pm.addPass(createEmitX86Kernels(emit));
}

void kerf::x86::buildLLVMPhase(OpPassManager &pm) { addLoweringPasses(pm.nest<VariantOp>().nest<ModuleOp>()); }

void kerf::x86::registerPipelines() {
  PassPipelineRegistration<KernelsPhaseOptions>(
      "kerf-kernels", "The kernels phase: dispatches, and kernels for every CPU variant", buildKernelsPhase);
  PassPipelineRegistration<>("kerf-llvm", "The llvm phase: kernels in the llvm dialect", buildLLVMPhase);
}
