// Formats, source expressions and sizes.
#include "dialects/kerf/KerfDialect.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace kerf;

#include "dialects/kerf/KerfAttrInterfaces.cpp.inc"

/// A list that may be empty, up to the `>` after it, which the declarative form of a list cannot say.
static ParseResult parseCoefficients(AsmParser &parser, SmallVector<int64_t> &coefficients) {
  int64_t value;
  OptionalParseResult first = parser.parseOptionalInteger(value);
  if (!first.has_value())
    return success();
  if (failed(*first))
    return failure();
  coefficients.push_back(value);
  while (succeeded(parser.parseOptionalComma()))
    if (parser.parseInteger(coefficients.emplace_back()))
      return failure();
  return success();
}
static void printCoefficients(AsmPrinter &printer, ArrayRef<int64_t> coefficients) {
  llvm::interleaveComma(coefficients, printer);
}

#define GET_ATTRDEF_CLASSES
#include "dialects/kerf/KerfAttrs.cpp.inc"

void KerfDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/kerf/KerfAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

LogicalResult DenseAttr::verify(function_ref<InFlightDiagnostic()> emitError, Type elementType) {
  if (isa<Float32Type, Float16Type, BFloat16Type>(elementType))
    return success();
  return emitError() << "dense format must store f32, f16 or bf16, got " << elementType;
}

int64_t DenseAttr::getStoredBits(ArrayRef<int64_t> shape) const {
  int64_t bits = getElementType().getIntOrFloatBitWidth();
  for (int64_t size : shape)
    bits *= size;
  return bits;
}

Type DenseAttr::getDecodedType() const { return getElementType(); }

LogicalResult FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<Attribute> terms) {
  if (terms.empty())
    return emitError() << "format must have at least one term";
  for (Attribute term : terms)
    if (!isa<FormatTermAttrInterface>(term))
      return emitError() << "format must be a list of terms such as #kerf.dense<bf16>, got " << term;
  return success();
}

FormatAttr FormatAttr::getDense(Type elementType) {
  return FormatAttr::get(elementType.getContext(), {DenseAttr::get(elementType.getContext(), elementType)});
}

int64_t FormatAttr::getStoredBits(ArrayRef<int64_t> shape) const {
  int64_t bits = 0;
  for (Attribute term : getTerms())
    bits += cast<FormatTermAttrInterface>(term).getStoredBits(shape);
  return bits;
}

Type FormatAttr::getDenseElementType() const {
  auto dense = getTerms().size() == 1 ? dyn_cast<DenseAttr>(getTerms().front()) : DenseAttr();
  return dense ? dense.getElementType() : Type();
}

//===----------------------------------------------------------------------===//
// Source expressions
//===----------------------------------------------------------------------===//

LogicalResult TakeAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef tensor, RankedTensorType type) {
  if (!type.hasStaticShape())
    return emitError() << "take must have a static shape, got " << type;
  // Below 2^48 elements no count of bytes or bits leaves an int64_t.
  constexpr int64_t limit = int64_t{1} << 48;
  int64_t elements = 1;
  for (int64_t size : type.getShape())
    if (llvm::MulOverflow(elements, size, elements) || elements >= limit)
      return emitError() << "take must have fewer than 2^48 elements, got " << type;
  return success();
}
SmallVector<int64_t> TakeAttr::getShape() const { return llvm::to_vector(getType().getShape()); }
Type TakeAttr::getElementType() const { return getType().getElementType(); }
void TakeAttr::walkTensors(function_ref<void(StringRef)> visit) const { visit(getTensor()); }

