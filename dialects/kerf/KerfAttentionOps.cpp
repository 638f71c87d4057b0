// Verifiers and costs of positions, cache and attention.
#include "dialects/kerf/KerfProducts.h"

using namespace mlir;
using namespace kerf;

/// Checks that `group` names a KV group with the plane `plane` (C1 of every op that uses one); null after an error.
static KvGroupOp checkGroup(Operation *op, SymbolTableCollection &symbolTable, FlatSymbolRefAttr symbol,
                            int64_t plane) {
  auto group = symbolTable.lookupNearestSymbolFrom<KvGroupOp>(op, symbol);
  if (!group) {
    op->emitOpError("group must name a kerf.kv_group, got ") << symbol;
    return nullptr;
  }
  if (plane < 0 || plane >= group.getPlanes()) {
    InFlightDiagnostic diag = op->emitOpError("plane must be in [0, ") << group.getPlanes() << "), got " << plane;
    diag.attachNote(group.getLoc()) << "the group is defined here";
    return nullptr;
  }
  return group;
}

/// Bytes that one position takes in one plane: its keys and values.
static int64_t getPositionBytes(KvGroupOp group) {
  return 2 * group.getHeads() * group.getHeadDim() * group.getElement().getIntOrFloatBitWidth() / 8;
}

LogicalResult RopeTableOp::verify() {
  // C1
  auto init = getInit().getType();
  if (!init.getElementType().isF32() || init.getDimSize(1) != 2 * getFrequencies().getType().getDimSize(0))
    return emitOpError("init must be f32 with ")
           << 2 * getFrequencies().getType().getDimSize(0) << " columns, got " << init;
  return success();
}

Cost RopeTableOp::getCost() {
  // An angle, and two products with the factor, for each frequency.
  LinearForm angles = getRows(getInit()) * (3 * getFrequencies().getType().getDimSize(0));
  return {getBytes(getPositions()) + getWeightBytes(getFrequencies()) + getBytes(getInit()), angles};
}

LogicalResult RopeOp::verify() {
  // C1
  auto input = getInput().getType(), table = getTable().getType();
  if (table.getDimSize(1) <= 0 || table.getDimSize(1) % 2 != 0 || input.getDimSize(1) % table.getDimSize(1) != 0)
    return emitOpError("input must have a multiple of the columns of ") << table << ", got " << input;
  // C2
  if (input.getShape() != getInit().getType().getShape())
    return emitOpError("init must have the shape of ") << input << ", got " << getInit().getType();
  return success();
}

Cost RopeOp::getCost() {
  LinearForm rotations = getRows(getInput()) * (3 * getInput().getType().getDimSize(1));
  return {getBytes(getInput()) + getBytes(getTable()) + getBytes(getInit()), rotations};
}

LogicalResult KvAppendOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1
  KvGroupOp group = checkGroup(*this, symbolTable, getGroupAttr(), getPlane());
  if (!group)
    return failure();
  // C2
  int64_t columns = group.getHeads() * group.getHeadDim();
  if (getKeys().getType().getDimSize(1) != columns || getValues().getType().getDimSize(1) != columns)
    return emitOpError("keys and values must have ")
           << columns << " columns, got " << getKeys().getType() << " and " << getValues().getType();
  return success();
}

Cost KvAppendOp::getCost() {
  LinearForm kept;
  if (KvGroupOp group = lookupKvGroup(*this, getGroupAttr()))
    kept = LinearForm::of(getPositionBytes(group), KERF_EXTENT_TOKENS);
  return {getBytes(getKeys()) + getBytes(getValues()) + kept, {}};
}

