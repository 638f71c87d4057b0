//===- KernelBuilder.cpp - writes one GPU function as MLIR ----------------===//
#include "codegen/nvptx/KernelBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;
using Four = std::array<Value, 4>;

static constexpr unsigned globalSpace = 1, sharedSpace = 3;
static constexpr llvm::StringLiteral sharedName = "kerf_shared";

void kerf::nvptx::loadKernelDialects(MLIRContext &context) {
  context.loadDialect<KerfDialect, arith::ArithDialect, scf::SCFDialect, LLVM::LLVMDialect, NVVM::NVVMDialect,
                      gpu::GPUDialect>();
}

KernelBuilder::KernelBuilder(gpu::GPUModuleOp module, llvm::StringRef name, llvm::ArrayRef<OperandInfo> operands,
                             unsigned threads, unsigned blocks)
    : IrBuilder(NameLoc::get(StringAttr::get(module.getContext(), name)), /*lanes=*/1), name(name),
      threadCount(threads) {
  b.setInsertionPointToEnd(module.getBody());
  // Its size is given at the launch.
  if (!SymbolTable::lookupSymbolIn(module, sharedName))
    LLVM::GlobalOp::create(b, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false, LLVM::Linkage::External,
                           sharedName, Attribute(), /*alignment=*/128, sharedSpace);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), globalSpace);
  llvm::SmallVector<Type> types(operands.size() + 1, pointer);
  function =
      LLVM::LLVMFuncOp::create(b, name, LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), types));
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), b.getDenseI32ArrayAttr({int32_t(threads), 1, 1}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(blocks));
  function.setPassthroughAttr(b.getStrArrayAttr({"nounwind"}));
  auto unit = b.getUnitAttr();
  for (unsigned index = 0; index <= operands.size(); ++index) {
    const OperandInfo info = index < operands.size() ? operands[index] : OperandInfo();
    if (info.noalias)
      function.setArgAttr(index, LLVM::LLVMDialect::getNoAliasAttrName(), unit);
    if (!info.written)
      function.setArgAttr(index, LLVM::LLVMDialect::getReadonlyAttrName(), unit);
    function.setArgAttr(index, LLVM::LLVMDialect::getAlignAttrName(),
                        b.getI64IntegerAttr(index < operands.size() ? KERF_ALIGNMENT : 4));
  }
  b.setInsertionPointToStart(function.addEntryBlock(b));
  for (unsigned index = 0; index < operands.size(); ++index)
    operandValues.push_back(function.getArgument(index));
  rowsValue = load(b.getI32Type(), function.getArgument(operands.size()), 4);
  threadValue = NVVM::ThreadIdXOp::create(b, b.getI32Type());
  blockValue = NVVM::BlockIdXOp::create(b, b.getI32Type());
  laneValue = rem(threadValue, 32);
  warpValue = div(threadValue, 32);
  sharedBase = LLVM::AddressOfOp::create(b, LLVM::LLVMPointerType::get(b.getContext(), sharedSpace), sharedName);
}

