// The phases of compilation that turn a planned graph into code for NVIDIA GPUs.
#include "codegen/nvptx/Lower.h"
#include "codegen/nvptx/Passes.h"
#include "dialects/kerf/KerfDialect.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

void kerf::nvptx::buildKernelsPhase(OpPassManager &pm, const KernelsPhaseOptions &options) {
  EmitNvptxKernelsOptions emit;
  emit.variants.assign(options.variants.begin(), options.variants.end());
  emit.invariant = options.invariant;
  pm.addPass(createEmitNvptxKernels(emit));
}

void kerf::nvptx::buildLLVMPhase(OpPassManager &pm) {
  addLoweringPasses(pm.nest<VariantOp>().nest<gpu::GPUModuleOp>());
}

void kerf::nvptx::registerPipelines() {
  PassPipelineRegistration<KernelsPhaseOptions>(
      "kerf-nvptx-kernels", "The kernels phase: dispatches, and kernels for every GPU variant", buildKernelsPhase);
  PassPipelineRegistration<>("kerf-nvptx-llvm", "The llvm phase: GPU kernels in the llvm dialect", buildLLVMPhase);
}
