//===- Product.h - what products of matrices on a GPU share -----*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_PRODUCT_H
#define KERF_CODEGEN_NVPTX_PRODUCT_H

#include "codegen/nvptx/KernelBuilder.h"

namespace kerf::nvptx {

/// A linear, by itself, gated or with what splits its rows into heads: sums of products, and what becomes of them.
///
/// An output takes one sum or, of its two parts, two: gate and up, or the same feature of both halves of a head.
struct ProductSpec {
  ProductSpec(const LinearSpec &spec);
  ProductSpec(const GatedLinearSpec &spec);
  ProductSpec(const LinearRopeAppendSpec &spec);

  /// Whether it runs on tensor cores.
  bool onTensorCores() const { return input == weight && input != Element::F32 && k % 8 == 0; }
  /// Sums of an output: 1 or 2.
  unsigned parts() const { return gated || heads ? 2 : 1; }
  /// Outputs of a row.
  int64_t outputs() const { return heads ? n / 2 : n; }
  /// The operands of its functions.
  llvm::SmallVector<OperandInfo> operands() const;
  /// Address of the row of weights whose products are part `part` (i32) of output `output` (i32).
  mlir::Value weightRow(KernelBuilder &kernel, mlir::Value output, mlir::Value part) const;

  int64_t k, n;
  Element input, weight, output;
  bool gated = false, bias = false;
  std::optional<Element> residual;
  std::optional<kernels::Activation> activation;
  std::optional<LinearRopeAppendSpec> heads;

private:
  friend class Epilogue;
  /// Weights, each with a bias if there are biases.
  unsigned matrices() const { return gated ? 2 : 1; }
  /// Half a head, and the column of its first half that is part of `output`.
  int64_t half() const { return heads->headDim / 2; }
  mlir::Value headColumn(KernelBuilder &kernel, mlir::Value output) const;
};

/// Turns sums into outputs. Of linears: bias, activation and gate, residual. Of heads: bias, rotation, append. Then
/// they are rounded, once.
class Epilogue {
public:
  Epilogue(KernelBuilder &kernel, const ProductSpec &spec) : kernel(kernel), spec(spec) {}

  /// Outputs that may be stored together: 2 where pairs are aligned.
  unsigned lanes() const { return (spec.heads ? spec.half() : spec.n) % 2 == 0 ? 2 : 1; }
  /// Stores outputs from number `output` (i32) on, which lie inside; `sums` has a value (a scalar, or a vector of
  /// lanes()) for each part.
  void store(mlir::Value row, mlir::Value output, llvm::ArrayRef<mlir::Value> sums);

private:
  void storeHeads(mlir::Value row, mlir::Value output, llvm::ArrayRef<mlir::Value> sums);
  /// Loads biases of the matrix from `column` on.
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