LaunchAttr KernelBuilder::finish(const Grid &grid) {
  LLVM::ReturnOp::create(b, ValueRange());
  return LaunchAttr::get(b.getContext(), b.getStringAttr(name).getValue(), grid.leastRows, grid.mostRows, grid.when,
                         grid.order, grid.tile, grid.columns, threadCount, sharedBytes);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::reserveShared(int64_t bytes) {
  Value address = at(sharedBase, i32(sharedBytes));
  sharedBytes = llvm::alignTo(sharedBytes + bytes, 128);
  return address;
}

Value KernelBuilder::atIndex(Value base, Value index, int64_t stride) {
  Value wide = arith::ExtUIOp::create(b, b.getI64Type(), index);
  return at(base, mul(wide, stride));
}

Value KernelBuilder::loadF32(Element element, Value address, unsigned lanes) {
  const Type loaded = lanes == 1 ? type(element) : Type(vectorType(element, lanes));
  return widen(load(loaded, address, lanes * bytesOf(element)));
}

void KernelBuilder::storeF32(Element element, Value value, Value address) {
  store(narrow(element, value), address, lanesOf(value) * bytesOf(element));
}

static Four split(mlir::ImplicitLocOpBuilder &b, Value structure) {
  Four parts;
  for (int64_t i = 0; i < 4; ++i)
    parts[i] = LLVM::ExtractValueOp::create(b, structure, i);
  return parts;
}

Four KernelBuilder::load16(Value address) {
  Value vector = load(integers(32, 4), address, 16);
  return {extract(vector, 0), extract(vector, 1), extract(vector, 2), extract(vector, 3)};
}

void KernelBuilder::store16(llvm::ArrayRef<Value> values, Value address) {
  Value vector = LLVM::PoisonOp::create(b, integers(32, 4));
  for (auto [index, value] : llvm::enumerate(values))
    vector = LLVM::InsertElementOp::create(b, vector, value, i32(index));
  store(vector, address, 16);
}

// Past L1 and in sectors of 256 bytes: LLVM has no way to say so.
Four KernelBuilder::loadOnce16(Value address) {
  Type i32Type = b.getI32Type();
  auto result = LLVM::LLVMStructType::getLiteral(b.getContext(), {i32Type, i32Type, i32Type, i32Type});
  auto op =
      LLVM::InlineAsmOp::create(b, TypeRange{result}, ValueRange{address},
                                "ld.global.nc.L1::no_allocate.L2::256B.v4.b32 {$0, $1, $2, $3}, [$4];", "=r,=r,=r,=r,l",
                                /*has_side_effects=*/false, /*is_align_stack=*/false, LLVM::TailCallKind::None,
                                LLVM::AsmDialectAttr(), ArrayAttr());
  return split(b, op.getResult(0));
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

void KernelBuilder::barrier() { NVVM::Barrier0Op::create(b); }
void KernelBuilder::warpBarrier() { NVVM::SyncWarpOp::create(b, i32(-1)); }

Value KernelBuilder::shuffleXor(Value value, unsigned mask) {
  return NVVM::ShflOp::create(b, value.getType(), i32(-1), value, i32(mask), i32(31), NVVM::ShflKind::bfly,
                              /*return_value_and_is_valid=*/UnitAttr());
}

Value KernelBuilder::shuffleFrom(Value value, Value lane) {
  return NVVM::ShflOp::create(b, value.getType(), i32(-1), value, lane, i32(31), NVVM::ShflKind::idx,
                              /*return_value_and_is_valid=*/UnitAttr());
}

Value KernelBuilder::sumLanes(Value value, unsigned lanes) {
  for (unsigned mask = lanes / 2; mask; mask /= 2)
    value = add(value, shuffleXor(value, mask));
  return value;
}

Value KernelBuilder::maxLanes(Value value, unsigned lanes) {
  for (unsigned mask = lanes / 2; mask; mask /= 2)
    value = max(value, shuffleXor(value, mask));
  return value;
}

Value KernelBuilder::sumBlock(Value value, Value shared) {
  value = sumLanes(value);
  const unsigned warps = threadCount / 32;
  if (warps == 1)
    return value;
  ifThen(compare(arith::CmpIPredicate::eq, laneValue, i32(0)), [&] { store(value, at(shared, mul(warpValue, 4)), 4); });
  barrier();
  Value sum = load(b.getF32Type(), shared, 4);
  for (unsigned warp = 1; warp < warps; ++warp)
    sum = add(sum, load(b.getF32Type(), at(shared, i32(4 * warp)), 4));
  return sum;
}

//===----------------------------------------------------------------------===//
// Numbers and matrices
//===----------------------------------------------------------------------===//

Value KernelBuilder::narrow(Element element, Value wide) {
  if (element == Element::F32)
    return wide;
  Type result = type(element);
  if (auto vector = dyn_cast<VectorType>(wide.getType()))
    result = vector.cloneWith(std::nullopt, result);
  return arith::TruncFOp::create(b, result, wide);
}

Value KernelBuilder::pack(Element element, Value low, Value high) {
  Type pair = vectorType(element, 2);
  const char *name = element == Element::BF16 ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn";
  return bitcast(b.getI32Type(), intrinsic(name, pair, {high, low}));
}

Four KernelBuilder::loadMatrices(Value address, bool transposed) {
  Type i32Type = b.getI32Type();
  auto result = LLVM::LLVMStructType::getLiteral(b.getContext(), {i32Type, i32Type, i32Type, i32Type});
  Value loaded =
      NVVM::LdMatrixOp::create(b, result, address, 4, transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
                               NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  return split(b, loaded);
}

Four KernelBuilder::multiply(Element element, llvm::ArrayRef<Value> a, llvm::ArrayRef<Value> c,
                             llvm::ArrayRef<Value> d) {
  const bool half = element == Element::F16;
  // f16 operands are pairs to LLVM, bf16 ones bits.
  auto pairs = [&](llvm::ArrayRef<Value> bits) {
    Values values(bits);
    if (half)
      for (Value &value : values)
        value = bitcast(vectorType(Element::F16, 2), value);
    return values;
  };
  Type f32Type = b.getF32Type();
  auto result = LLVM::LLVMStructType::getLiteral(b.getContext(), {f32Type, f32Type, f32Type, f32Type});
  const NVVM::MMATypes type = half ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  Value product = NVVM::MmaOp::create(b, result, pairs(a), pairs(c), ValueRange(d), llvm::ArrayRef<int64_t>{16, 8, 16},
                                      std::nullopt, std::nullopt, std::array<NVVM::MMATypes, 2>{type, type},
                                      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return split(b, product);
}

void KernelBuilder::copyAsync(Value to, Value from, Value bytes) {
  NVVM::CpAsyncOp::create(b, to, from, 16, NVVM::LoadCacheModifierKind::CG, bytes);
}
void KernelBuilder::commitCopies() { NVVM::CpAsyncCommitGroupOp::create(b); }
void KernelBuilder::waitCopies(unsigned pending) { NVVM::CpAsyncWaitGroupOp::create(b, pending); }

Value KernelBuilder::exp2(Value x) { return intrinsic("llvm.nvvm.ex2.approx.ftz.f32", x.getType(), x); }
