//===- Variant.h - the CPU variants that kernels are compiled for -*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_VARIANT_H
#define KERF_CODEGEN_X86_VARIANT_H

#include "codegen/kernels/Element.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace kerf::x86 {

using namespace kernels;

/// How a matrix product multiplies and sums.
enum class Dot {
  /// f32 FMAs, operands widened to f32, one sum for each output over ascending k.
  Fma,
  /// `vdpbf16ps`: pairs of k, one sum for each output over ascending pairs.
  Bf16Pairs,
  /// `tdpbf16ps` on tiles of 16 rows, 32 of k, 16 columns.
  Bf16Tiles
};

/// The blocking of a matrix product; changes speed, never bits. Columns come in blocks of 16.
struct LinearSchedule {
  /// How one product is computed.
  Dot dot;
  /// Rows and column blocks that the inner loop keeps in registers.
  unsigned rows, blocks;
  /// The same for two matrices at once.
  unsigned gatedRows, gatedBlocks;
  /// At most this many rows take their weights straight from memory, `thinBlocks` column blocks at a time.
  unsigned thinRows, thinBlocks;
  /// Column blocks of one task, if at least `leastColumns` tasks side by side remain; else half as many, and so on.
  unsigned panelBlocks, leastColumns;
  /// Rows of one task.
  unsigned taskRows;
  /// Elements of k that many rows go through before the next ones are looked at: the weights of `blocks` stay in L2.
  unsigned kBlock;
  /// The same where operands are widened to f32 first.
  unsigned kWidened;
  /// Whether bf16 weights are widened first or, being a shift away from f32, in the inner loop.
  bool widenBf16;
  /// Distance at which weights are prefetched when rows are few and memory is the limit; 0: not at all.
  unsigned prefetchBytes;
};

/// The blocking of attention; changes speed, never bits. A query is one row of one query head.
struct AttentionSchedule {
  /// Queries that the inner loops keep in registers, and the sums they may keep there.
  unsigned queries, sums;
  /// Queries that go through the keys together, with what is known of them on the stack.
  unsigned chunk;
};

/// One way of using the CPU: what it needs and how kernels are shaped for it.
struct Variant {
  /// As in kerf_variant.name.
  const char *name;
  /// kerf_cpu_feature bits that it needs.
  uint64_t features;
  /// LLVM's -mcpu, -mtune and -mattr.
  const char *cpu, *tune, *attributes;
  /// f32 elements of a vector register.
  unsigned lanes;
  /// Vector registers.
  unsigned registers;
  /// Has mask registers, so masked accesses cost nothing extra.
  bool masks;
  /// Has vcvtneps2bf16 and vdpbf16ps.
  bool bf16;
  /// Has tiles.
  bool amx;
  /// Products with f32 inputs (weights f32, bf16 or f16).
  LinearSchedule linearF32;
  /// Products of bf16 with bf16.
  LinearSchedule linearBf16;
  /// Attention.
  AttentionSchedule attention;
  /// Most rows of one work item of attention.
  unsigned attentionTile;
};

/// All variants; each is better than those before it where it runs.
llvm::ArrayRef<Variant> variants();

/// The variant of that name; null where there is none.
const Variant *findVariant(llvm::StringRef name);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_VARIANT_H
