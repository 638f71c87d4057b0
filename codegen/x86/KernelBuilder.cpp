//===- KernelBuilder.cpp - writes one kernel of a variant as MLIR ---------===//
#include "codegen/x86/KernelBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMTypes.h"

#include "llvm/ADT/Sequence.h"

using namespace mlir;
using namespace kerf::x86;
using Value = mlir::Value;
using Values = KernelBuilder::Values;

void kerf::x86::loadKernelDialects(MLIRContext &context) {
  context.loadDialect<arith::ArithDialect, scf::SCFDialect, LLVM::LLVMDialect>();
}

KernelBuilder::KernelBuilder(ModuleOp module, const Variant &variant, llvm::StringRef name,
                             llvm::ArrayRef<OperandInfo> operands)
    : target(variant), b(NameLoc::get(StringAttr::get(module.getContext(), name)), module.getContext()) {
  b.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64Type = b.getI64Type(), none = LLVM::LLVMVoidType::get(b.getContext());

  // The body takes each operand as an argument of its own: only arguments can say that they do not overlap. It is
  // inlined into the entry, which reads them from the array.
  llvm::SmallVector<Type> bodyTypes(operands.size(), pointer);
  bodyTypes.append({i64Type, i64Type});
  function = LLVM::LLVMFuncOp::create(b, (name + ".body").str(), LLVM::LLVMFunctionType::get(none, bodyTypes),
                                      LLVM::Linkage::Internal);
  auto unit = b.getUnitAttr();
  for (auto [index, info] : llvm::enumerate(operands)) {
    if (info.noalias)
      function.setArgAttr(index, LLVM::LLVMDialect::getNoAliasAttrName(), unit);
    if (!info.written)
      function.setArgAttr(index, LLVM::LLVMDialect::getReadonlyAttrName(), unit);
    function.setArgAttr(index, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(info.alignment));
  }

  // The step's arrays outlive the call and no operand overlaps them.
  auto entry = LLVM::LLVMFuncOp::create(
      b, name, LLVM::LLVMFunctionType::get(none, llvm::ArrayRef<Type>{pointer, i64Type, i64Type}));
  // Kernels call nothing, so loops must not be turned into calls of memset and the like.
  for (LLVM::LLVMFuncOp each : {function, entry}) {
    each.setPassthroughAttr(b.getStrArrayAttr({"no-builtins", "nounwind"}));
    each.setDsoLocal(true);
  }
  b.setInsertionPointToStart(entry.addEntryBlock(b));
  Values arguments;
  for (unsigned index = 0; index < operands.size(); ++index)
    arguments.push_back(load(pointer, at(entry.getArgument(0), 8 * index), 8));
  arguments.push_back(entry.getArgument(1));
  arguments.push_back(entry.getArgument(2));
  LLVM::CallOp::create(b, function, arguments);
  LLVM::ReturnOp::create(b, ValueRange());

  b.setInsertionPointToStart(function.addEntryBlock(b));
  for (unsigned index = 0; index < operands.size(); ++index)
    operandValues.push_back(function.getArgument(index));
  rowsValue = function.getArgument(operands.size());
  taskValue = function.getArgument(operands.size() + 1);
}

void KernelBuilder::finish() { LLVM::ReturnOp::create(b, ValueRange()); }

//===----------------------------------------------------------------------===//
// Types and constants
//===----------------------------------------------------------------------===//

Type KernelBuilder::type(Element element) {
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

VectorType KernelBuilder::vectorType(Element element, unsigned lanes) { return VectorType::get(lanes, type(element)); }

VectorType KernelBuilder::integers(unsigned bits, unsigned lanes) {
  return VectorType::get(lanes, b.getIntegerType(bits));
}

Type KernelBuilder::bitsOf(Type floats) {
  Type element = b.getIntegerType(getElementTypeOrSelf(floats).getIntOrFloatBitWidth());
  if (auto vector = dyn_cast<VectorType>(floats))
    return vector.cloneWith(std::nullopt, element);
  return element;
}

Value KernelBuilder::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }
Value KernelBuilder::i32(int32_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
Value KernelBuilder::f32(float value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }

Value KernelBuilder::f32Splat(float value, unsigned lanes) {
  auto vector = vectorType(Element::F32, lanes ? lanes : target.lanes);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, value));
}

Value KernelBuilder::i32Splat(int32_t value, unsigned lanes) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(integers(32, lanes ? lanes : target.lanes), value));
}

Value KernelBuilder::zero(Type type) { return arith::ConstantOp::create(b, cast<TypedAttr>(b.getZeroAttr(type))); }

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value.getType())); }

