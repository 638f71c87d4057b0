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

/// Specs of kernels that there are; the others are those of GPUs.
template <typename S>
concept HasKernel = requires(ModuleOp module, const Variant &variant, const S &spec) {
  emitKernel(module, variant, llvm::StringRef(), spec);
};

/// Kernels need no memory for themselves.
std::optional<LinearForm> scratchOf(const Spec &spec) {
  const bool known = std::visit([]<typename S>(const S &) { return HasKernel<S>; }, spec);
  return known ? std::optional(LinearForm()) : std::nullopt;
}

struct EmitX86KernelsPass : x86::impl::EmitX86KernelsBase<EmitX86KernelsPass> {
  using EmitX86KernelsBase::EmitX86KernelsBase;

  void runOnOperation() override {
    auto chosen = chooseVariants(getOperation(), variants, x86::variants());
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
    auto module = ModuleOp::create(builder, loc);
    builder.setInsertionPoint(module);
    for (auto &[key, spec] : kernels) {
      const std::string name = (key.getValue() + "." + variant.name).str();
      KernelInfo info = std::visit(
          [&]<typename S>(const S &s) -> KernelInfo {
            if constexpr (HasKernel<S>)
              return emitKernel(module, variant, name, s);
            llvm_unreachable("lowerPrograms refused it");
          },
          spec);
      KernelOp::create(builder, loc, FlatSymbolRefAttr::get(&getContext(), info.name),
                       builder.getI64IntegerAttr(info.tile), builder.getI64IntegerAttr(info.columns),
                       builder.getI64IntegerAttr(info.stackBytes));
    }
  }

  KernelTable kernels;
};

} // namespace