/// C1 to C3 of the ops that split rows into heads. `name` is the operand of type `type` whose axis `axis` has the rows'
/// columns: 1 of an input, 0 of a weight.
static LogicalResult checkHeads(Operation *op, SymbolTableCollection &symbolTable, FlatSymbolRefAttr symbol,
                                int64_t plane, StringRef name, RankedTensorType type, unsigned axis,
                                RankedTensorType init, TypedValue<RankedTensorType> table) {
  KvGroupOp group = checkGroup(op, symbolTable, symbol, plane);
  if (!group)
    return failure();
  const int64_t queryColumns = init.getDimSize(1), kept = 2 * group.getHeads() * group.getHeadDim();
  if (queryColumns <= 0 || queryColumns % group.getHeadDim() != 0)
    return op->emitOpError("init must have a multiple of ") << group.getHeadDim() << " columns, got " << init;
  if (type.isDynamicDim(axis) || type.getDimSize(axis) - queryColumns != kept)
    return op->emitOpError() << name << " must have " << queryColumns << " + " << kept
                             << (axis ? " columns, got " : " out features, got ") << type;
  if (table && table.getType().getDimSize(1) != group.getHeadDim())
    return op->emitOpError("table must have ") << group.getHeadDim() << " columns, got " << table.getType();
  return success();
}

/// What splitting rows of `columns` columns into heads moves, beside the input, and computes.
static Cost getHeadsCost(Operation *op, FlatSymbolRefAttr symbol, Value init, Value table, int64_t columns) {
  Cost cost{getBytes(init), {}};
  if (KvGroupOp group = lookupKvGroup(op, symbol))
    cost.bytes += LinearForm::of(getPositionBytes(group), KERF_EXTENT_TOKENS);
  if (table) {
    cost.bytes += getBytes(table);
    cost.operations = getRows(init) * (3 * columns);
  }
  return cost;
}

LogicalResult RopeAppendOp::verify() {
  // C4
  if (!getQueryScale() != !getKeyScale())
    return emitOpError("must have both scales or none");
  // C5
  if (getInit().getType().getDimSize(0) != getInput().getType().getDimSize(0))
    return emitOpError("init must have the rows of ") << getInput().getType() << ", got " << getInit().getType();
  if (!(getEpsAttr().getValueAsDouble() > 0))
    return emitOpError("eps must be positive, got ") << getEpsAttr();
  return success();
}

LogicalResult RopeAppendOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1 to C3
  if (failed(checkHeads(*this, symbolTable, getGroupAttr(), getPlane(), "input", getInput().getType(), 1,
                        getInit().getType(), getTable())))
    return failure();
  // C4
  const int64_t headDim = symbolTable.lookupNearestSymbolFrom<KvGroupOp>(*this, getGroupAttr()).getHeadDim();
  for (auto scale : {getQueryScale(), getKeyScale()})
    if (scale && scale.getType().getDimSize(0) != headDim)
      return emitOpError("scale must have ") << headDim << " elements, got " << scale.getType();
  return success();
}

Cost RopeAppendOp::getCost() {
  Cost cost = getHeadsCost(*this, getGroupAttr(), getInit(), getTable(), getInput().getType().getDimSize(1));
  cost.bytes += getBytes(getInput());
  if (getQueryScale())
    cost.bytes += getWeightBytes(getQueryScale()) + getWeightBytes(getKeyScale());
  return cost;
}

LogicalResult LinearRopeAppendOp::verify() {
  auto input = getInput().getType(), init = getInit().getType();
  // C4, C5
  if (failed(checkProduct(*this, input, getWeight().getType(), getBias())))
    return failure();
  // C4
  if (init.getDimSize(0) != input.getDimSize(0))
    return emitOpError("init must have the rows of ") << input << ", got " << init;
  return success();
}

LogicalResult LinearRopeAppendOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1 to C3
  return checkHeads(*this, symbolTable, getGroupAttr(), getPlane(), "weight", getWeight().getType(), 0,
                    getInit().getType(), getTable());
}

Cost LinearRopeAppendOp::getCost() {
  auto weight = getWeight().getType();
  Cost cost = getHeadsCost(*this, getGroupAttr(), getInit(), getTable(), weight.getDimSize(0));
  cost.bytes += getBytes(getInput()) + getWeightBytes(getWeight());
  if (getBias())
    cost.bytes += getWeightBytes(getBias());
  cost.operations += getProductOperations(getWeight(), getInit());
  return cost;
}

