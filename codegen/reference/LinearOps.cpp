// Matrix products with weights.
#include "codegen/reference/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

/// `sum over k of input[row, k] * weight[column, k]`, plus `bias[column]` if there is one.
static Value product(Emitter &e, Value input, Value weight, Value bias, Value row, Value column) {
  Value sum =
      e.dot(e.dim(weight, 1), [&](Value k) { return std::pair(e.load(input, {row, k}), e.load(weight, {column, k})); });
  return bias ? e.add(sum, e.load(bias, {column})) : sum;
}

static void lower(LinearOp op, Emitter &e) {
  Value input = e.get(op.getInput()), weight = e.get(op.getWeight());
  Value bias = op.getBias() ? e.get(op.getBias()) : Value();
  Value residual = op.getResidual() ? e.get(op.getResidual()) : Value();
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    Value sum = product(e, input, weight, bias, row, column);
    if (std::optional<Activation> activation = op.getActivation())
      sum = e.activate(*activation, sum);
    return residual ? e.add(sum, e.load(residual, {row, column})) : sum;
  }));
}

static void lower(GatedLinearOp op, Emitter &e) {
  Value input = e.get(op.getInput()), gate = e.get(op.getGate()), up = e.get(op.getUp());
  Value gateBias = op.getGateBias() ? e.get(op.getGateBias()) : Value();
  Value upBias = op.getUpBias() ? e.get(op.getUpBias()) : Value();
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    Value gated = e.activate(op.getActivation(), product(e, input, gate, gateBias, row, column));
    return e.mul(gated, product(e, input, up, upBias, row, column));
  }));
}

LogicalResult reference::lowerLinearOp(Operation *op, Emitter &emitter) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<LinearOp, GatedLinearOp>([&](auto op) {
        lower(op, emitter);
        return success();
      })
      .Default(failure());
}
