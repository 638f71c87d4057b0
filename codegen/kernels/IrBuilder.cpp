//===- IrBuilder.cpp - the words that kernels are written in --------------===//
#include "codegen/kernels/IrBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMTypes.h"

#include "llvm/ADT/Sequence.h"

using namespace mlir;
using namespace kerf::kernels;
using Value = mlir::Value;
using Values = IrBuilder::Values;

//===----------------------------------------------------------------------===//
// Types and constants
//===----------------------------------------------------------------------===//

Type IrBuilder::type(Element element) {
  switch (element) {
  case Element::F32:
    return b.getF32Type();
  case Element::BF16:
    return b.getBF16Type();
  case Element::F16:
    return b.getF16Type();
  }
  llvm_unreachable("unknown element");
}

VectorType IrBuilder::vectorType(Element element, unsigned lanes) { return VectorType::get(lanes, type(element)); }

VectorType IrBuilder::integers(unsigned bits, unsigned lanes) { return VectorType::get(lanes, b.getIntegerType(bits)); }

Type IrBuilder::bitsOf(Type floats) {
  Type element = b.getIntegerType(getElementTypeOrSelf(floats).getIntOrFloatBitWidth());
  if (auto vector = dyn_cast<VectorType>(floats))
    return vector.cloneWith(std::nullopt, element);
  return element;
}

Value IrBuilder::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
Value IrBuilder::i32(int32_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
Value IrBuilder::f32(float value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }

Value IrBuilder::f32Splat(float value, unsigned lanes) {
  auto vector = vectorType(Element::F32, lanes ? lanes : defaultLanes);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, value));
}

Value IrBuilder::i32Splat(int32_t value, unsigned lanes) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(integers(32, lanes ? lanes : defaultLanes), value));
}

Value IrBuilder::integer(Type type, int64_t value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
}

Value IrBuilder::zero(Type type) { return arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(type))); }

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value.getType())); }

Value IrBuilder::add(Value x, Value y) {
  return isFloat(x) ? arith::AddFOp::create(b, x, y).getResult() : arith::AddIOp::create(b, x, y).getResult();
}
Value IrBuilder::sub(Value x, Value y) {
  return isFloat(x) ? arith::SubFOp::create(b, x, y).getResult() : arith::SubIOp::create(b, x, y).getResult();
}
Value IrBuilder::mul(Value x, Value y) {
  return isFloat(x) ? arith::MulFOp::create(b, x, y).getResult() : arith::MulIOp::create(b, x, y).getResult();
}
Value IrBuilder::div(Value x, Value y) {
  return isFloat(x) ? arith::DivFOp::create(b, x, y).getResult() : arith::DivUIOp::create(b, x, y).getResult();
}
Value IrBuilder::rem(Value x, int64_t y) { return arith::RemUIOp::create(b, x, integer(x.getType(), y)); }

// For floats a compare and a select are what minps and maxps do, so they become one instruction.
Value IrBuilder::min(Value x, Value y) {
  return select(isFloat(x) ? compare(arith::CmpFPredicate::OLT, x, y) : less(x, y), x, y);
}
Value IrBuilder::max(Value x, Value y) {
  return select(isFloat(x) ? compare(arith::CmpFPredicate::OGT, x, y) : less(y, x), x, y);
}

Value IrBuilder::neg(Value x) { return arith::NegFOp::create(b, x); }
Value IrBuilder::sqrt(Value x) { return LLVM::SqrtOp::create(b, x); }
Value IrBuilder::fma(Value x, Value y, Value z) { return LLVM::FMAOp::create(b, x, y, z); }
Value IrBuilder::bitAnd(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
Value IrBuilder::bitOr(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
Value IrBuilder::shiftLeft(Value x, Value y) { return arith::ShLIOp::create(b, x, y); }
Value IrBuilder::shiftRight(Value x, Value y) { return arith::ShRUIOp::create(b, x, y); }

Value IrBuilder::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, predicate, x, y);
}
Value IrBuilder::compare(arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}
Value IrBuilder::select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }
Value IrBuilder::bitcast(Type type, Value x) {
  return x.getType() == type ? x : LLVM::BitcastOp::create(b, type, x).getResult();
}
Value IrBuilder::signExtend(Value x) { return arith::ExtSIOp::create(b, b.getI64Type(), x); }

Value IrBuilder::toF32(Value integers) {
  Type type = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(integers.getType()))
    type = vector.cloneWith(std::nullopt, type);
  return arith::SIToFPOp::create(b, type, integers);
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

unsigned kerf::kernels::lanesOf(Value value) {
  auto vector = dyn_cast<VectorType>(value.getType());
  return vector ? vector.getNumElements() : 1;
}

Value IrBuilder::broadcast(Value scalar, unsigned lanes) {
  lanes = lanes ? lanes : defaultLanes;
  auto vector = VectorType::get(lanes, scalar.getType());
  Value first = LLVM::InsertElementOp::create(b, LLVM::PoisonOp::create(b, vector), scalar, i32(0));
  return shuffle(first, first, llvm::SmallVector<int32_t>(lanes, 0));
}

