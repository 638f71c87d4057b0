// Turns planned programs into lists of dispatches and writes their kernels, each once for all ops that share it.
#include "codegen/x86/Passes.h"
#include "codegen/x86/SelectKernel.h"
#include "dialects/kerf/KerfPrograms.h"

#include "llvm/ADT/MapVector.h"

namespace kerf::x86 {
#define GEN_PASS_DEF_EMITX86KERNELS
#include "codegen/x86/Passes.h.inc"
} // namespace kerf::x86

using namespace mlir;
using namespace kerf;
using namespace kerf::x86;

namespace {

/// Collects the names in a location, in order.
void collectNames(Location loc, SmallVectorImpl<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc))
    names.push_back(name.getName());
  else if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      collectNames(part, names);
}

/// Where in the model an op comes from: "layers.3.attn.q+k+v" for an op fused of three.
std::string getOrigin(Operation *op) {
  SmallVector<StringRef> names;
  collectNames(op->getLoc(), names);
  if (names.empty())
    return op->getName().stripDialect().str();
  std::string origin = names.front().str();
  StringRef path = names.front().rsplit('.').first;
  for (StringRef name : ArrayRef<StringRef>(names).drop_front()) {
    // The whole that the parts belong to says nothing new.
    if (name == path)
      continue;
    auto [otherPath, last] = name.rsplit('.');
    origin += "+" + (last.empty() || otherPath != path ? name : last).str();
  }
  return origin;
}

struct EmitX86KernelsPass : x86::impl::EmitX86KernelsBase<EmitX86KernelsPass> {
  using EmitX86KernelsBase::EmitX86KernelsBase;

  void runOnOperation() override {
    SmallVector<const Variant *> chosen;
    if (failed(chooseVariants(chosen)))
      return signalPassFailure();
    for (auto program : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isProgram(program) && failed(lowerProgram(program)))
        return signalPassFailure();
    for (const Variant *variant : chosen)
      emitVariant(*variant);
  }

private:
  LogicalResult chooseVariants(SmallVectorImpl<const Variant *> &chosen) {
    for (const std::string &name : variants) {
      const Variant *variant = findVariant(name);
      if (!variant) {
        InFlightDiagnostic diag = getOperation().emitError("variants must be among");
        for (const Variant &known : x86::variants())
          diag << " " << known.name;
        return diag << ", got " << name;
      }
      chosen.push_back(variant);
    }
    if (chosen.empty())
      for (const Variant &variant : x86::variants())
        chosen.push_back(&variant);
    return success();
  }

  LogicalResult lowerProgram(func::FuncOp function) {
    OpBuilder builder(function);
    SmallVector<LinearForm> slots;
    function.walk([&](SlotOp slot) {
      slots.resize(std::max<size_t>(slots.size(), slot.getIndex() + 1));
      LinearForm size = getLinearForm(slot.getSize());
      for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e) {
        int64_t &most = slots[slot.getIndex()].coefficient[e];
        most = std::max(most, size.coefficient[e]);
      }
    });
    SmallVector<Attribute> sizes;
    for (const LinearForm &slot : slots)
      sizes.push_back(getSizeAttr(&getContext(), slot));

    SmallVector<Attribute> results, workLists;
    if (failed(collectResults(function, results)))
      return failure();
    auto program = ProgramOp::create(builder, function.getLoc(), function.getSymName(), builder.getArrayAttr(sizes),
                                     builder.getArrayAttr({}), builder.getArrayAttr(results));
    builder.createBlock(&program.getBody());
    for (Operation &op : function.getBody().front())
      if (failed(lowerOp(&op, builder, workLists)))
        return failure();
    program.setWorkListsAttr(builder.getArrayAttr(workLists));
    function.erase();
    return success();
  }

  /// What the program gives, in order. Values that are no tensors (the cache) come after them.
  LogicalResult collectResults(func::FuncOp function, SmallVectorImpl<Attribute> &results) {
    ModelOp model = getModel(getOperation());
    Operation *end = function.getBody().front().getTerminator();
    for (OpOperand &output : end->getOpOperands()) {
      auto type = dyn_cast<RankedTensorType>(output.get().getType());
      if (!type)
        continue;
      const int64_t columns = type.getRank() == 2 ? type.getDimSize(1) : ShapedType::kDynamic;
      const Extent rows = getRowExtent(output.get());
      const bool logits = rows == Extent::LogitRows && (!model || columns == model.getVocabulary());
      if (!type.getElementType().isF32() || ShapedType::isDynamic(columns) || (!logits && rows != Extent::Sequences))
        return end->emitOpError("output ")
               << output.getOperandNumber()
               << " must be f32: logits (logit_rows rows of the vocabulary) or vectors (sequences rows), got " << type
               << " of " << stringifyExtent(rows) << " rows";
      if (output.getOperandNumber() != results.size())
        return end->emitOpError("outputs that are tensors must come first, got ") << type << " after the cache";
      results.push_back(ResultAttr::get(&getContext(), logits ? ResultKind::Logits : ResultKind::Vectors, columns));
    }
    return success();
  }

  LogicalResult lowerOp(Operation *op, OpBuilder &builder, SmallVectorImpl<Attribute> &workLists) {
    // What only describes operands, or ends the program.
    if (isa<func::ReturnOp, ExtentOp, BatchFieldOp, WorkListOp, GetWeightOp, SlotOp, ResultOp>(op))
      return success();
    Launch launch = selectKernel(op, workLists);
    if (!launch.emit)
      return op->emitOpError("has no kernel for x86; lower it to ops that have one before this pass");
    if (Value value = launch.unplanned)
      return op->emitOpError("operands must be slots, results, weights, work lists or arrays of the step, got ")
             << value << "; run kerf-plan-memory first";
    Cost cost = cast<CostOpInterface>(op).getCost();
    kernels.insert({builder.getStringAttr(launch.key), launch.emit});
    DispatchOp::create(builder, op->getLoc(), launch.key, builder.getArrayAttr(launch.operands), launch.rows,
                       getOrigin(op), getSizeAttr(&getContext(), cost.bytes),
                       getSizeAttr(&getContext(), cost.operations));
    return success();
  }

  void emitVariant(const Variant &variant) {
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    Location loc = getOperation().getLoc();
    auto op = VariantOp::create(builder, loc, variant.name, variant.attentionTile, /*object=*/nullptr);
    builder.createBlock(&op.getBody());
    auto module = ModuleOp::create(builder, loc);
    builder.setInsertionPoint(module);
    for (auto &[key, emit] : kernels) {
      KernelInfo info = emit(module, variant, (key.getValue() + "." + variant.name).str());
      KernelOp::create(builder, loc, FlatSymbolRefAttr::get(&getContext(), info.name),
                       builder.getI64IntegerAttr(info.tile), builder.getI64IntegerAttr(info.columns),
                       builder.getI64IntegerAttr(info.stackBytes));
    }
  }

  llvm::MapVector<StringAttr, KernelEmitter> kernels;
};

} // namespace
