//===- Kernels.h - the x86 kernels ------------------------------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_KERNELS_H
#define KERF_CODEGEN_X86_KERNELS_H

#include "codegen/kernels/Specs.h"
#include "codegen/x86/Variant.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <string>

namespace kerf::x86 {

using namespace kernels;

/// How a kernel is dispatched: the fields of kerf_kernel.
struct KernelInfo {
  /// Symbol of its function.
  std::string name;
  /// Tasks = ceil(rows / tile) * columns.
  uint32_t tile = 1, columns = 1;
  /// Upper bound of the stack that a task uses.
  uint64_t stackBytes = 0;
};

/// Where keys and values lie in one page of one plane; one layout for all variants:
///
///   page:   [head]{ keys [pageSize / 16][headDim][16] | values [pageSize][valueStride] }
///
/// Keys are transposed in blocks of 16 positions, so that one load gives a feature of 16 keys and a score is a chain
/// of FMAs over features, without sums across lanes. Values are rows, so that one load gives consecutive features of
/// a position; rows are padded to 16 features, so that vectors need no masks. What attention reads of a head is one
/// run of memory in each page, in both decode and prefill. Padding and positions that nobody wrote may hold anything.
/// Every head starts at a multiple of 64 bytes from the start of its page.
struct CacheLayout {
  /// Key heads; features of a head, even; positions of a page, a multiple of 16.
  int64_t kvHeads, headDim, pageSize;
  /// Element type.
  Element element;

  /// Positions that lie side by side.
  static constexpr int64_t block = 16;
  /// Elements from one value row to the next.
  int64_t valueStride() const { return (headDim + 15) / 16 * 16; }
  /// Elements of a block of keys.
  int64_t blockElements() const { return headDim * block; }
  /// Elements of all keys of a head.
  int64_t keyElements() const { return pageSize * headDim; }
  /// Elements of a head: keys and values.
  int64_t headElements() const { return keyElements() + pageSize * valueStride(); }
  /// Bytes of a head.
  int64_t headBytes() const { return headElements() * bytesOf(element); }
  /// Bytes of one page of one plane.
  int64_t pageBytes() const { return kvHeads * headBytes(); }
  /// Element of the page that holds feature `d` of the key at `position`.
  int64_t keyIndex(int64_t head, int64_t position, int64_t d) const {
    return head * headElements() + (position / block * headDim + d) * block + position % block;
  }
  /// Element of the page that holds feature `d` of the value at `position`.
  int64_t valueIndex(int64_t head, int64_t position, int64_t d) const {
    return head * headElements() + keyElements() + position * valueStride() + d;
  }
};

/// Adds the kernel of a spec to the module under that name. Rows may have any element alignment.
///
/// Sums of a product are one chain over ascending k for each output in f32 (see Dot for bf16 inputs); pairs of input
/// and weight are f32 with f32, bf16 or f16, and bf16 with bf16. The bits of a row depend on that row alone and, in
/// attention, on its own sequence: however that was cut into steps and work items, whatever the other rows are and
/// whatever lies in the cache before and beyond what it sees. Scores are one chain over features, keys are taken in
/// steps at fixed logical positions in ascending order, and each output is one chain over ascending keys.
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const LinearSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const GatedLinearSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RmsNormSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const LayerNormSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const ActivationSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const GateSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const AddSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const EmbedSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const SelectSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const PoolSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RopeTableSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RopeSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const KvAppendSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RopeAppendSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const AttentionSpec &spec);
KernelInfo emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                      const AttentionMergeSpec &spec);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_KERNELS_H
