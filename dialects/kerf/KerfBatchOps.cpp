// Verifiers and costs of the ops that read the batch.
#include "dialects/kerf/KerfDialect.h"

using namespace mlir;
using namespace kerf;

LogicalResult BatchFieldOp::verify() {
  // C1
  switch (getField()) {
  case StepField::TokenIds:
  case StepField::Positions:
  case StepField::LogitRows:
  case StepField::FirstRows:
  case StepField::RowCounts:
    return success();
  default:
    return emitOpError("field must be token_ids, positions, logit_rows, first_rows or row_counts, got ")
           << stringifyStepField(getField());
  }
}

LogicalResult WorkListOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  // C1
  if (!symbolTable.lookupNearestSymbolFrom<KvGroupOp>(*this, getGroupAttr()))
    return emitOpError("group must name a kerf.kv_group, got ") << getGroupAttr();
  return success();
}

LogicalResult WorkListOp::verify() {
  // C2
  if (!isa<MaskAttrInterface>(getMask()))
    return emitOpError("mask must be a mask attribute such as #kerf.causal, got ") << getMask();
  return success();
}

LogicalResult SelectOp::verify() {
  // C1
  auto input = getInput().getType(), init = getInit().getType();
  if (input.getDimSize(1) != init.getDimSize(1) || input.getElementType() != init.getElementType())
    return emitOpError("init must have the columns and element type of ") << input << ", got " << init;
  return success();
}

Cost SelectOp::getCost() { return {getBytes(getInit()) * 2 + getBytes(getRows()), {}}; }

LogicalResult EmbedOp::verify() {
  // C1
  auto table = getTable().getType(), init = getInit().getType();
  if (table.getDimSize(1) != init.getDimSize(1))
    return emitOpError("init must have the columns of ") << table << ", got " << init;
  return success();
}

Cost EmbedOp::getCost() {
  // Only the rows that are asked for are read.
  LinearForm rows = getRows(getInit()) * getRowBytes(getTable().getType());
  return {rows + getBytes(getInit()) + getBytes(getIds()), {}};
}

LogicalResult PoolOp::verify() {
  // C1
  auto input = getInput().getType(), init = getInit().getType();
  if (input.getDimSize(1) != init.getDimSize(1))
    return emitOpError("init must have the columns of ") << input << ", got " << init;
  return success();
}

Cost PoolOp::getCost() {
  bool all = getPooling() == Pooling::Mean || getPooling() == Pooling::Max;
  LinearForm read = all ? getBytes(getInput()) : getRows(getInit()) * getRowBytes(getInput().getType());
  LinearForm operations = all ? getRows(getInput()) * getInput().getType().getDimSize(1) : LinearForm{};
  return {read + getBytes(getFirst()) + getBytes(getCount()) + getBytes(getInit()), operations};
}