Value IrBuilder::shuffle(Value x, Value y, llvm::ArrayRef<int32_t> lanes) {
  return LLVM::ShuffleVectorOp::create(b, x, y, lanes);
}

Value IrBuilder::extract(Value vector, unsigned lane) { return LLVM::ExtractElementOp::create(b, vector, i32(lane)); }

static Value reduce(IrBuilder &kernel, Value vector, llvm::function_ref<Value(Value, Value)> combine) {
  for (unsigned lanes = lanesOf(vector) / 2; lanes; lanes /= 2) {
    llvm::SmallVector<int32_t> low, high;
    for (unsigned lane = 0; lane < lanes; ++lane) {
      low.push_back(lane);
      high.push_back(lane + lanes);
    }
    vector = combine(kernel.shuffle(vector, vector, low), kernel.shuffle(vector, vector, high));
  }
  return kernel.extract(vector, 0);
}

Value IrBuilder::reduceAdd(Value vector) {
  return reduce(*this, vector, [&](Value x, Value y) { return add(x, y); });
}
Value IrBuilder::reduceMax(Value vector) {
  return reduce(*this, vector, [&](Value x, Value y) { return max(x, y); });
}

Value IrBuilder::mask(Value count, unsigned lanes) {
  auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, lanes));
  Value iota = arith::ConstantOp::create(b, DenseElementsAttr::get(integers(32, lanes), llvm::ArrayRef(numbers)));
  Value bounded = max(min(count, i64(lanes)), i64(0));
  Value narrow = arith::TruncIOp::create(b, b.getI32Type(), bounded);
  return less(iota, broadcast(narrow, lanes));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value IrBuilder::at(Value base, Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, offset, LLVM::GEPNoWrapFlags::inbounds);
}

Value IrBuilder::at(Value base, int64_t offset) { return offset == 0 ? base : at(base, i64(offset)); }

// 16-bit floats travel as integers: CPUs without instructions for them would take them apart through library calls.
Type IrBuilder::memoryType(Type type) {
  Type element = getElementTypeOrSelf(type);
  return isa<FloatType>(element) && element.getIntOrFloatBitWidth() == 16 ? bitsOf(type) : type;
}

Value IrBuilder::load(Type type, Value address, unsigned alignment) {
  return bitcast(type, LLVM::LoadOp::create(b, memoryType(type), address, alignment));
}
void IrBuilder::store(Value value, Value address, unsigned alignment) {
  LLVM::StoreOp::create(b, bitcast(memoryType(value.getType()), value), address, alignment);
}
Value IrBuilder::loadMasked(VectorType type, Value address, Value mask, unsigned alignment) {
  Type stored = memoryType(type);
  return bitcast(type, LLVM::MaskedLoadOp::create(b, stored, address, mask, zero(stored), alignment));
}
void IrBuilder::storeMasked(Value value, Value address, Value mask, unsigned alignment) {
  LLVM::MaskedStoreOp::create(b, bitcast(memoryType(value.getType()), value), address, mask, alignment);
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

Value IrBuilder::widen(Value narrow) {
  Type element = getElementTypeOrSelf(narrow.getType());
  if (element.isF32())
    return narrow;
  Type wide = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(narrow.getType()))
    wide = vector.cloneWith(std::nullopt, wide);
  if (element.isF16())
    return arith::ExtFOp::create(b, wide, narrow);
  assert(element.isBF16() && "only f32, f16 and bf16 are widened");
  // bf16 is the upper half of an f32.
  Value bits = arith::ExtUIOp::create(b, bitsOf(wide), bitcast(bitsOf(narrow.getType()), narrow));
  Value sixteen = isa<VectorType>(wide) ? i32Splat(16, lanesOf(narrow)) : i32(16);
  return bitcast(wide, shiftLeft(bits, sixteen));
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

Values IrBuilder::loop(Value begin, Value end, int64_t step, ValueRange start,
                       llvm::function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(b, begin, end, integer(begin.getType(), step), start,
                               [&](OpBuilder &, Location, Value, ValueRange) {});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(op.getBody());
  Values next = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(b, next);
  return Values(op.getResults());
}

void IrBuilder::forEach(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

void IrBuilder::ifThen(Value condition, llvm::function_ref<void()> then) {
  ifElse(condition, {}, [&] { return then(), Values(); }, [] { return Values(); });
}

Values IrBuilder::ifElse(Value condition, TypeRange types, llvm::function_ref<Values()> then,
                         llvm::function_ref<Values()> otherwise) {
  auto op = scf::IfOp::create(b, types, condition, /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(op.thenBlock());
  scf::YieldOp::create(b, then());
  b.setInsertionPointToEnd(op.elseBlock());
  scf::YieldOp::create(b, otherwise());
  return Values(op.getResults());
}

Value IrBuilder::intrinsic(llvm::StringRef name, Type result, ValueRange arguments) {
  auto call = result ? LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name), arguments)
                     : LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), arguments);
  return result ? call.getResults() : Value();
}
