// Turns planned programs into lists of dispatches and writes their GPU kernels, each once for all ops that share it.
#include "codegen/kernels/LowerPrograms.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Passes.h"

namespace kerf::nvptx {
#define GEN_PASS_DEF_EMITNVPTXKERNELS
#include "codegen/nvptx/Passes.h.inc"
} // namespace kerf::nvptx

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;

namespace {

struct EmitNvptxKernelsPass : nvptx::impl::EmitNvptxKernelsBase<EmitNvptxKernelsPass> {
  using EmitNvptxKernelsBase::EmitNvptxKernelsBase;

  void runOnOperation() override {
    auto chosen = chooseVariants(getOperation(), variants, nvptx::variants());
    if (failed(chosen) || failed(lowerPrograms(getOperation(), kernels, scratchOf)))
      return signalPassFailure();
    for (const Variant *variant : *chosen)
      emitVariant(*variant);
  }

private:
  void emitVariant(const Variant &variant) {
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    Location loc = getOperation().getLoc();
    auto op = VariantOp::create(builder, loc, variant.name, variant.attentionTile, /*object=*/nullptr);
    builder.createBlock(&op.getBody());
    auto module = gpu::GPUModuleOp::create(builder, loc, "kernels");
    builder.setInsertionPoint(module);
    for (auto &[key, spec] : kernels) {
      const Launches launches =
          std::visit([&](const auto &s) { return emitKernel(module, variant, key.getValue(), s); }, spec);
      GpuKernelOp::create(builder, loc, FlatSymbolRefAttr::get(key),
                          builder.getArrayAttr(SmallVector<Attribute>(launches.begin(), launches.end())));
    }
  }

  KernelTable kernels;
};

} // namespace
