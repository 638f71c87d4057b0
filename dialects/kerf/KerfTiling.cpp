// TilingInterface of the tensor ops. All of them are parallel over rows; what a tile of rows reads is a slice of each
// operand that has rows, and weights whole. `kerf.linear` and `kerf.gated_linear` are parallel over out features too,
// elementwise ops over columns.
#include "dialects/kerf/KerfDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace kerf;

namespace {

/// How an operand follows a tile of the result.
enum class Follow {
  Whole,   // not sliced: read as a whole, or a table that indices point into
  Rows,    // its rows are the tile's rows, all columns
  Both,    // its rows and columns are the tile's
  Columns, // weights: its first axis is the tile's columns
};

/// A slice of `value` as long as `sizes` at `offsets` over all of its axes.
Value slice(OpBuilder &builder, Location loc, Value value, ArrayRef<OpFoldResult> offsets,
            ArrayRef<OpFoldResult> sizes) {
  SmallVector<OpFoldResult> strides(offsets.size(), builder.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(builder, loc, value, offsets, sizes, strides);
}

Value sliceOperand(OpBuilder &builder, Location loc, Value operand, Follow follow, ArrayRef<OpFoldResult> offsets,
                   ArrayRef<OpFoldResult> sizes) {
  if (!operand || follow == Follow::Whole)
    return operand;
  auto type = cast<RankedTensorType>(operand.getType());
  if (follow == Follow::Both)
    return slice(builder, loc, operand, offsets, sizes);
  OpFoldResult offset = follow == Follow::Rows ? offsets[0] : offsets[1];
  OpFoldResult size = follow == Follow::Rows ? sizes[0] : sizes[1];
  SmallVector<OpFoldResult> allOffsets{offset}, allSizes{size};
  for (int64_t axis = 1; axis < type.getRank(); ++axis) {
    allOffsets.push_back(builder.getIndexAttr(0));
    allSizes.push_back(builder.getIndexAttr(type.getDimSize(axis)));
  }
  return slice(builder, loc, operand, allOffsets, allSizes);
}

/// How each operand of an op but its destination follows a tile. By operand, not by value: one value can be both the
/// input of a linear and its residual.
Follow getFollow(SelectOp op, OpOperand &operand) {
  return &operand == &op.getRowsMutable() ? Follow::Rows : Follow::Whole;
}
Follow getFollow(EmbedOp op, OpOperand &operand) {
  return &operand == &op.getIdsMutable() ? Follow::Rows : Follow::Whole;
}
Follow getFollow(PoolOp op, OpOperand &operand) {
  return &operand == &op.getInputMutable() ? Follow::Whole : Follow::Rows;
}
Follow getFollow(LinearOp op, OpOperand &operand) {
  if (&operand == &op.getInputMutable())
    return Follow::Rows;
  auto is = [&](MutableOperandRange range) { return llvm::is_contained(llvm::make_pointer_range(range), &operand); };
  return &operand == &op.getWeightMutable() || is(op.getBiasMutable()) ? Follow::Columns : Follow::Both;
}
Follow getFollow(GatedLinearOp op, OpOperand &operand) {
  return &operand == &op.getInputMutable() ? Follow::Rows : Follow::Columns;
}
Follow getFollow(RmsNormOp op, OpOperand &operand) {
  return &operand == &op.getScaleMutable() ? Follow::Whole : Follow::Rows;
}
Follow getFollow(LayerNormOp op, OpOperand &operand) {
  return &operand == &op.getInputMutable() ? Follow::Rows : Follow::Whole;
}
Follow getFollow(ActivationOp, OpOperand &) { return Follow::Both; }
Follow getFollow(GateOp, OpOperand &) { return Follow::Both; }
Follow getFollow(AddOp, OpOperand &) { return Follow::Both; }
Follow getFollow(RopeTableOp op, OpOperand &operand) {
  return &operand == &op.getPositionsMutable() ? Follow::Rows : Follow::Whole;
}
Follow getFollow(RopeOp, OpOperand &) { return Follow::Rows; }

template <typename OpTy>
constexpr bool cutsColumns = llvm::is_one_of<OpTy, LinearOp, GatedLinearOp, ActivationOp, GateOp, AddOp>::value;

template <typename OpTy> SmallVector<Range> iterationDomain(OpTy op, OpBuilder &builder) {
  Location loc = op.getLoc();
  SmallVector<Range> domain;
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  for (int64_t axis = 0; axis < (cutsColumns<OpTy> ? 2 : 1); ++axis)
    domain.push_back({zero, tensor::getMixedSize(builder, loc, op.getInit(), axis), one});
  return domain;
}

/// The tile over the whole result that a tile of the iteration domain computes.
template <typename OpTy>
void completeTile(OpTy op, OpBuilder &builder, SmallVector<OpFoldResult> &offsets, SmallVector<OpFoldResult> &sizes) {
  if constexpr (!cutsColumns<OpTy>) {
    offsets.push_back(builder.getIndexAttr(0));
    sizes.push_back(builder.getIndexAttr(op.getInit().getType().getDimSize(1)));
  }
}

template <typename OpTy>
FailureOr<TilingResult> tiled(OpTy op, OpBuilder &builder, ArrayRef<OpFoldResult> domainOffsets,
                              ArrayRef<OpFoldResult> domainSizes) {
  SmallVector<OpFoldResult> offsets(domainOffsets), sizes(domainSizes);
  completeTile(op, builder, offsets, sizes);
  Location loc = op.getLoc();
  SmallVector<Value> operands;
  SmallVector<Operation *> slices;
  Type resultType;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    Follow follow = op.isDpsInit(&operand) ? Follow::Both : getFollow(op, operand);
    Value part = sliceOperand(builder, loc, value, follow, offsets, sizes);
    if (part != value)
      slices.push_back(part.getDefiningOp());
    if (op.isDpsInit(&operand))
      resultType = part.getType();
    operands.push_back(part);
  }
  Operation *copy = clone(builder, op, resultType, operands);
  return TilingResult{{copy}, SmallVector<Value>(copy->getResults()), slices};
}

} // namespace

