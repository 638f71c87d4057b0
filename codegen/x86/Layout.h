//===- Layout.h - how x86 kernels store weights -----------------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_LAYOUT_H
#define KERF_CODEGEN_X86_LAYOUT_H

#include "codegen/kernels/Element.h"

#include <cstddef>
#include <cstdint>

namespace kerf::x86 {

using namespace kernels;

/// Where the elements of a weight [n][k] are stored; one layout for all variants. Columns of the product come in
/// blocks of 16, each block a run of memory that a decode step streams from end to end:
///
///   16-bit elements, "n16k2": [ceil(n / 16)][ceil(k / 2)][16][2]
///   f32, "n16":               [ceil(n / 16)][k][16]
///
/// Two neighbours in k share 32 bits, which is how vdpbf16ps and tdpbf16ps take them. What lies beyond n and k is zero.
struct WeightLayout {
  /// Rows (outputs) and columns (inputs) of the weight.
  int64_t n, k;
  /// Element type.
  Element element;

  /// Columns of the product in a block.
  static constexpr int64_t block = 16;
  /// Elements of k that lie side by side.
  int64_t group() const { return element == Element::F32 ? 1 : 2; }
  /// Number of blocks.
  int64_t blocks() const { return (n + block - 1) / block; }
  /// Bytes of one block.
  int64_t blockBytes() const { return (k + group() - 1) / group() * group() * block * bytesOf(element); }
  /// Bytes of the whole weight.
  int64_t bytes() const { return blocks() * blockBytes(); }
  /// "n16k2" or "n16".
  const char *name() const { return element == Element::F32 ? "n16" : "n16k2"; }

  /// Packs rows [rowBegin, rowBegin + rowCount) of the weight, given densely, into `packed`, which starts at the block
  /// that holds row `rowBegin`. `rowBegin` is a multiple of 16, and so is `rowCount` unless the rows are the last.
  /// Writes whole blocks.
  void packRows(const void *rows, int64_t rowBegin, int64_t rowCount, void *packed) const;
  /// The reverse for the whole weight: dense rows [n][k].
  void unpack(const void *packed, void *rows) const;
};

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_LAYOUT_H
