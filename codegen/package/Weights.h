//===- Weights.h - packs weights into the package ---------------*- C++ -*-===//
//
// Each `kerf.weight` is stored by itself, in module order: two with the same source are two weights.
//
//   matrix            for CPUs the layout of the x86 kernels (codegen/x86/Layout.h), for GPUs its rows: "rows"
//   vector, scalar    f32, whatever the element type: "f32"
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_PACKAGE_WEIGHTS_H
#define KERF_CODEGEN_PACKAGE_WEIGHTS_H

#include "codegen/package/OutputFile.h"
#include "codegen/package/Source.h"

#include "mlir/IR/BuiltinOps.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace kerf {

/// How one weight is stored.
struct PackedWeight {
  /// The op.
  WeightOp op;
  /// Name of the layout: "n16k2", "n16", "rows" or "f32".
  std::string layout;
  /// Size in the package, without what fills it up to the next weight.
  uint64_t bytes = 0;
  /// Where it begins in the file; a multiple of KERF_ALIGNMENT. Set by `placeWeights`.
  uint64_t offset = 0;
  /// SHA-256 of the packed bytes. Set by `packWeights`.
  std::array<uint8_t, 32> sha256 = {};
};

/// Packed size of a weight that `planWeights` accepts; what kerf_library.weight_bytes must state.
uint64_t packedBytes(WeightOp weight);

/// All weights of the module in module order, without offsets. Fails on a format, rank or element type that has no
/// layout, naming the weight.
llvm::Expected<std::vector<PackedWeight>> planWeights(mlir::ModuleOp module);

/// Sets the offsets of weights that begin at or after `begin`: one page-aligned segment, each weight at a multiple of
/// KERF_ALIGNMENT in it. Returns where the last one ends, or `begin` if there are none.
uint64_t placeWeights(llvm::MutableArrayRef<PackedWeight> weights, uint64_t begin);

/// Called with the packed bytes done so far and those of all weights, by one thread at a time.
using PackProgress = std::function<void(uint64_t done, uint64_t total)>;

/// Evaluates, packs, hashes and writes every weight at its offset, on `threads` threads (at least one). Bytes do not
/// depend on `threads`. Memory: a few MiB for each thread and, for transposes, the one matrix being transposed. On
/// failure the file's content is undefined.
llvm::Error packWeights(llvm::MutableArrayRef<PackedWeight> weights, const TensorSource &tensors, OutputFile &file,
                        unsigned threads, const PackProgress &progress = {});

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_WEIGHTS_H
