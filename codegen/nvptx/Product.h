//===- Product.h - what products of matrices on a GPU share -----*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_PRODUCT_H
#define KERF_CODEGEN_NVPTX_PRODUCT_H

#include "codegen/nvptx/KernelBuilder.h"

namespace kerf::nvptx {

/// A linear or gated linear: sums of products with one matrix or two, and what becomes of them.
struct ProductSpec {
  ProductSpec(const LinearSpec &spec);
  ProductSpec(const GatedLinearSpec &spec);

  /// Whether it runs on tensor cores.
  bool onTensorCores() const { return input == weight && input != Element::F32 && k % 8 == 0; }
  /// Matrices: 1, or 2 for gate and up.
  unsigned matrices() const { return gated ? 2 : 1; }
  /// The operands of its functions.
  llvm::SmallVector<OperandInfo> operands() const;

  int64_t k, n;
  Element input, weight, output;
  bool gated = false, bias = false;
  std::optional<Element> residual;
  std::optional<kernels::Activation> activation;
};

/// Turns sums into outputs: bias, activation and gate, residual, one rounding, in this order.
class Epilogue {
public:
  Epilogue(KernelBuilder &kernel, const ProductSpec &spec) : kernel(kernel), spec(spec) {}

  /// Columns that may be stored together: 2 where pairs are aligned.
  unsigned lanes() const { return spec.n % 2 == 0 ? 2 : 1; }
  /// Stores the output of columns (i32) from `column` on, which lie inside; `sums` has a value (a scalar, or a vector
  /// of lanes()) for each matrix.
  void store(mlir::Value row, mlir::Value column, llvm::ArrayRef<mlir::Value> sums);

private:
  mlir::Value biasOf(unsigned matrix, mlir::Value column, unsigned lanes);

  KernelBuilder &kernel;
  const ProductSpec &spec;
};

/// The same product for different numbers of rows.
LaunchAttr emitStreamProduct(mlir::gpu::GPUModuleOp module, const StreamSchedule &schedule, llvm::StringRef name,
                             const ProductSpec &spec, unsigned leastRows, unsigned mostRows);
LaunchAttr emitTileProduct(mlir::gpu::GPUModuleOp module, const TileSchedule &schedule, llvm::StringRef name,
                           const ProductSpec &spec, int64_t leastRows, int64_t mostRows);
/// Without tensor cores, 16 * `rowsOfThread` rows and 64 columns to a block.
LaunchAttr emitPlainProduct(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const ProductSpec &spec,
                            unsigned rowsOfThread, int64_t leastRows, int64_t mostRows);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_PRODUCT_H
