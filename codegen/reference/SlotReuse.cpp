// The reference path gives every value memory of its own, so a slot shared wrongly would not show there by itself.
#include "codegen/reference/SlotReuse.h"

#include "dialects/kerf/KerfDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

SmallVector<LostRead> reference::findLostReads(func::FuncOp program) {
  SmallVector<LostRead> lost;
  DenseMap<Value, int64_t> slotOf;
  DenseMap<int64_t, Value> heldBy;
  for (Operation &op : program.getBody().front()) {
    SmallVector<std::pair<Value, int64_t>> written;
    if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
      for (int64_t i = 0; i < style.getNumDpsInits(); ++i)
        if (auto slot = style.getDpsInitOperand(i)->get().getDefiningOp<SlotOp>())
          written.emplace_back(style.getTiedOpResult(style.getDpsInitOperand(i)), slot.getIndex());
    for (auto [value, slot] : written)
      heldBy[slot] = value;
    for (OpOperand &operand : op.getOpOperands())
      if (auto slot = slotOf.find(operand.get()); slot != slotOf.end())
        if (Value holder = heldBy.lookup(slot->second); holder != operand.get())
          lost.push_back({&operand, slot->second, holder.getDefiningOp()});
    slotOf.insert(written.begin(), written.end());
  }
  return lost;
}

void reference::poisonLostReads(func::FuncOp program) {
  for (const LostRead &read : findLostReads(program)) {
    Operation *reader = read.operand->getOwner();
    OpBuilder builder(reader);
    Value value = read.operand->get();
    auto type = cast<RankedTensorType>(value.getType());
    Type element = type.getElementType();
    TypedAttr poison = builder.getZeroAttr(element);
    if (auto floats = dyn_cast<FloatType>(element))
      poison = builder.getFloatAttr(floats, APFloat::getNaN(floats.getFloatSemantics()));
    // The slot's sizes are those of the value.
    auto init = cast<DestinationStyleOpInterface>(value.getDefiningOp())
                    .getDpsInits()[cast<OpResult>(value).getResultNumber()]
                    .getDefiningOp<SlotOp>();
    Value number = arith::ConstantOp::create(builder, reader->getLoc(), poison);
    read.operand->set(tensor::SplatOp::create(builder, reader->getLoc(), number, type, init.getSizes()));
  }
}
