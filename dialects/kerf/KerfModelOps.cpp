// Verifiers of the ops that say what a model consists of.
#include "dialects/kerf/KerfDialect.h"

using namespace mlir;
using namespace kerf;

LogicalResult ModelOp::verify() {
  // C1
  if (auto module = dyn_cast<ModuleOp>((*this)->getParentOp()))
    for (ModelOp other : module.getOps<ModelOp>()) {
      if (other == *this)
        break;
      InFlightDiagnostic diag = emitOpError("must be the only one of its module");
      diag.attachNote(other.getLoc()) << "the first one is here";
      return diag;
    }
  // C2
  if (getContext() <= 0 || getVocabulary() <= 0 || getHidden() <= 0 || getLayers() <= 0)
    return emitOpError("context, vocabulary, hidden and layers must be positive, got ")
           << getContext() << ", " << getVocabulary() << ", " << getHidden() << ", " << getLayers();
  return success();
}

LogicalResult WeightOp::verify() {
  auto source = cast<SourceAttrInterface>(getSource());
  // C1
  if (SmallVector<int64_t> shape = source.getShape(); ArrayRef<int64_t>(shape) != getTensorType().getShape())
    return emitOpError("source must have the shape of ") << getTensorType() << ", got [" << shape << "]";
  // C2
  Type stored = getFormat().getDenseElementType();
  if (stored && stored != getTensorType().getElementType())
    return emitOpError("dense format must store ") << getTensorType().getElementType() << ", got " << stored;
  // C3
  if (source.getElementType() != getTensorType().getElementType())
    return emitOpError("source must have the element type of ")
           << getTensorType() << ", got " << source.getElementType();
  return success();
}

LogicalResult GetWeightOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1
  auto weight = symbolTable.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError("weight must name a kerf.weight, got ") << getWeightAttr();
  if (weight.getTensorType() != getResult().getType()) {
    InFlightDiagnostic diag = emitOpError("result must be ")
                              << weight.getTensorType() << ", got " << getResult().getType();
    diag.attachNote(weight.getLoc()) << "the weight is defined here";
    return diag;
  }
  return success();
}

LogicalResult KvGroupOp::verify() {
  // C1
  if (getPlanes() <= 0 || getHeads() <= 0 || getHeadDim() <= 0 || getPageSize() <= 0)
    return emitOpError("planes, heads, head_dim and page_size must be positive, got ")
           << getPlanes() << ", " << getHeads() << ", " << getHeadDim() << ", " << getPageSize();
  // C2
  if (getPageSize() % 16 != 0)
    return emitOpError("page_size must be a multiple of 16, got ") << getPageSize();
  // C3
  if (getHeadDim() % 2 != 0)
    return emitOpError("head_dim must be even, got ") << getHeadDim();
  // C4
  constexpr int64_t limit = int64_t(1) << 30;
  if (getHeads() >= limit || getHeadDim() >= limit || getHeads() * getHeadDim() >= limit)
    return emitOpError("heads * head_dim must be below ") << limit << ", got " << getHeads() << " * " << getHeadDim();
  return success();
}
