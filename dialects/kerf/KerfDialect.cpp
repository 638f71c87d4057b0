// Registration, and the helpers that all op families share.
#include "dialects/kerf/KerfDialect.h"
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

Extent kerf::getRowExtent(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto extent = dyn_cast<ExtentOp>(op))
      return extent.getExtent();
    if (auto field = dyn_cast<BatchFieldOp>(op))
      return field.getField() == StepField::LogitRows ? Extent::LogitRows : Extent::Tokens;
    if (auto style = dyn_cast<DestinationStyleOpInterface>(op)) {
      auto result = cast<OpResult>(value);
      if (static_cast<int64_t>(result.getResultNumber()) >= style.getNumDpsInits())
        return Extent::Tokens;
      value = style.getDpsInits()[result.getResultNumber()];
      continue;
    }
    if (auto empty = dyn_cast<tensor::EmptyOp>(op); empty && !empty.getDynamicSizes().empty()) {
      value = empty.getDynamicSizes().front();
      continue;
    }
    if (auto slot = dyn_cast<SlotOp>(op); slot && !slot.getSizes().empty()) {
      value = slot.getSizes().front();
      continue;
    }
    if (auto result = dyn_cast<ResultOp>(op); result && !result.getSizes().empty()) {
      value = result.getSizes().front();
      continue;
    }
    if (auto dim = dyn_cast<tensor::DimOp>(op); dim && dim.getConstantIndex() == 0) {
      value = dim.getSource();
      continue;
    }
    if (auto layer = dyn_cast<LayerOp>(op)) {
      value = layer.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber());
      continue;
    }
    return Extent::Tokens;
  }
  // An argument of a layer: what the layer is given.
  auto argument = cast<BlockArgument>(value);
  if (auto layer = dyn_cast_or_null<LayerOp>(argument.getOwner()->getParentOp()))
    return getRowExtent(layer.getInputs()[argument.getArgNumber()]);
  return Extent::Tokens;
}

int64_t kerf::getRowBytes(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  int64_t bytes = tensor.getElementType().getIntOrFloatBitWidth() / 8;
  for (int64_t axis = 1; axis < tensor.getRank(); ++axis)
    bytes *= tensor.getDimSize(axis);
  return bytes;
}

LinearForm kerf::getBytes(Value matrix) {
  auto type = cast<RankedTensorType>(matrix.getType());
  if (!type.isDynamicDim(0))
    return LinearForm::of(getRowBytes(type) * type.getDimSize(0));
  return LinearForm::of(getRowBytes(type), static_cast<kerf_extent>(getRowExtent(matrix)));
}

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
