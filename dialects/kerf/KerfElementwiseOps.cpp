// Verifiers and costs of norms, activations, gating and sums.
#include "dialects/kerf/KerfDialect.h"

using namespace mlir;
using namespace kerf;

/// Operations of `each` per element of `matrix`.
static LinearForm perElement(Value matrix, int64_t each) {
  return getRows(matrix) * (cast<RankedTensorType>(matrix.getType()).getDimSize(1) * each);
}

LogicalResult RmsNormOp::verify() {
  auto input = getInput().getType(), scale = getScale().getType();
  // C1
  if (scale.getDimSize(0) <= 0 || input.getDimSize(1) % scale.getDimSize(0) != 0)
    return emitOpError("scale must have a length that divides ") << input.getDimSize(1) << ", got " << scale;
  // C2
  if (!(getEpsAttr().getValueAsDouble() > 0))
    return emitOpError("eps must be positive, got ") << getEpsAttr();
  // C3
  if (input.getShape() != getInit().getType().getShape())
    return emitOpError("init must have the shape of ") << input << ", got " << getInit().getType();
  return success();
}

Cost RmsNormOp::getCost() {
  return {getBytes(getInput()) + getWeightBytes(getScale()) + getBytes(getInit()), perElement(getInput(), 4)};
}

LogicalResult LayerNormOp::verify() {
  auto input = getInput().getType();
  // C1
  for (auto vector : {getScale(), getBias()})
    if (vector.getType().getDimSize(0) != input.getDimSize(1))
      return emitOpError("scale and bias must have ") << input.getDimSize(1) << " elements, got " << vector.getType();
  // C2
  if (!(getEpsAttr().getValueAsDouble() > 0))
    return emitOpError("eps must be positive, got ") << getEpsAttr();
  // C3
  if (input.getShape() != getInit().getType().getShape())
    return emitOpError("init must have the shape of ") << input << ", got " << getInit().getType();
  return success();
}

Cost LayerNormOp::getCost() {
  LinearForm weights = getWeightBytes(getScale()) + getWeightBytes(getBias());
  return {getBytes(getInput()) + weights + getBytes(getInit()), perElement(getInput(), 7)};
}

LogicalResult ActivationOp::verify() {
  // C1
  if (getInput().getType().getShape() != getInit().getType().getShape())
    return emitOpError("init must have the shape of ") << getInput().getType() << ", got " << getInit().getType();
  return success();
}

Cost ActivationOp::getCost() { return {getBytes(getInput()) + getBytes(getInit()), perElement(getInput(), 1)}; }

LogicalResult GateOp::verify() {
  auto gate = getGate().getType(), up = getUp().getType(), init = getInit().getType();
  // C1
  if (gate.getShape() != up.getShape() || gate.getShape() != init.getShape())
    return emitOpError("gate, up and init must have the same shape, got ") << gate << ", " << up << " and " << init;
  return success();
}

Cost GateOp::getCost() {
  return {getBytes(getGate()) + getBytes(getUp()) + getBytes(getInit()), perElement(getGate(), 2)};
}

LogicalResult AddOp::verify() {
  auto lhs = getLhs().getType(), rhs = getRhs().getType(), init = getInit().getType();
  // C1
  if (lhs.getShape() != rhs.getShape() || lhs.getShape() != init.getShape())
    return emitOpError("lhs, rhs and init must have the same shape, got ") << lhs << ", " << rhs << " and " << init;
  return success();
}

Cost AddOp::getCost() {
  return {getBytes(getLhs()) + getBytes(getRhs()) + getBytes(getInit()), perElement(getLhs(), 1)};
}
