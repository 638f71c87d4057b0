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
      return e.dim(batch[FirstRows], 0);
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
  // C1 of the op leaves these five.
  unsigned array = op.getField() == StepField::TokenIds    ? TokenIds
                   : op.getField() == StepField::Positions ? Positions
                   : op.getField() == StepField::FirstRows ? FirstRows
                   : op.getField() == StepField::RowCounts ? RowCounts
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

static void lower(PoolOp op, Emitter &e) {
  Value input = e.get(op.getInput()), first = e.get(op.getFirst()), count = e.get(op.getCount());
  e.mapping.map(op.getResult(), e.fill(op.getInit(), [&](Value sequence, Value column) -> Value {
    Value begin = e.loadIndex(first, sequence), rows = e.loadIndex(count, sequence);
    auto at = [&](Value row) { return e.load(input, {e.addIndex(begin, row), column}); };
    switch (op.getPooling()) {
    case Pooling::Mean: {
      Value asInteger = arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), rows);
      Value divisor = arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), asInteger);
      return e.div(e.sum(rows, at), divisor);
    }
    case Pooling::First:
      return at(e.index(0));
    case Pooling::Last:
      return at(e.addIndex(rows, e.index(-1)));
    case Pooling::Max:
      return e.loop1(rows, at(e.index(0)), [&](Value row, Value greatest) -> Value {
        return arith::MaximumFOp::create(e.b, e.loc, greatest, at(row));
      });
    }
    llvm_unreachable("every pooling is lowered");
  }));
}

LogicalResult reference::lowerBatchOp(Operation *op, Emitter &emitter) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<ExtentOp, BatchFieldOp, WorkListOp, SelectOp, EmbedOp, PoolOp>([&](auto op) {
        lower(op, emitter);
        return success();
      })
      .Default(failure());
}