Value KernelBuilder::add(Value x, Value y) {
  return isFloat(x) ? arith::AddFOp::create(b, x, y).getResult() : arith::AddIOp::create(b, x, y).getResult();
}
Value KernelBuilder::sub(Value x, Value y) {
  return isFloat(x) ? arith::SubFOp::create(b, x, y).getResult() : arith::SubIOp::create(b, x, y).getResult();
}
Value KernelBuilder::mul(Value x, Value y) {
  return isFloat(x) ? arith::MulFOp::create(b, x, y).getResult() : arith::MulIOp::create(b, x, y).getResult();
}
Value KernelBuilder::div(Value x, Value y) {
  return isFloat(x) ? arith::DivFOp::create(b, x, y).getResult() : arith::DivUIOp::create(b, x, y).getResult();
}
Value KernelBuilder::rem(Value x, int64_t y) { return arith::RemUIOp::create(b, x, i64(y)); }

// For floats a compare and a select are what minps and maxps do, so they become one instruction.
Value KernelBuilder::min(Value x, Value y) {
  return select(isFloat(x) ? compare(arith::CmpFPredicate::OLT, x, y) : less(x, y), x, y);
}
Value KernelBuilder::max(Value x, Value y) {
  return select(isFloat(x) ? compare(arith::CmpFPredicate::OGT, x, y) : less(y, x), x, y);
}

Value KernelBuilder::neg(Value x) { return arith::NegFOp::create(b, x); }
Value KernelBuilder::sqrt(Value x) { return LLVM::SqrtOp::create(b, x); }
Value KernelBuilder::fma(Value x, Value y, Value z) { return LLVM::FMAOp::create(b, x, y, z); }
Value KernelBuilder::bitAnd(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
Value KernelBuilder::bitOr(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
Value KernelBuilder::shiftLeft(Value x, Value y) { return arith::ShLIOp::create(b, x, y); }
Value KernelBuilder::shiftRight(Value x, Value y) { return arith::ShRUIOp::create(b, x, y); }

Value KernelBuilder::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, predicate, x, y);
}
Value KernelBuilder::compare(arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}
Value KernelBuilder::select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }
Value KernelBuilder::bitcast(Type type, Value x) {
  return x.getType() == type ? x : LLVM::BitcastOp::create(b, type, x).getResult();
}
Value KernelBuilder::signExtend(Value x) { return arith::ExtSIOp::create(b, b.getI64Type(), x); }

Value KernelBuilder::toF32(Value integers) {
  Type type = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(integers.getType()))
    type = vector.cloneWith(std::nullopt, type);
  return arith::SIToFPOp::create(b, type, integers);
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

static unsigned lanesOf(Value vector) { return cast<VectorType>(vector.getType()).getNumElements(); }

Value KernelBuilder::broadcast(Value scalar, unsigned lanes) {
  lanes = lanes ? lanes : target.lanes;
  auto vector = VectorType::get(lanes, scalar.getType());
  Value first = LLVM::InsertElementOp::create(b, LLVM::PoisonOp::create(b, vector), scalar, i32(0));
  return shuffle(first, first, llvm::SmallVector<int32_t>(lanes, 0));
}

Value KernelBuilder::shuffle(Value x, Value y, llvm::ArrayRef<int32_t> lanes) {
  return LLVM::ShuffleVectorOp::create(b, x, y, lanes);
}

Value KernelBuilder::extract(Value vector, unsigned lane) {
  return LLVM::ExtractElementOp::create(b, vector, i32(lane));
}

static Value reduce(KernelBuilder &kernel, Value vector, llvm::function_ref<Value(Value, Value)> combine) {
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

Value KernelBuilder::reduceAdd(Value vector) {
  return reduce(*this, vector, [&](Value x, Value y) { return add(x, y); });
}
Value KernelBuilder::reduceMax(Value vector) {
  return reduce(*this, vector, [&](Value x, Value y) { return max(x, y); });
}

Value KernelBuilder::mask(Value count, unsigned lanes) {
  auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, lanes));
  Value iota = arith::ConstantOp::create(b, DenseElementsAttr::get(integers(32, lanes), llvm::ArrayRef(numbers)));
  Value bounded = max(min(count, i64(lanes)), i64(0));
  Value narrow = arith::TruncIOp::create(b, b.getI32Type(), bounded);
  return less(iota, broadcast(narrow, lanes));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::at(Value base, Value offset) {
  return LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base, offset, LLVM::GEPNoWrapFlags::inbounds);
}

Value KernelBuilder::at(Value base, int64_t offset) { return offset == 0 ? base : at(base, i64(offset)); }

// 16-bit floats travel as integers: CPUs without instructions for them would take them apart through library calls.
Type KernelBuilder::memoryType(Type type) {
  Type element = getElementTypeOrSelf(type);
  return isa<FloatType>(element) && element.getIntOrFloatBitWidth() == 16 ? bitsOf(type) : type;
}

