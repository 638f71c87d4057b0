// Shows the reference path: what `reference::Program` compiles, as a pass.
#include "codegen/reference/Lowering.h"
#include "codegen/reference/Passes.h"

namespace kerf {
#define GEN_PASS_DEF_LOWERTOREFERENCE
#include "codegen/reference/Passes.h.inc"
} // namespace kerf

using namespace mlir;
using namespace kerf;

namespace {

struct LowerToReferencePass : kerf::impl::LowerToReferenceBase<LowerToReferencePass> {
  using LowerToReferenceBase::LowerToReferenceBase;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (!reference::needsLowering(function))
        continue;
      if (failed(reference::lowerProgram(function, record)))
        return signalPassFailure();
      function.erase();
    }
    for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
      if (isa<ModelOp, WeightOp, KvGroupOp>(op))
        op.erase();
  }
};

} // namespace
