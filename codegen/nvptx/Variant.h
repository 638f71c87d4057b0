//===- Variant.h - the GPUs that kernels are compiled for -------*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_VARIANT_H
#define KERF_CODEGEN_NVPTX_VARIANT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace kerf::nvptx {

/// The tile of a matrix product on tensor cores: a block computes `rows` x `columns` of the output in steps of `depth`
/// of k, with `warpRows` x `warpColumns` warps and a ring of `stages` tiles in shared memory.
struct TileSchedule {
  /// Least number of rows of a step that takes this tile; the row before it in the table takes those below.
  unsigned leastRows;
  unsigned rows, columns, depth;
  unsigned warpRows, warpColumns;
  unsigned stages;
  /// Blocks that a multiprocessor should hold at once; bounds the registers.
  unsigned blocks;
};

/// The product of few rows, where reading the weights is all: a block computes 16 columns, its warps share k, and a
/// lane has `registers` for its sums and for pieces of 16 bytes on the way.
struct StreamSchedule {
  /// Most rows that take it, a multiple of 8.
  unsigned mostRows;
  unsigned warps, registers;
};

/// One kind of GPU and the schedules of its kernels.
struct Variant {
  /// As in kerf_gpu_variant.name.
  const char *name;
  /// 10 * major + minor compute capability.
  unsigned architecture;
  /// Assembled to a cubin, or kept as PTX for devices to come.
  bool cubin;
  StreamSchedule stream;
  /// In ascending leastRows.
  llvm::ArrayRef<TileSchedule> tiles;
  /// Most rows of one work item of attention.
  unsigned attentionTile;
  /// Kernels add up in one order, whatever the number of rows; see makeInvariant.
  bool invariant = false;
};

/// All variants; each is better than those before it where it runs.
llvm::ArrayRef<Variant> variants();

/// The same GPU with schedules by which a row's bits depend on nothing but its own sequence: products of one tile, and
/// attention that takes single rows as it takes several. Slower where rows are few.
Variant makeInvariant(Variant variant);

/// The variant of that name; null where there is none.
const Variant *findVariant(llvm::StringRef name);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_VARIANT_H
