// Matrix products with weights.
#include "codegen/reference/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

static void lower(LinearOp op, Emitter &e) {
  Value input = e.get(op.getInput()), weight = e.get(op.getWeight());
  Value bias = op.getBias() ? e.get(op.getBias()) : Value();
  Value residual = op.getResidual() ? e.get(op.getResidual()) : Value();
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    Value sum = e.product(input, weight, bias, row, column);
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
    Value gated = e.activate(op.getActivation(), e.product(input, gate, gateBias, row, column));
    return e.mul(gated, e.product(input, up, upBias, row, column));
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
