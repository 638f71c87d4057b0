//===- Product.h - emits products of rows with weights ----------*- C++ -*-===//
//
// Shared by the linear kernels; not for others.
//
#ifndef KERF_CODEGEN_X86_PRODUCT_H
#define KERF_CODEGEN_X86_PRODUCT_H

#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Layout.h"

#include <optional>

namespace kerf::x86 {

/// A product of rows with one weight, or with a gate and an up weight, and what its sums go through.
struct Product {
  /// Elements of a row of the input and of the output.
  int64_t k, n;
  /// Element types.
  Element input, weight, output;
  /// What is added to the sums, before and after the activation.
  bool bias, residual;
  /// Element type of the residual.
  Element residualElement;
  /// What the sums, or those of the gate, go through.
  std::optional<Activation> activation;
  /// The activated sums are multiplied by those of a second weight.
  bool gated;

  /// Number of weights.
  unsigned matrices() const { return gated ? 2 : 1; }
  /// What a kernel may assume of its operands, in their order.
  llvm::SmallVector<OperandInfo> operands() const;
};

/// Writes the body of the kernel of a product.
class ProductEmitter {
public:
  using Value = mlir::Value;
  using Values = KernelBuilder::Values;

  ProductEmitter(KernelBuilder &kernel, const Product &product);
  /// Writes the kernel for the task that it is called with.
  void emit();
  /// How it is dispatched.
  KernelInfo info() const;

private:
  /// Sums of `rows` rows and `blocks` column blocks: indexed by row, matrix, block, vector of the block.
  struct Shape {
    unsigned rows, blocks;
  };
  unsigned index(Shape shape, unsigned row, unsigned matrix, unsigned block, unsigned vector) const {
    return ((row * product.matrices() + matrix) * shape.blocks + block) * vectors + vector;
  }
  unsigned count(Shape shape) const { return index(shape, shape.rows, 0, 0, 0); }

  // Product.cpp: one task, and what follows the sums.
  Value inputAddress(Value row, Value k);
  Value weightAddress(unsigned matrix, Value block, Value k);
  Value biasOperand(unsigned matrix) { return kernel.operand(1 + product.matrices() + matrix); }
  Value residualOperand() { return kernel.operand(1 + product.matrices() * (product.bias ? 2 : 1)); }
  Value outputOperand() { return kernel.operand(1 + product.matrices() * (product.bias ? 2 : 1) + product.residual); }
  /// Adds, activates, rounds and stores.
  void finish(Value row, Value block, Shape shape, llvm::ArrayRef<Value> sums);
  void finishBlock(Value row, Value block, Shape shape, unsigned number, llvm::ArrayRef<Value> sums, bool partial);
  /// Calls `body` with the row count as a constant in 1 … most.
  void forRowCount(Value rowCount, unsigned most, llvm::function_ref<void(unsigned)> body);
  /// Calls `body` for all column blocks, `together` at a time and the rest by ones.
  void forBlocks(Value begin, Value end, unsigned together, llvm::function_ref<void(Value, unsigned)> body);

  // VectorProduct.cpp: FMAs and vdpbf16ps.
  /// Where an inner loop finds its operands: as they are stored, or widened to f32 in memory of the kernel.
  struct Sources {
    /// The first row at the first k, and each weight's first block there.
    Value input;
    Values weights;
    Element inputElement, weightElement;
    /// From one row, and from one block, to the next.
    int64_t rowBytes, blockBytes;
  };
  Sources stored(Value row, Value block, Value k);
  void emitVectors(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd);
  void emitThin(Value rowBegin, Value rowCount, Value blockBegin, Value blockEnd);
  void emitWide(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd);
  void widenRow(Value from, Value to, int64_t length);
  void widenBlocks(const Sources &sources, llvm::ArrayRef<Value> to, unsigned blockCount, int64_t blockBytes,
                   int64_t length);
  Value loadWide(Value address, Element element, unsigned part);
  Value widenPart(Value pairs, unsigned part);
  Values sum(const Sources &sources, Shape shape, int64_t length, bool thin, Values sums);
  void step(const Sources &at, Shape shape, bool half, Values &sums);
  void stepPairs(const Sources &at, Shape shape, bool half, Values &sums);
  Value loadPair(Value address, bool half);

  // TileProduct.cpp: AMX.
  void emitTiles(Value rowBegin, Value rowEnd, Value blockBegin, Value blockEnd);
  struct TileBuffers {
    /// Zero-padded tiles of the input and the weights, and the sums.
    Value input, weight, sums;
  };
  void emitTileBlock(const TileBuffers &buffers, Value row, Value rowCount, Value block, unsigned rowTiles,
                     unsigned blocks, bool copyInput);

  KernelBuilder &kernel;
  const Product product;
  const LinearSchedule &schedule;
  const WeightLayout layout;
  const unsigned lanes, vectors, rows, blocks;
  unsigned panelBlocks;
};

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_PRODUCT_H
