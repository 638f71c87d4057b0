// Verifiers of planned programs.
#include "dialects/kerf/KerfDialect.h"

using namespace mlir;
using namespace kerf;

LogicalResult SlotOp::verify() {
  // C1
  if (getIndex() < 0)
    return emitOpError("index must not be negative, got ") << getIndex();
  return success();
}

LogicalResult DispatchOp::verify() {
  // C1
  for (Attribute operand : getOperands_())
    if (!isa<SlotRefAttr, WeightRefAttr, StepRefAttr, CacheRefAttr, ResultRefAttr>(operand))
      return emitOpError("operands must be slot_ref, weight_ref, step_ref, cache_ref or result_ref, got ") << operand;
  return success();
}

LogicalResult KernelOp::verify() {
  // C1
  if (getTile() <= 0 || getColumns() <= 0 || getStack() < 0)
    return emitOpError("tile and columns must be positive and stack not negative, got ")
           << getTile() << ", " << getColumns() << " and " << getStack();
  return success();
}