LogicalResult ConcatAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t axis,
                                 ArrayRef<Attribute> parts) {
  if (parts.size() < 2)
    return emitError() << "concat must have at least two parts, got " << parts.size();
  auto first = dyn_cast<SourceAttrInterface>(parts.front());
  for (Attribute part : parts) {
    auto source = dyn_cast<SourceAttrInterface>(part);
    if (!first || !source)
      return emitError() << "concat must join source expressions, got " << part;
    SmallVector<int64_t> shape = source.getShape(), expected = first.getShape();
    if (axis < 0 || axis >= static_cast<int64_t>(expected.size()))
      return emitError() << "concat axis must be in [0, " << expected.size() << "), got " << axis;
    if (shape.size() != expected.size())
      return emitError() << "concat parts must have the same rank, got " << part;
    expected[axis] = shape[axis];
    if (shape != expected || source.getElementType() != first.getElementType())
      return emitError() << "concat parts must agree in element type and in all axes but " << axis << ", got " << part;
  }
  return success();
}

SmallVector<int64_t> ConcatAttr::getShape() const {
  SmallVector<int64_t> shape = cast<SourceAttrInterface>(getParts().front()).getShape();
  shape[getAxis()] = 0;
  for (Attribute part : getParts())
    shape[getAxis()] += cast<SourceAttrInterface>(part).getShape()[getAxis()];
  return shape;
}
Type ConcatAttr::getElementType() const { return cast<SourceAttrInterface>(getParts().front()).getElementType(); }
void ConcatAttr::walkTensors(function_ref<void(StringRef)> visit) const {
  for (Attribute part : getParts())
    cast<SourceAttrInterface>(part).walkTensors(visit);
}

LogicalResult SliceAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t axis, int64_t begin, int64_t end,
                                Attribute value) {
  auto source = dyn_cast<SourceAttrInterface>(value);
  if (!source)
    return emitError() << "slice must apply to a source expression, got " << value;
  SmallVector<int64_t> shape = source.getShape();
  if (axis < 0 || axis >= static_cast<int64_t>(shape.size()))
    return emitError() << "slice axis must be in [0, " << shape.size() << "), got " << axis;
  if (begin < 0 || begin >= end || end > shape[axis])
    return emitError() << "slice must be a range inside [0, " << shape[axis] << "), got [" << begin << ", " << end
                       << ")";
  return success();
}
SmallVector<int64_t> SliceAttr::getShape() const {
  SmallVector<int64_t> shape = cast<SourceAttrInterface>(getValue()).getShape();
  shape[getAxis()] = getEnd() - getBegin();
  return shape;
}
Type SliceAttr::getElementType() const { return cast<SourceAttrInterface>(getValue()).getElementType(); }
void SliceAttr::walkTensors(function_ref<void(StringRef)> visit) const {
  cast<SourceAttrInterface>(getValue()).walkTensors(visit);
}

LogicalResult TransposeAttr::verify(function_ref<InFlightDiagnostic()> emitError, Attribute value) {
  auto source = dyn_cast<SourceAttrInterface>(value);
  if (!source || source.getShape().size() != 2)
    return emitError() << "transpose must apply to a matrix, got " << value;
  return success();
}
SmallVector<int64_t> TransposeAttr::getShape() const {
  SmallVector<int64_t> shape = cast<SourceAttrInterface>(getValue()).getShape();
  std::swap(shape[0], shape[1]);
  return shape;
}
Type TransposeAttr::getElementType() const { return cast<SourceAttrInterface>(getValue()).getElementType(); }
void TransposeAttr::walkTensors(function_ref<void(StringRef)> visit) const {
  cast<SourceAttrInterface>(getValue()).walkTensors(visit);
}

