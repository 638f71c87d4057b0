//===- KernelBuilder.h - writes one kernel of a variant as MLIR -*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_KERNELBUILDER_H
#define KERF_CODEGEN_X86_KERNELBUILDER_H

#include "codegen/kernels/IrBuilder.h"
#include "codegen/x86/Kernels.h"

namespace kerf::x86 {

/// What a kernel may assume of one operand.
struct OperandInfo {
  /// The address is a multiple of this.
  unsigned alignment = 1;
  /// The kernel writes it.
  bool written = false;
  /// No other operand overlaps it.
  bool noalias = true;
};

/// Loads the dialects that kernels are made of; once for each context, before the first KernelBuilder.
void loadKernelDialects(mlir::MLIRContext &context);

/// Writes one kernel with the signature kerf_kernel_fn into a module. Sizes are 64-bit integers. The kernel is complete
/// once finish() was called.
class KernelBuilder : public IrBuilder {
public:
  /// Starts the kernel `name` in `module`.
  KernelBuilder(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                llvm::ArrayRef<OperandInfo> operands);
  /// Ends the function.
  void finish();

  /// The variant that the kernel is for.
  const Variant &variant() const { return target; }
  /// Bytes that reserve() gave out.
  uint64_t stackBytes() const { return stack; }

  /// Address of an operand.
  Value operand(unsigned index) const { return operandValues[index]; }
  /// Rows that its tasks cut up.
  Value rows() const { return rowsValue; }
  /// Number of the task.
  Value task() const { return taskValue; }

  /// Vector of f32 of the variant's width.
  mlir::VectorType f32s() { return vectorType(Element::F32, target.lanes); }
  /// Loads `lanes` elements and widens them to f32; aligned to the element.
  Value loadF32(Element element, Value address, unsigned lanes = 0);
  /// The same for the lanes of the mask; zeros elsewhere.
  Value loadF32(Element element, Value address, Value mask, unsigned lanes);
  /// One element, widened.
  Value loadScalarF32(Element element, Value address);
  /// Rounds f32 lanes to the element and stores them; aligned to the element.
  void storeF32(Element element, Value value, Value address);
  /// The same for the lanes of the mask.
  void storeF32(Element element, Value value, Value address, Value mask);
  /// Asks for the cache line at address + ahead, which may lie outside the operand. `locality` 3: into L1; 2: into L2.
  void prefetch(Value address, int64_t ahead, unsigned locality = 3);
  /// Stack memory for the whole kernel.
  Value reserve(int64_t bytes, unsigned alignment = 64);

  /// Rounds f32 (scalar or vector) to nearest even. To bf16 as vcvtneps2bf16 does in every variant: subnormal
  /// numbers become zeros of their sign, NaNs quiet.
  Value narrow(Element element, Value wide);

private:
  const Variant &target;
  mlir::LLVM::LLVMFuncOp function;
  Values operandValues;
  Value rowsValue, taskValue;
  uint64_t stack = 0;
};

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_KERNELBUILDER_H
