// Turns planned programs into lists of dispatches and writes their GPU kernels, each once for all ops that share it.
// Programs that give logits end in the drawing of tokens, which is no op of the dialect: what a caller wants of a row
// is the step's affair, as are positions and pages.
#include "codegen/kernels/LowerPrograms.h"
#include "codegen/nvptx/Kernels.h"
#include "codegen/nvptx/Passes.h"
#include "dialects/kerf/KerfPrograms.h"

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
    auto scratch = [&](const Spec &spec) { return scratchOf(spec, invariant); };
    if (failed(chosen) || failed(lowerPrograms(getOperation(), kernels, scratch)))
      return signalPassFailure();
    for (auto program : getOperation().getOps<ProgramOp>())
      appendSampling(program);
    for (const Variant *variant : *chosen)
      if (failed(emitVariant(invariant ? makeInvariant(*variant) : *variant)))
        return signalPassFailure();
  }

private:
  /// Draws a token for each row of the program's logits, if it gives any.
  void appendSampling(ProgramOp program) {
    SmallVector<Attribute> results(program.getResults().getValue()), slots(program.getSlots().getValue());
    const auto *logits = llvm::find_if(
        results, [](Attribute result) { return cast<ResultAttr>(result).getKind() == ResultKind::Logits; });
    if (logits == results.end())
      return;
    const int64_t vocabulary = cast<ResultAttr>(*logits).getColumns();
    OpBuilder builder = OpBuilder::atBlockEnd(&program.getBody().front());
    MLIRContext *context = builder.getContext();
    const SampleSpec spec{vocabulary};
    const StringAttr key = builder.getStringAttr("sample_v" + Twine(vocabulary));
    samplers.insert({key, spec});
    const Attribute operands[] = {ResultRefAttr::get(context, logits - results.begin()),
                                  StepRefAttr::get(context, StepField::Sampling, {}, 0),
                                  ResultRefAttr::get(context, results.size()), SlotRefAttr::get(context, slots.size())};
    // Each logit is read and, where a token is drawn, weighed: a difference and a product.
    const int64_t bytes = vocabulary * 4 + int64_t(sizeof(kerf_sampling)) + 4;
    DispatchOp::create(builder, program.getLoc(), key, builder.getArrayAttr(operands), Extent::LogitRows, "sample",
                       getSizeAttr(context, LinearForm::of(bytes, KERF_EXTENT_LOGIT_ROWS)),
                       getSizeAttr(context, LinearForm::of(2 * vocabulary, KERF_EXTENT_LOGIT_ROWS)));
    results.push_back(ResultAttr::get(context, ResultKind::Tokens, 1));
    slots.push_back(getSizeAttr(context, scratchOf(spec)));
    program.setResultsAttr(builder.getArrayAttr(results));
    program.setSlotsAttr(builder.getArrayAttr(slots));
  }

  LogicalResult emitVariant(const Variant &variant) {
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    Location loc = getOperation().getLoc();
    auto op = VariantOp::create(builder, loc, variant.name, variant.attentionTile, /*object=*/nullptr);
    builder.createBlock(&op.getBody());
    auto module = gpu::GPUModuleOp::create(builder, loc, "kernels");
    builder.setInsertionPoint(module);
    auto emit = [&](StringAttr key, const auto &spec) {
      const Launches launches = emitKernel(module, variant, key.getValue(), spec);
      GpuKernelOp::create(builder, loc, FlatSymbolRefAttr::get(key),
                          builder.getArrayAttr(SmallVector<Attribute>(launches.begin(), launches.end())));
    };
    for (auto &[key, spec] : kernels)
      std::visit([&](const auto &s) { emit(key, s); }, spec);
    for (auto &[key, spec] : samplers)
      emit(key, spec);
    if (variant.invariant && !getOrderBands(op).invariant())
      return op.emitOpError("is to be invariant, but has kernels that add up in several orders");
    return success();
  }

  KernelTable kernels;
  /// The same for what draws tokens.
  llvm::MapVector<StringAttr, SampleSpec> samplers;
};

} // namespace
