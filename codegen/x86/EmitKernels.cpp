// Turns planned programs into lists of dispatches and writes their kernels, each once for all ops that share it.
#include "codegen/kernels/LowerPrograms.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Passes.h"

namespace kerf::x86 {
#define GEN_PASS_DEF_EMITX86KERNELS
#include "codegen/x86/Passes.h.inc"
} // namespace kerf::x86

using namespace mlir;
using namespace kerf;
using namespace kerf::x86;

namespace {

struct EmitX86KernelsPass : x86::impl::EmitX86KernelsBase<EmitX86KernelsPass> {
  using EmitX86KernelsBase::EmitX86KernelsBase;

  void runOnOperation() override {
    auto chosen = chooseVariants(getOperation(), variants, x86::variants());
    if (failed(chosen) || failed(lowerPrograms(getOperation(), kernels, [](const Spec &) { return LinearForm(); })))
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
    auto module = ModuleOp::create(builder, loc);
    builder.setInsertionPoint(module);
    for (auto &[key, spec] : kernels) {
      const std::string name = (key.getValue() + "." + variant.name).str();
      KernelInfo info = std::visit([&](const auto &s) { return emitKernel(module, variant, name, s); }, spec);
      KernelOp::create(builder, loc, FlatSymbolRefAttr::get(&getContext(), info.name),
                       builder.getI64IntegerAttr(info.tile), builder.getI64IntegerAttr(info.columns),
                       builder.getI64IntegerAttr(info.stackBytes));
    }
  }

  KernelTable kernels;
};

} // namespace