// The five methods of the interface, which are the same for all ops.
#define KERF_TILING(OpTy)                                                                                              \
  SmallVector<utils::IteratorType> OpTy::getLoopIteratorTypes() {                                                      \
    return SmallVector<utils::IteratorType>(cutsColumns<OpTy> ? 2 : 1, utils::IteratorType::parallel);                 \
  }                                                                                                                    \
  SmallVector<Range> OpTy::getIterationDomain(OpBuilder &builder) { return iterationDomain(*this, builder); }          \
  FailureOr<TilingResult> OpTy::getTiledImplementation(OpBuilder &builder, ArrayRef<OpFoldResult> offsets,             \
                                                       ArrayRef<OpFoldResult> sizes) {                                 \
    return tiled(*this, builder, offsets, sizes);                                                                      \
  }                                                                                                                    \
  LogicalResult OpTy::getResultTilePosition(OpBuilder &builder, unsigned, ArrayRef<OpFoldResult> offsets,              \
                                            ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,    \
                                            SmallVector<OpFoldResult> &resultSizes) {                                  \
    resultOffsets.assign(offsets.begin(), offsets.end());                                                              \
    resultSizes.assign(sizes.begin(), sizes.end());                                                                    \
    completeTile(*this, builder, resultOffsets, resultSizes);                                                          \
    return success();                                                                                                  \
  }                                                                                                                    \
  FailureOr<TilingResult> OpTy::generateResultTileValue(OpBuilder &builder, unsigned, ArrayRef<OpFoldResult> offsets,  \
                                                        ArrayRef<OpFoldResult> sizes) {                                \
    if (!cutsColumns<OpTy> && getConstantIntValue(sizes[1]) != getInit().getType().getDimSize(1))                      \
      return failure(); /* declined, not wrong: the op stays outside of a loop that cuts its rows */                   \
    size_t rank = cutsColumns<OpTy> ? 2 : 1;                                                                           \
    return tiled(*this, builder, offsets.take_front(rank), sizes.take_front(rank));                                    \
  }

KERF_TILING(SelectOp)
KERF_TILING(EmbedOp)
KERF_TILING(PoolOp)
KERF_TILING(LinearOp)
KERF_TILING(GatedLinearOp)
KERF_TILING(RmsNormOp)
KERF_TILING(LayerNormOp)
KERF_TILING(ActivationOp)
KERF_TILING(GateOp)
KERF_TILING(AddOp)
KERF_TILING(RopeTableOp)
KERF_TILING(RopeOp)
