// Norms, activations, gating and sums.
#include "codegen/reference/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

static void lower(RmsNormOp op, Emitter &e) {
  Value input = e.get(op.getInput()), scale = e.get(op.getScale());
  int64_t run = op.getScale().getType().getDimSize(0);
  int64_t runs = op.getInput().getType().getDimSize(1) / run;
  double eps = op.getEpsAttr().getValueAsDouble();
  Value result = e.empty(op.getInit());
  result = e.loop1(e.dim(result, 0), result, [&](Value row, Value perRow) {
    return e.loop1(e.index(runs), perRow, [&](Value r, Value perRun) {
      Value begin = e.mulIndex(r, run);
      Value inverse = e.inverseRms(run, eps, [&](Value i) { return e.load(input, {row, e.addIndex(begin, i)}); });
      return e.loop1(e.index(run), perRun, [&](Value i, Value tensor) {
        Value column = e.addIndex(begin, i);
        Value normed = e.mul(e.load(input, {row, column}), inverse);
        return e.insert(e.mul(normed, e.load(scale, {i})), tensor, {row, column});
      });
    });
  });
  e.mapping.map(op.getResult(), result);
}

static void lower(LayerNormOp op, Emitter &e) {
  Value input = e.get(op.getInput()), scale = e.get(op.getScale()), bias = e.get(op.getBias());
  int64_t columns = op.getInput().getType().getDimSize(1);
  Value count = e.index(columns);
  Value result = e.empty(op.getInit());
  result = e.loop1(e.dim(result, 0), result, [&](Value row, Value perRow) {
    auto at = [&](Value i) { return e.load(input, {row, i}); };
    Value mean = e.div(e.sum(count, at), e.f32(columns));
    auto centred = [&](Value i) { return e.sub(at(i), mean); };
    Value inverse = e.inverseRms(columns, op.getEpsAttr().getValueAsDouble(), centred);
    return e.loop1(count, perRow, [&](Value i, Value tensor) {
      Value scaled = e.mul(e.mul(centred(i), inverse), e.load(scale, {i}));
      return e.insert(e.add(scaled, e.load(bias, {i})), tensor, {row, i});
    });
  });
  e.mapping.map(op.getResult(), result);
}

static void lower(ActivationOp op, Emitter &e) {
  Value input = e.get(op.getInput());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    return e.activate(op.getActivation(), e.load(input, {row, column}));
  }));
}

static void lower(GateOp op, Emitter &e) {
  Value gate = e.get(op.getGate()), up = e.get(op.getUp());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    return e.mul(e.activate(op.getActivation(), e.load(gate, {row, column})), e.load(up, {row, column}));
  }));
}

static void lower(AddOp op, Emitter &e) {
  Value lhs = e.get(op.getLhs()), rhs = e.get(op.getRhs());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    return e.add(e.load(lhs, {row, column}), e.load(rhs, {row, column}));
  }));
}

LogicalResult reference::lowerElementwiseOp(Operation *op, Emitter &emitter) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<RmsNormOp, LayerNormOp, ActivationOp, GateOp, AddOp>([&](auto op) {
        lower(op, emitter);
        return success();
      })
      .Default(failure());
}
