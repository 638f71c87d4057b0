//===- LowerPrograms.cpp - planned programs into lists of dispatches ------===//
#include "codegen/kernels/LowerPrograms.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::kernels;

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

/// Lowers the programs of one module.
class ProgramLowering {
public:
  ProgramLowering(ModuleOp module, KernelTable &kernels, ScratchOf scratch)
      : module(module), kernels(kernels), scratch(scratch) {}

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
    scratchSlot = slots.size();

    SmallVector<Attribute> results, workLists;
    if (failed(collectResults(function, results)))
      return failure();
    auto program = ProgramOp::create(builder, function.getLoc(), function.getSymName(), builder.getArrayAttr({}),
                                     builder.getArrayAttr({}), builder.getArrayAttr(results));
    builder.createBlock(&program.getBody());
    for (Operation &op : function.getBody().front())
      if (failed(lowerOp(&op, builder, workLists)))
        return failure();
    if (scratchSize.coefficient != LinearForm().coefficient)
      slots.push_back(scratchSize);
    SmallVector<Attribute> sizes;
    for (const LinearForm &slot : slots)
      sizes.push_back(getSizeAttr(module.getContext(), slot));
    program.setSlotsAttr(builder.getArrayAttr(sizes));
    program.setWorkListsAttr(builder.getArrayAttr(workLists));
    function.erase();
    return success();
  }

private:
  /// What the program gives, in order. Values that are no tensors (the cache) come after them.
  LogicalResult collectResults(func::FuncOp function, SmallVectorImpl<Attribute> &results) {
    ModelOp model = getModel(module);
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
      results.push_back(
          ResultAttr::get(module.getContext(), logits ? ResultKind::Logits : ResultKind::Vectors, columns));
    }
    return success();
  }

  LogicalResult lowerOp(Operation *op, OpBuilder &builder, SmallVectorImpl<Attribute> &workLists) {
    // What only describes operands, or ends the program.
    if (isa<func::ReturnOp, ExtentOp, BatchFieldOp, WorkListOp, GetWeightOp, SlotOp, ResultOp>(op))
      return success();
    Launch launch = selectKernel(op, workLists);
    const std::optional<LinearForm> needed = launch.key.empty() ? std::nullopt : scratch(launch.spec);
    if (!needed)
      return op->emitOpError("has no kernel for this target; lower it to ops that have one before this pass");
    if (Value value = launch.unplanned)
      return op->emitOpError("operands must be slots, results, weights, work lists or arrays of the step, got ")
             << value << "; run kerf-plan-memory first";
    Cost cost = cast<CostOpInterface>(op).getCost();
    if (needed->coefficient != LinearForm().coefficient) {
      launch.operands.push_back(SlotRefAttr::get(builder.getContext(), scratchSlot));
      for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
        scratchSize.coefficient[e] = std::max(scratchSize.coefficient[e], needed->coefficient[e]);
    }
    kernels.insert({builder.getStringAttr(launch.key), launch.spec});
    DispatchOp::create(builder, op->getLoc(), launch.key, builder.getArrayAttr(launch.operands), launch.rows,
                       getOrigin(op), getSizeAttr(module.getContext(), cost.bytes),
                       getSizeAttr(module.getContext(), cost.operations));
    return success();
  }

  ModuleOp module;
  KernelTable &kernels;
  ScratchOf scratch;
  /// The slot behind the planned ones, and what the kernels need of it.
  int64_t scratchSlot = 0;
  LinearForm scratchSize = {};
};

} // namespace

LogicalResult kerf::kernels::lowerPrograms(ModuleOp module, KernelTable &kernels, ScratchOf scratch) {
  for (auto program : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (isProgram(program) && failed(ProgramLowering(module, kernels, scratch).lowerProgram(program)))
      return failure();
  return success();
}
