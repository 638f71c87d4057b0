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
    : IrBuilder(NameLoc::get(StringAttr::get(module.getContext(), name)), variant.lanes), target(variant) {
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
