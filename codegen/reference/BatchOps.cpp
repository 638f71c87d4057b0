// Reading the batch, and choosing rows of it.
#include "codegen/reference/Emitter.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

/// The sum of a `tensor<?xi32>`, each element plus `addend`, as an index.
static Value sumArray(Emitter &e, Value array, int64_t addend) {
  return e.loop1(e.dim(array, 0), e.index(0), [&](Value i, Value total) {
    return e.addIndex(e.addIndex(total, e.loadIndex(array, i)), e.index(addend));
  });
}

static void lower(ExtentOp op, Emitter &e) {
  ArrayRef<Value> batch = e.getAll(op.getBatch());
  auto size = [&]() -> Value {
    switch (op.getExtent()) {
    case Extent::One:
      return e.index(1);
    case Extent::Tokens:
    case Extent::WorkItems: // Every row is an entry of its own.
      return e.dim(batch[TokenIds], 0);
    case Extent::Sequences:
      return e.dim(batch[Lengths], 0);
    case Extent::LogitRows:
      return e.dim(batch[LogitRows], 0);
    case Extent::Attended:
      return sumArray(e, batch[Indices], 1);
    case Extent::Cached:
      return sumArray(e, batch[Lengths], 0);
    }
    llvm_unreachable("every extent has a size");
  };
  e.mapping.map(op.getResult(), size());
}

static void lower(BatchFieldOp op, Emitter &e) {
  // C1 of the op leaves these three.
  unsigned array = op.getField() == StepField::TokenIds    ? TokenIds
                   : op.getField() == StepField::Positions ? Positions
                                                           : LogitRows;
  Value field = e.getAll(op.getBatch())[array];
  if (field.getType() != op.getResult().getType())
    field = tensor::CastOp::create(e.b, e.loc, op.getResult().getType(), field);
  e.mapping.map(op.getResult(), field);
}

static void lower(WorkListOp op, Emitter &e) {
  ArrayRef<Value> batch = e.getAll(op.getBatch());
  e.setAll(op.getResult(), {batch[Sequences], batch[Indices], batch[Lengths]});
}

static void lower(SelectOp op, Emitter &e) {
  Value input = e.get(op.getInput()), rows = e.get(op.getRows());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    return e.load(input, {e.loadIndex(rows, row), column});
  }));
}

static void lower(EmbedOp op, Emitter &e) {
  Value table = e.get(op.getTable()), ids = e.get(op.getIds());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value row, Value column) {
    return e.load(table, {e.loadIndex(ids, row), column});
  }));
}

LogicalResult reference::lowerBatchOp(Operation *op, Emitter &emitter) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<ExtentOp, BatchFieldOp, WorkListOp, SelectOp, EmbedOp>([&](auto op) {
        lower(op, emitter);
        return success();
      })
      .Default(failure());
}
