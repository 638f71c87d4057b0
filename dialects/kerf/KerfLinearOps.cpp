// Verifiers and costs of matrix products.
#include "dialects/kerf/KerfProducts.h"

using namespace mlir;
using namespace kerf;

LogicalResult kerf::checkProduct(Operation *op, RankedTensorType input, RankedTensorType weight,
                                 TypedValue<RankedTensorType> bias) {
  if (llvm::is_contained(weight.getShape(), 0))
    return op->emitOpError("weight must have in and out features, got ") << weight;
  if (input.getDimSize(1) != weight.getDimSize(1))
    return op->emitOpError("input must have ")
           << weight.getDimSize(1) << " columns, as " << weight << ", got " << input;
  if (bias && bias.getType().getDimSize(0) != weight.getDimSize(0))
    return op->emitOpError("bias must have ") << weight.getDimSize(0) << " elements, got " << bias.getType();
  return success();
}

LinearForm kerf::getProductOperations(Value weight, Value init) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t each = 2 * type.getDimSize(0) * type.getDimSize(1);
  return getRows(init) * each;
}

LogicalResult LinearOp::verify() {
  auto input = getInput().getType(), weight = getWeight().getType(), init = getInit().getType();
  // C1, C3
  if (failed(checkProduct(*this, input, weight, getBias())))
    return failure();
  // C2
  if (init.getDimSize(0) != input.getDimSize(0) || init.getDimSize(1) != weight.getDimSize(0))
    return emitOpError("init must have the rows of ")
           << input << " and " << weight.getDimSize(0) << " columns, got " << init;
  // C4
  if (getResidual() && getResidual().getType().getShape() != init.getShape())
    return emitOpError("residual must have the shape of ") << init << ", got " << getResidual().getType();
  return success();
}

Cost LinearOp::getCost() {
  LinearForm bytes = getBytes(getInput()) + getWeightBytes(getWeight()) + getBytes(getInit());
  if (getBias())
    bytes += getWeightBytes(getBias());
  if (getResidual())
    bytes += getBytes(getResidual());
  return {bytes, getProductOperations(getWeight(), getInit())};
}

LogicalResult GatedLinearOp::verify() {
  auto input = getInput().getType(), gate = getGate().getType(), init = getInit().getType();
  // C1, C4
  if (failed(checkProduct(*this, input, gate, getGateBias())) || failed(checkProduct(*this, input, gate, getUpBias())))
    return failure();
  // C2
  if (gate != getUp().getType())
    return emitOpError("gate and up must have the same type, got ") << gate << " and " << getUp().getType();
  // C3
  if (init.getDimSize(0) != input.getDimSize(0) || init.getDimSize(1) != gate.getDimSize(0))
    return emitOpError("init must have the rows of ")
           << input << " and " << gate.getDimSize(0) << " columns, got " << init;
  // C4
  if (!getGateBias() != !getUpBias())
    return emitOpError("must have both biases or none");
  return success();
}

Cost GatedLinearOp::getCost() {
  LinearForm bytes = getBytes(getInput()) + getWeightBytes(getGate()) * 2 + getBytes(getInit());
  if (getGateBias())
    bytes += getWeightBytes(getGateBias()) * 2;
  return {bytes, getProductOperations(getGate(), getInit()) * 2};
}
