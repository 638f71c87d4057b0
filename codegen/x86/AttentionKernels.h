//===- AttentionKernels.h - x86 kernels over the KV cache -------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_ATTENTIONKERNELS_H
#define KERF_CODEGEN_X86_ATTENTIONKERNELS_H

#include "codegen/x86/Kernels.h"

namespace kerf::x86 {

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

/// Keeps keys and values of rows, rounded to the cache's element type. Rows whose slot is negative are not kept.
///
/// Operands: keys [T][kvHeads * headDim], values (alike), slots (int32[T]: page * pageSize + position in the page),
/// cache (page 0 of the plane, aligned to 64 bytes).
struct KvAppendSpec {
  /// As in CacheLayout.
  int64_t kvHeads, headDim, pageSize;
  /// Element types; input is keys' and values'.
  Element input, cache;
};

/// Splits rows [queries | keys | values] into heads; with `norm` each query and key head goes through the norm of
/// RmsNormSpec with its scale; with `rope` queries and keys are rotated as in RopeSpec; keys and values are kept as in
/// KvAppendSpec, queries written to the output. Nothing is rounded between.
///
/// Operands: input [T][(queryHeads + 2 kvHeads) * headDim], slots, cache, [table (f32[T][headDim])],
/// [query scale, key scale (f32[headDim])], output [T][queryHeads * headDim].
struct RopeAppendSpec {
  /// Query heads; the rest as in CacheLayout.
  int64_t queryHeads, kvHeads, headDim, pageSize;
  /// Element types.
  Element input, cache, output;
  /// Has a table.
  bool rope = true;
  /// Has norms.
  bool norm = false;
  /// As in RmsNormSpec.
  double eps = 0;
};

/// output = softmax(scale * query · key) · value over the keys that a row sees; see kerf_work_item. A row that sees
/// none gives 0 and a log-sum-exp of -infinity. Query head h reads key head h / (queryHeads / kvHeads).
///
/// A row's result has the same bits however its sequence was cut into steps and work items, whatever the other rows
/// are and whatever lies in the cache before and beyond what it sees: scores are one chain over features, keys are
/// taken in steps at fixed logical positions in ascending order, and each output is one chain over ascending keys.
///
/// Operands: queries [T][queryHeads * headDim], work items (kerf_work_item[W]), page_begin (int32[S + 1]), pages
/// (int32), cache (page 0 of the plane, aligned to 64 bytes), output (like queries), [log-sum-exp f32[T][queryHeads]].
struct AttentionSpec {
  /// Query heads, a multiple of kvHeads; the rest as in CacheLayout.
  int64_t queryHeads, kvHeads, headDim, pageSize;
  /// Element types.
  Element queries, cache, output;
  /// Multiplies the scores.
  double scale;
  /// Writes log-sum-exps.
  bool logSumExp = false;
  /// What the work items' `behind` and `ahead` may be: bounded, and above 0. By default rows see every key up to their
  /// own.
  bool behind = false, ahead = false;
};

/// Joins two partial attentions of the same rows: with m = max(l, r), a = exp(l - m), b = exp(r - m):
/// output = (a * lhs + b * rhs) / (a + b), log-sum-exp = m + log(a + b). Where l and r are -infinity: 0 and -infinity.
///
/// Operands: lhs, lhs log-sum-exp l (f32[T][heads]), rhs, rhs log-sum-exp r, output, log-sum-exp of the output. The
/// outputs may be the memory of lhs and l, or of rhs and r.
struct AttentionMergeSpec {
  /// Elements of a row; heads of a row.
  int64_t columns, heads;
  /// Element types; element is lhs' and rhs'.
  Element element, output;
};

/// Adds the kernel to the module under that name.
KernelInfo emitKvAppend(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const KvAppendSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitRopeAppend(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                          const RopeAppendSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitAttention(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                         const AttentionSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitAttentionMerge(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                              const AttentionMergeSpec &spec);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_ATTENTIONKERNELS_H
