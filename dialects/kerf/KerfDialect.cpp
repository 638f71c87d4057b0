// Registration, and the helpers that all op families share.
#include "dialects/kerf/KerfDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;

#include "dialects/kerf/KerfDialect.cpp.inc"
#include "dialects/kerf/KerfEnums.cpp.inc"
#include "dialects/kerf/KerfOpInterfaces.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/kerf/KerfTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/kerf/KerfOps.cpp.inc"

void KerfDialect::initialize() {
  registerAttributes();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/kerf/KerfTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/kerf/KerfOps.cpp.inc"
      >();
}

/// The value of an index as a linear form; one that cannot be followed counts as the tokens of the step.
static LinearForm getIndexForm(Value index) {
  Operation *op = index.getDefiningOp();
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return LinearForm::of(*constant);
  if (auto extent = dyn_cast_or_null<ExtentOp>(op))
    return LinearForm::of(1, static_cast<kerf_extent>(extent.getExtent()));
  if (auto dim = dyn_cast_or_null<tensor::DimOp>(op); dim && dim.getConstantIndex() == 0)
    return getRows(dim.getSource());
  if (auto sum = dyn_cast_or_null<arith::AddIOp>(op))
    return getIndexForm(sum.getLhs()) + getIndexForm(sum.getRhs());
  if (auto product = dyn_cast_or_null<arith::MulIOp>(op)) {
    if (std::optional<int64_t> factor = getConstantIntValue(product.getRhs()))
      return getIndexForm(product.getLhs()) * *factor;
    if (std::optional<int64_t> factor = getConstantIntValue(product.getLhs()))
      return getIndexForm(product.getRhs()) * *factor;
  }
  return LinearForm::of(1, KERF_EXTENT_TOKENS);
}

LinearForm kerf::getRows(Value value) {
  while (true) {
    if (auto type = cast<RankedTensorType>(value.getType()); !type.isDynamicDim(0))
      return LinearForm::of(type.getDimSize(0));
    Operation *op = value.getDefiningOp();
    if (!op) {
      // An argument of a layer: what the layer is given.
      auto argument = cast<BlockArgument>(value);
      auto layer = dyn_cast_or_null<LayerOp>(argument.getOwner()->getParentOp());
      if (!layer)
        return LinearForm::of(1, KERF_EXTENT_TOKENS);
      value = layer.getInputs()[argument.getArgNumber()];
      continue;
    }
    if (auto field = dyn_cast<BatchFieldOp>(op)) {
      bool ofSequences = field.getField() == StepField::FirstRows || field.getField() == StepField::RowCounts;
      return LinearForm::of(1, field.getField() == StepField::LogitRows ? KERF_EXTENT_LOGIT_ROWS
                               : ofSequences                            ? KERF_EXTENT_SEQUENCES
                                                                        : KERF_EXTENT_TOKENS);
    }
    if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      return getIndexForm(empty.getDynamicSizes().front());
    if (auto slot = dyn_cast<SlotOp>(op); slot && !slot.getSizes().empty())
      return getIndexForm(slot.getSizes().front());
    if (auto result = dyn_cast<ResultOp>(op); result && !result.getSizes().empty())
      return getIndexForm(result.getSizes().front());
    auto number = cast<OpResult>(value).getResultNumber();
    if (auto layer = dyn_cast<LayerOp>(op)) {
      value = layer.getBody().front().getTerminator()->getOperand(number);
      continue;
    }
    auto style = dyn_cast<DestinationStyleOpInterface>(op);
    if (!style || static_cast<int64_t>(number) >= style.getNumDpsInits())
      return LinearForm::of(1, KERF_EXTENT_TOKENS);
    value = style.getDpsInits()[number];
  }
}

Extent kerf::getRowExtent(Value value) {
  LinearForm rows = getRows(value);
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
    if (rows == LinearForm::of(1, static_cast<kerf_extent>(e)))
      return static_cast<Extent>(e);
  return Extent::Tokens;
}

int64_t kerf::getRowBytes(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t elements = 1;
  for (int64_t axis = 1; axis < tensor.getRank(); ++axis)
    elements *= tensor.getDimSize(axis);
  // An encoded tensor keeps what its format stores, each row on its own.
  if (auto format = dyn_cast_or_null<FormatAttr>(tensor.getEncoding()))
    return llvm::divideCeil(format.getStoredBits({1, elements}), 8);
  return elements * tensor.getElementType().getIntOrFloatBitWidth() / 8;
}

LinearForm kerf::getBytes(Value matrix) { return getRows(matrix) * getRowBytes(matrix.getType()); }

LinearForm kerf::getWeightBytes(Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  return type.isDynamicDim(0) ? LinearForm{} : LinearForm::of(getRowBytes(type) * type.getDimSize(0));
}

KvGroupOp kerf::lookupKvGroup(Operation *op, FlatSymbolRefAttr symbol) {
  auto module = op->getParentOfType<ModuleOp>();
  return module ? module.lookupSymbol<KvGroupOp>(symbol.getAttr()) : nullptr;
}

ModelOp kerf::getModel(ModuleOp module) {
  auto models = module.getOps<ModelOp>();
  return models.empty() ? nullptr : *models.begin();
}

SizeAttr kerf::getSizeAttr(MLIRContext *context, const LinearForm &form) {
  SmallVector<int64_t> coefficients(form.coefficient.begin(), form.coefficient.end());
  while (!coefficients.empty() && coefficients.back() == 0)
    coefficients.pop_back();
  return SizeAttr::get(context, coefficients);
}

LinearForm kerf::getLinearForm(SizeAttr attr) {
  LinearForm form;
  llvm::copy(attr.getCoefficients(), form.coefficient.begin());
  return form;
}