MutableOperandRange AttentionOp::getDpsInitsMutable() {
  // The two destinations are the last operands.
  unsigned count = getLseInit() ? 2 : 1;
  return MutableOperandRange(getOperation(), getNumOperands() - count, count);
}

LogicalResult AttentionOp::verify() {
  // C3
  if (getQueries().getType().getShape() != getInit().getType().getShape())
    return emitOpError("init must have the shape of ") << getQueries().getType() << ", got " << getInit().getType();
  // C4
  if (!getLseInit() != !getLogSumExp())
    return emitOpError("must have a log-sum-exp result exactly where it has a destination for one");
  if (getLseInit() && getLseInit().getType() != getLogSumExp().getType())
    return emitOpError("log-sum-exp must have the type of its destination ")
           << getLseInit().getType() << ", got " << getLogSumExp().getType();
  // C5
  if (!(getScaleAttr().getValueAsDouble() > 0))
    return emitOpError("scale must be positive, got ") << getScaleAttr();
  return success();
}

LogicalResult AttentionOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1
  KvGroupOp group = checkGroup(*this, symbolTable, getGroupAttr(), getPlane());
  if (!group)
    return failure();
  // C2
  int64_t columns = getQueries().getType().getDimSize(1), each = group.getHeads() * group.getHeadDim();
  if (columns <= 0 || columns % each != 0)
    return emitOpError("queries must have a multiple of ") << each << " columns, got " << getQueries().getType();
  // C6
  if (auto work = getWork().getDefiningOp<WorkListOp>(); work && work.getGroupAttr() != getGroupAttr()) {
    InFlightDiagnostic diag = emitOpError("work list must be over ")
                              << getGroupAttr() << ", got one over " << work.getGroupAttr();
    diag.attachNote(work.getLoc()) << "the list is made here";
    return diag;
  }
  // C4
  if (getLseInit() && getLseInit().getType().getDimSize(1) != columns / group.getHeadDim())
    return emitOpError("log-sum-exp must have ")
           << columns / group.getHeadDim() << " columns, got " << getLseInit().getType();
  return success();
}

Cost AttentionOp::getCost() {
  LinearForm bytes = getBytes(getQueries()) + getBytes(getInit());
  if (getLseInit())
    bytes += getBytes(getLseInit());
  if (KvGroupOp group = lookupKvGroup(*this, getGroupAttr()))
    bytes += LinearForm::of(getPositionBytes(group), KERF_EXTENT_CACHED);
  // A product with the key and one with the value, for each feature of each query head and each key that is seen.
  return {bytes, LinearForm::of(4 * getQueries().getType().getDimSize(1), KERF_EXTENT_ATTENDED)};
}

LogicalResult AttentionMergeOp::verify() {
  auto lhs = getLhs().getType(), lse = getLhsLse().getType();
  // C1
  if (lhs.getShape() != getRhs().getType().getShape() || lhs.getShape() != getInit().getType().getShape())
    return emitOpError("lhs, rhs and init must have the same shape, got ")
           << lhs << ", " << getRhs().getType() << " and " << getInit().getType();
  // C2
  if (lse.getShape() != getRhsLse().getType().getShape() || lse.getShape() != getLseInit().getType().getShape())
    return emitOpError("log-sum-exps must have the same shape, got ")
           << lse << ", " << getRhsLse().getType() << " and " << getLseInit().getType();
  // C3
  if (lse.getDimSize(1) <= 0 || lhs.getDimSize(1) % lse.getDimSize(1) != 0)
    return emitOpError("lhs must have a multiple of the columns of ") << lse << ", got " << lhs;
  return success();
}

Cost AttentionMergeOp::getCost() {
  LinearForm bytes = getBytes(getLhs()) + getBytes(getRhs()) + getBytes(getInit()) + getBytes(getLhsLse()) * 3;
  return {bytes, getRows(getInit()) * (3 * getLhs().getType().getDimSize(1))};
}