LogicalResult SumAttr::verify(function_ref<InFlightDiagnostic()> emitError, Attribute value, Attribute row) {
  for (Attribute part : {value, row}) {
    auto source = dyn_cast<SourceAttrInterface>(part);
    if (!source || source.getShape().size() != 2 || !isa<FloatType>(source.getElementType()))
      return emitError() << "sum must be of two matrices of floats, got " << part;
  }
  SmallVector<int64_t> shape = cast<SourceAttrInterface>(row).getShape();
  int64_t columns = cast<SourceAttrInterface>(value).getShape()[1];
  if (shape[0] != 1 || shape[1] != columns)
    return emitError() << "sum must add one row of " << columns << " columns, got " << row;
  return success();
}
SmallVector<int64_t> SumAttr::getShape() const { return cast<SourceAttrInterface>(getValue()).getShape(); }
Type SumAttr::getElementType() const { return Float32Type::get(getContext()); }
void SumAttr::walkTensors(function_ref<void(StringRef)> visit) const {
  cast<SourceAttrInterface>(getValue()).walkTensors(visit);
  cast<SourceAttrInterface>(getRow()).walkTensors(visit);
}

LogicalResult LiteralAttr::verify(function_ref<InFlightDiagnostic()> emitError, DenseElementsAttr value) {
  if (value.getNumElements() > 4096)
    return emitError() << "literal must have at most 4096 elements, got " << value.getNumElements()
                       << "; larger tensors belong in the checkpoint";
  return success();
}
SmallVector<int64_t> LiteralAttr::getShape() const { return llvm::to_vector(getValue().getType().getShape()); }
Type LiteralAttr::getElementType() const { return getValue().getElementType(); }
void LiteralAttr::walkTensors(function_ref<void(StringRef)> visit) const {}

//===----------------------------------------------------------------------===//
// Masks, work lists, results
//===----------------------------------------------------------------------===//

MaskRange CausalAttr::getRange() const { return {std::nullopt, 0}; }

LogicalResult WindowAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t positions) {
  // Positions are 32 bits wide in a step.
  if (positions < 1 || positions >= KERF_UNBOUNDED)
    return emitError() << "window must have 1 to " << KERF_UNBOUNDED - 1 << " positions, got " << positions;
  return success();
}
MaskRange WindowAttr::getRange() const { return {getPositions(), 0}; }

MaskRange BidirectionalAttr::getRange() const { return {std::nullopt, std::nullopt}; }

LogicalResult WorkAttr::verify(function_ref<InFlightDiagnostic()> emitError, FlatSymbolRefAttr group, Attribute mask) {
  if (!isa<MaskAttrInterface>(mask))
    return emitError() << "work must have a mask such as #kerf.causal, got " << mask;
  return success();
}

LogicalResult LaunchAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef function, int64_t least,
                                 int64_t most, LaunchWhen when, int64_t order, int64_t tile, int64_t columns,
                                 int64_t threads, int64_t shared) {
  // C1
  if (least > most)
    return emitError() << "launch must have its least rows at or below its most, got " << least << " to " << most;
  if (tile <= 0 || columns <= 0)
    return emitError() << "launch must have a positive tile and columns, got " << tile << " and " << columns;
  if (threads <= 0 || threads > 1024 || threads % 32 != 0)
    return emitError() << "launch must have a multiple of 32 threads up to 1024, got " << threads;
  if (shared < 0)
    return emitError() << "launch must not have negative shared memory, got " << shared;
  if (order < 0)
    return emitError() << "launch must not have a negative order, got " << order;
  return success();
}

LogicalResult ResultAttr::verify(function_ref<InFlightDiagnostic()> emitError, ResultKind kind, int64_t columns) {
  if (columns <= 0)
    return emitError() << "result must have at least one column, got " << columns;
  if (kind == ResultKind::Tokens && columns != 1)
    return emitError() << "tokens must have one column, got " << columns;
  return success();
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

LogicalResult SizeAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<int64_t> coefficients) {
  if (coefficients.size() > KERF_EXTENT_KNOWN)
    return emitError() << "size must have at most " << static_cast<int>(KERF_EXTENT_KNOWN) << " coefficients, got "
                       << coefficients.size();
  if (llvm::any_of(coefficients, [](int64_t c) { return c < 0; }))
    return emitError() << "size coefficients must not be negative";
  return success();
}
