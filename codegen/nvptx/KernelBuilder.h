//===- KernelBuilder.h - writes one GPU function as MLIR --------*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_KERNELBUILDER_H
#define KERF_CODEGEN_NVPTX_KERNELBUILDER_H

#include "codegen/kernels/IrBuilder.h"
#include "codegen/nvptx/Kernels.h"

#include <array>

namespace kerf::nvptx {

/// What a function may assume of one operand. Every operand is aligned to 64 bytes.
struct OperandInfo {
  /// The function writes it.
  bool written = false;
  /// No other operand overlaps it.
  bool noalias = true;
};

/// How a function is launched, names and threads apart: see kerf_gpu_launch.
struct Grid {
  int64_t tile = 1, columns = 1;
  int64_t leastRows = 1, mostRows = UINT32_MAX;
  LaunchWhen when = LaunchWhen::Always;
  /// The order in which it adds up, among those of its kernel's functions.
  int64_t order = 0;
};

/// Loads the dialects that kernels are made of; once for each context, before the first KernelBuilder.
void loadKernelDialects(mlir::MLIRContext &context);

/// Writes one function with the parameters of kerf_gpu_launch into a module. Code is that of one thread; sizes and
/// indices are 32-bit integers, byte offsets into operands 64-bit ones. Pointers are to global (1) or shared (3)
/// memory. The function is complete once finish() was called.
class KernelBuilder : public IrBuilder {
public:
  /// Starts the function. At least `blocks` blocks shall fit on a multiprocessor.
  KernelBuilder(mlir::gpu::GPUModuleOp module, llvm::StringRef name, llvm::ArrayRef<OperandInfo> operands,
                unsigned threads, unsigned blocks = 1);
  /// Ends the function.
  LaunchAttr finish(const Grid &grid);

  /// Address of an operand.
  Value operand(unsigned index) const { return operandValues[index]; }
  /// Rows of the step, i32.
  Value rows() const { return rowsValue; }
  /// Threads of a block.
  unsigned threads() const { return threadCount; }
  /// Number of the thread, its lane and warp, and of the block, i32.
  Value thread() const { return threadValue; }
  Value lane() const { return laneValue; }
  Value warp() const { return warpValue; }
  Value block() const { return blockValue; }

  /// Address of `bytes` of the block's shared memory, aligned to 128.
  Value reserveShared(int64_t bytes);
  /// base + index * stride in 64 bits; the index is an i32 of at least 0.
  Value atIndex(Value base, Value index, int64_t stride);

  /// Waits for all threads of the block; their accesses to memory before it come before those after it.
  void barrier();
  /// The same for the threads of a warp.
  void warpBarrier();
  /// Value of the lane whose number differs in the bits of `mask`. i32 or f32.
  Value shuffleXor(Value value, unsigned mask);
  /// Value of another lane.
  Value shuffleFrom(Value value, Value lane);
  /// Sum, greatest of `lanes` neighbouring lanes of a warp, in each of them; always the same tree.
  Value sumLanes(Value value, unsigned lanes = 32);
  Value maxLanes(Value value, unsigned lanes = 32);
  /// Sum over the block, in each thread; `shared` has a float for each warp, and holds nothing else before or after.
  Value sumBlock(Value value, Value shared);

  /// Loads elements (a power of two of at most 16 bytes), aligned to their size, and widens them to f32: a scalar
  /// for 1.
  Value loadF32(Element element, Value address, unsigned lanes);
  /// Rounds and stores them.
  void storeF32(Element element, Value value, Value address);
  /// Rounds f32 to nearest even; NaNs quiet.
  Value narrow(Element element, Value wide);
  /// Two f32 as a pair of 16-bit elements in an i32, `low` in the low half.
  Value pack(Element element, Value low, Value high);

  /// 16 bytes as four i32.
  std::array<Value, 4> load16(Value address);
  /// Stores four i32 as 16 bytes.
  void store16(llvm::ArrayRef<Value> values, Value address);
  /// Loads them from global memory that is read once and was not written by this launch.
  std::array<Value, 4> loadOnce16(Value address);
  /// Loads four 8 x 8 matrices of 16-bit elements from shared memory; lane i gives the address of row i % 8 of matrix
  /// i / 8. Transposed if told.
  std::array<Value, 4> loadMatrices(Value address, bool transposed = false);
  /// d + a * b, 16 x 8 x 16, of 16-bit elements with f32 sums.
  std::array<Value, 4> multiply(Element element, llvm::ArrayRef<Value> a, llvm::ArrayRef<Value> b,
                                llvm::ArrayRef<Value> d);
  /// Copies 16 bytes from global to shared memory in the background, of which those from `bytes` (i32) on become zeros;
  /// all are copied where it is null.
  void copyAsync(Value to, Value from, Value bytes = {});
  /// Closes a group of copies; waits until at most `pending` groups are on their way.
  void commitCopies();
  void waitCopies(unsigned pending);
  /// 2^x, within 2 units of the last place; subnormal numbers are zeros.
  Value exp2(Value x);

private:
  std::string name;
  unsigned threadCount;
  mlir::LLVM::LLVMFuncOp function;
  Values operandValues;
  Value rowsValue, threadValue, laneValue, warpValue, blockValue, sharedBase;
  int64_t sharedBytes = 0;
};

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_KERNELBUILDER_H
