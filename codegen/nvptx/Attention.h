//===- Attention.h - what the attention kernels share -----------*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_ATTENTION_H
#define KERF_CODEGEN_NVPTX_ATTENTION_H

#include "codegen/nvptx/KernelBuilder.h"

namespace kerf::nvptx {

/// Most pieces that decoding cuts the keys of a row into, the least keys of one, and what that is a multiple of.
inline constexpr int64_t mostPieces = 16, leastPiece = 256, pieceStep = 64;
/// Query heads that a block of decoding serves: the columns of its second product.
inline constexpr int64_t headsTogether = 8;

/// Whether keys and values can be operands of tensor cores.
bool onTensorCores(const AttentionSpec &spec);
/// Bytes of what decoding keeps of a piece: f32 sums of the features, then the greatest score in base 2 and the sum of
/// the weights relative to it.
inline int64_t pieceBytes(const AttentionSpec &spec) { return 4 * spec.headDim + 16; }

/// Writes one function of an attention kernel: that of a block for one work item.
class AttentionBuilder : public KernelBuilder {
public:
  /// With `scratch` the kernel's scratch memory is its last operand.
  AttentionBuilder(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec, unsigned threads,
                   unsigned blocks, bool scratch);

  /// Runs `body` where there is an item of that number and its kind is `when`, with the fields below set.
  void withItem(Value number, LaunchWhen when, llvm::function_ref<void()> body);

  /// The keys [first, end) that the row at a position sees.
  Value firstKey(Value position);
  Value endKey(Value position);
  /// Page that a key of the item's sequence lies in.
  Value pageOf(Value key);
  /// Address of a key of key head `head` in that page; its value lies layout.partBytes() behind.
  Value keyIn(Value page, Value head, Value key);
  /// Bytes of a key.
  int64_t keyBytes() const { return spec.headDim * bytesOf(spec.cache); }
  /// Address of a head of a row of the step: of queries, output or log-sum-exps.
  Value rowHead(unsigned operand, Value row, Value head);
  /// `count` elements, even, of a query as pairs of the cache's 16-bit elements.
  Values queryPairs(Value address, int64_t count);
  /// Writes the log-sum-exp of a row's head, where wanted: `greatest` is that of the scores in base 2, -infinity where
  /// the row sees nothing; `total` the sum of their weights relative to it.
  void storeLogSumExp(Value row, Value head, Value greatest, Value total);
  /// The greater number; that which is one where the other is NaN.
  Value greater(Value a, Value b);
  /// x, or 0 where it is -infinity.
  Value finiteOr0(Value x);
  /// 1 / total, or 0 where it is 0.
  Value inverse(Value total);

  /// The pieces of what the item's first row sees: `count` of `keys` keys from `begin` on, of which it sees those in
  /// [first, end).
  struct Pieces {
    Value first, end, begin, keys, count;
  };
  Pieces piecesOf();
  /// Where a piece of a head of the item is kept.
  Value pieceAt(Value head, Value piece);

  /// Operands by number.
  enum { queries, items, pageBegin, pages, cache, output, logSumExp };
  /// Address of the scratch memory.
  Value scratch() const { return operand(spec.logSumExp ? logSumExp + 1 : logSumExp); }

  const AttentionSpec spec;
  const CacheLayout layout;
  /// Query heads that share a key head.
  const int64_t group;
  /// Turns scores into exponents of 2.
  const float exponent;
  /// Number of the item; its first row, number of rows and position; what its rows see.
  Value item, rowBegin, rowCount, position, keyFirst, keyEnd, behind, ahead;

private:
  Value itemPages;
};

/// The kernel for items of several rows; those for items of one row, by the number of items, and that which joins their
/// pieces.
LaunchAttr emitPrefill(mlir::gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                       const AttentionSpec &spec);
Launches emitDecode(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec);
LaunchAttr emitJoin(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec);
/// The kernel without tensor cores, for all items.
LaunchAttr emitPlain(mlir::gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_ATTENTION_H
