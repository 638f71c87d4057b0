//===- Kernels.h - the GPU kernels ------------------------------*- C++ -*-===//
//
// Matrices are stored densely, rows [n][k], and read in pieces of 16 bytes where k is a multiple of 8 of their 16-bit
// elements. Every operand starts at a multiple of 64 bytes.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_NVPTX_KERNELS_H
#define KERF_CODEGEN_NVPTX_KERNELS_H

#include "codegen/kernels/Specs.h"
#include "codegen/nvptx/Variant.h"
#include "dialects/kerf/KerfDialect.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include <vector>

namespace kerf::nvptx {

using namespace kernels;

/// One page of one plane: [head][keys, values][position][feature], so that a key or a value is a run of memory.
struct CacheLayout {
  /// Key heads; features of a head; positions of a page.
  int64_t kvHeads, headDim, pageSize;
  /// Element type.
  Element element;

  /// Bytes of the keys of a head in a page, and of its values.
  int64_t partBytes() const { return pageSize * headDim * bytesOf(element); }
  /// Bytes of a head in a page.
  int64_t headBytes() const { return 2 * partBytes(); }
  /// Element of the page that holds feature `d` of the key, or the value, at `position`.
  int64_t keyIndex(int64_t head, int64_t position, int64_t d) const {
    return (2 * head * pageSize + position) * headDim + d;
  }
  int64_t valueIndex(int64_t head, int64_t position, int64_t d) const {
    return keyIndex(head, position, d) + pageSize * headDim;
  }
  /// Bytes of a page of one plane.
  int64_t pageBytes() const { return kvHeads * headBytes(); }
};

/// The launches of a kernel, in order.
using Launches = std::vector<LaunchAttr>;

/// Adds the functions of a kernel to the module; their names begin with `name`. Each takes the kernel's operands, the
/// kernel's scratch memory if it has any, and the rows (see kerf_gpu_launch).
///
/// Products of bf16 or f16 with the same run on tensor cores with f32 sums, in an order that depends on k and on which
/// launch serves the number of rows; other pairs (f32 with f32, bf16 or f16) are one chain of f32 FMAs over ascending
/// k.
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const LinearSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const GatedLinearSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const RmsNormSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const LayerNormSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const ActivationSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const GateSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const AddSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const EmbedSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const SelectSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const PoolSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const RopeTableSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name, const RopeSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const KvAppendSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const RopeAppendSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const LinearRopeAppendSpec &spec);
/// Scores, totals and sums are f32; weights are rounded to the cache's element before they multiply values where that
/// is on tensor cores (16-bit caches, head sizes of a multiple of 16 up to 256), and queries to it before they multiply
/// keys. A row's bits depend on its own sequence and position and, unless the variant is invariant, on whether its item
/// has one row or several; on nothing beside it. Values of keys that a row does not see but another row of its item
/// does must be finite: their weights are zeros.
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const AttentionSpec &spec);
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const AttentionMergeSpec &spec);

/// The token is the definition's bit by bit, in whatever order blocks and warps run.
Launches emitKernel(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                    const SampleSpec &spec);

/// Scratch memory of a kernel, by the sizes of the step, for variants that are invariant or not; zeros where it needs
/// none.
LinearForm scratchOf(const Spec &spec, bool invariant = false);
LinearForm scratchOf(const SampleSpec &spec);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_KERNELS_H