Value KernelBuilder::load(Type type, Value address, unsigned alignment) {
  return bitcast(type, LLVM::LoadOp::create(b, memoryType(type), address, alignment));
}
void KernelBuilder::store(Value value, Value address, unsigned alignment) {
  LLVM::StoreOp::create(b, bitcast(memoryType(value.getType()), value), address, alignment);
}
Value KernelBuilder::loadMasked(VectorType type, Value address, Value mask, unsigned alignment) {
  Type stored = memoryType(type);
  return bitcast(type, LLVM::MaskedLoadOp::create(b, stored, address, mask, zero(stored), alignment));
}
void KernelBuilder::storeMasked(Value value, Value address, Value mask, unsigned alignment) {
  LLVM::MaskedStoreOp::create(b, bitcast(memoryType(value.getType()), value), address, mask, alignment);
}

Value KernelBuilder::loadF32(Element element, Value address, unsigned lanes) {
  return widen(load(vectorType(element, lanes ? lanes : target.lanes), address, bytesOf(element)));
}
Value KernelBuilder::loadF32(Element element, Value address, Value mask, unsigned lanes) {
  return widen(loadMasked(vectorType(element, lanes), address, mask, bytesOf(element)));
}
Value KernelBuilder::loadScalarF32(Element element, Value address) {
  return widen(load(type(element), address, bytesOf(element)));
}
void KernelBuilder::storeF32(Element element, Value value, Value address) {
  store(narrow(element, value), address, bytesOf(element));
}
void KernelBuilder::storeF32(Element element, Value value, Value address, Value mask) {
  storeMasked(narrow(element, value), address, mask, bytesOf(element));
}

void KernelBuilder::prefetch(Value address, int64_t ahead, unsigned locality) {
  Value line = LLVM::GEPOp::create(b, address.getType(), b.getI8Type(), address, i64(ahead));
  LLVM::Prefetch::create(b, line, /*rw=*/0u, locality, /*data cache=*/1u);
}

Value KernelBuilder::reserve(int64_t bytes, unsigned alignment) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&function.getBody().front());
  stack += llvm::alignTo(bytes, alignment);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  return LLVM::AllocaOp::create(b, pointer, LLVM::LLVMArrayType::get(b.getI8Type(), bytes), i32(1), alignment);
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

Value KernelBuilder::widen(Value narrow) {
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

Value KernelBuilder::narrow(Element element, Value wide) {
  if (element == Element::F32)
    return wide;
  auto vector = dyn_cast<VectorType>(wide.getType());
  unsigned lanes = vector ? vector.getNumElements() : 1;
  Type result = vector ? Type(vectorType(element, lanes)) : type(element);
  if (element == Element::F16)
    return arith::TruncFOp::create(b, result, wide);
  if (target.bf16 && (lanes == 16 || lanes == 8))
    return intrinsic(lanes == 16 ? "llvm.x86.avx512bf16.cvtneps2bf16.512" : "llvm.x86.avx512bf16.cvtneps2bf16.256",
                     result, wide);
  // The same in integers: add half of the last place, less one where that place is even.
  auto constant = [&](int32_t value) { return vector ? i32Splat(value, lanes) : i32(value); };
  Value bits = bitcast(bitsOf(wide.getType()), wide);
  Value upper = shiftRight(bits, constant(16));
  Value odd = bitAnd(upper, constant(1));
  Value rounded = shiftRight(add(bits, add(odd, constant(0x7fff))), constant(16));
  Value magnitude = bitAnd(bits, constant(0x7fffffff));
  Value subnormal = less(magnitude, constant(0x00800000));
  Value nan = less(constant(0x7f800000), magnitude);
  rounded = select(subnormal, bitAnd(upper, constant(0x8000)), rounded);
  rounded = select(nan, bitOr(upper, constant(0x40)), rounded);
  return bitcast(result, arith::TruncIOp::create(b, bitsOf(result), rounded));
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

Values KernelBuilder::loop(Value begin, Value end, int64_t step, ValueRange start,
                           llvm::function_ref<Values(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(b, begin, end, i64(step), start, [&](OpBuilder &, Location, Value, ValueRange) {});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(op.getBody());
  Values next = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(b, next);
  return Values(op.getResults());
}

void KernelBuilder::forEach(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

void KernelBuilder::ifThen(Value condition, llvm::function_ref<void()> then) {
  ifElse(condition, {}, [&] { return then(), Values(); }, [] { return Values(); });
}

Values KernelBuilder::ifElse(Value condition, TypeRange types, llvm::function_ref<Values()> then,
                             llvm::function_ref<Values()> otherwise) {
  auto op = scf::IfOp::create(b, types, condition, /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(op.thenBlock());
  scf::YieldOp::create(b, then());
  b.setInsertionPointToEnd(op.elseBlock());
  scf::YieldOp::create(b, otherwise());
  return Values(op.getResults());
}

Value KernelBuilder::intrinsic(llvm::StringRef name, Type result, ValueRange arguments) {
  auto call = result ? LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name), arguments)
                     : LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), arguments);
  return result ? call.getResults() : Value();
}
