//===- AmxEmulation.cpp - runs AMX code on CPUs without it ----------------===//
#include "test/codegen/x86/AmxEmulation.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Module.h"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

/// A tile register: 16 rows of 64 bytes, zero beyond its configured shape.
struct Tile {
  uint8_t row[16][64];
};

void loadTile(Tile *tile, int64_t rows, int64_t bytes, const uint8_t *address, int64_t stride) {
  std::memset(tile, 0, sizeof *tile);
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(tile->row[row], address + row * stride, bytes);
}

void storeTile(const Tile *tile, int64_t rows, int64_t bytes, uint8_t *address, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row)
    std::memcpy(address + row * stride, tile->row[row], bytes);
}

/// Subnormal numbers count as zero, in and out.
float flush(float value) { return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value; }

float bf16At(const uint8_t *row, int64_t index) {
  uint32_t bits = 0;
  std::memcpy(reinterpret_cast<char *>(&bits) + 2, row + 2 * index, 2);
  float value;
  std::memcpy(&value, &bits, 4);
  return flush(value);
}

void multiplyTiles(Tile *sum, int64_t rows, int64_t columnBytes, const Tile *a, const Tile *b, int64_t innerBytes) {
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < columnBytes / 4; ++n) {
      float even = 0, odd = 0, total;
      for (int64_t k = 0; k < innerBytes / 4; ++k) {
        even = flush(std::fma(bf16At(a->row[m], 2 * k), bf16At(b->row[k], 2 * n), even));
        odd = flush(std::fma(bf16At(a->row[m], 2 * k + 1), bf16At(b->row[k], 2 * n + 1), odd));
      }
      std::memcpy(&total, sum->row[m] + 4 * n, 4);
      total = flush(flush(total) + flush(even + odd));
      std::memcpy(sum->row[m] + 4 * n, &total, 4);
    }
}

/// Rewrites one function: tiles become vectors, instructions calls of the functions above.
class Rewriter {
public:
  explicit Rewriter(llvm::Function &function)
      : function(function), builder(function.getContext()),
        vector(llvm::FixedVectorType::get(builder.getInt32Ty(), 256)) {}

  void run() {
    llvm::SmallVector<llvm::Instruction *> old;
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (usesTiles(instruction))
        old.push_back(&instruction);
    // Phis first: they may carry values that are made later.
    for (llvm::Instruction *instruction : old)
      if (auto *phi = llvm::dyn_cast<llvm::PHINode>(instruction)) {
        builder.SetInsertPoint(phi);
        values[phi] = builder.CreatePHI(vector, phi->getNumIncomingValues());
      }
    for (llvm::Instruction *instruction : old)
      if (auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(instruction))
        rewrite(*call);
    for (llvm::Instruction *instruction : old)
      if (auto *phi = llvm::dyn_cast<llvm::PHINode>(instruction))
        for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i)
          llvm::cast<llvm::PHINode>(values[phi])
              ->addIncoming(values.at(phi->getIncomingValue(i)), phi->getIncomingBlock(i));
    for (llvm::Instruction *instruction : old)
      instruction->dropAllReferences();
    for (llvm::Instruction *instruction : old)
      instruction->eraseFromParent();
  }

private:
  static bool usesTiles(const llvm::Instruction &instruction) {
    if (instruction.getType()->isX86_AMXTy())
      return true;
    return llvm::any_of(instruction.operands(),
                        [](const llvm::Use &use) { return use.get()->getType()->isX86_AMXTy(); });
  }

  llvm::Value *memory() {
    llvm::IRBuilder<> entry(&function.getEntryBlock(), function.getEntryBlock().begin());
    auto *address = entry.CreateAlloca(vector);
    address->setAlignment(llvm::Align(64));
    return address;
  }
  llvm::Value *spill(llvm::Value *tile) {
    llvm::Value *address = memory();
    builder.CreateAlignedStore(values.at(tile), address, llvm::Align(64));
    return address;
  }
  llvm::Value *reload(llvm::Value *address) { return builder.CreateAlignedLoad(vector, address, llvm::Align(64)); }
  llvm::Value *wide(llvm::Value *integer) { return builder.CreateZExt(integer, builder.getInt64Ty()); }
  template <typename F> void call(F *target, llvm::ArrayRef<llvm::Value *> arguments) {
    llvm::SmallVector<llvm::Type *> types;
    for (llvm::Value *argument : arguments)
      types.push_back(argument->getType());
    auto *address = builder.CreateIntToPtr(builder.getInt64(reinterpret_cast<uintptr_t>(target)),
                                           llvm::PointerType::get(function.getContext(), 0));
    builder.CreateCall(llvm::FunctionType::get(builder.getVoidTy(), types, false), address, arguments);
  }

  void rewrite(llvm::IntrinsicInst &old) {
    builder.SetInsertPoint(&old);
    auto operand = [&](unsigned index) { return old.getArgOperand(index); };
    switch (old.getIntrinsicID()) {
    case llvm::Intrinsic::x86_tilezero_internal:
      values[&old] = llvm::Constant::getNullValue(vector);
      break;
    case llvm::Intrinsic::x86_tileloadd64_internal: {
      llvm::Value *tile = memory();
      call(loadTile, {tile, wide(operand(0)), wide(operand(1)), operand(2), operand(3)});
      values[&old] = reload(tile);
      break;
    }
    case llvm::Intrinsic::x86_tilestored64_internal:
      call(storeTile, {spill(operand(4)), wide(operand(0)), wide(operand(1)), operand(2), operand(3)});
      break;
    case llvm::Intrinsic::x86_tdpbf16ps_internal: {
      llvm::Value *sum = spill(operand(3));
      call(multiplyTiles,
           {sum, wide(operand(0)), wide(operand(1)), spill(operand(4)), spill(operand(5)), wide(operand(2))});
      values[&old] = reload(sum);
      break;
    }
    default:
      llvm::report_fatal_error("the emulation of AMX must know every tile intrinsic, got another one");
    }
  }

  llvm::Function &function;
  llvm::IRBuilder<> builder;
  llvm::Type *vector;
  llvm::DenseMap<llvm::Value *, llvm::Value *> values;
};

} // namespace

void kerf::test::emulateAmx(llvm::Module &module) {
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      Rewriter(function).run();
}
