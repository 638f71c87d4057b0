// Costs of regions and programs: sums over what CostOpInterface says of single ops.
#ifndef KERF_DIALECTS_ANALYSIS_COSTS_H
#define KERF_DIALECTS_ANALYSIS_COSTS_H

#include "dialects/kerf/KerfCost.h"
#include "mlir/IR/Region.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <array>

namespace kerf {

/// The sizes of one step, one for each kerf_extent.
using Extents = std::array<int64_t, KERF_EXTENT_COUNT>;

/// What the ops of a region cost together, and which ops it does not cover.
struct RegionCost {
  /// Sum over the ops that report a cost, layers included, by the mask of the work list that they read: what is
  /// attended and cached counts by that mask. Null for ops that read none.
  llvm::MapVector<mlir::Attribute, Cost> byMask;
  /// Ops that move or compute something and report no cost, by name: loops, whose trip counts are unknown and whose
  /// bodies are not counted, and ops of other dialects on tensors. In order of appearance.
  llvm::MapVector<llvm::StringRef, int64_t> unknown;

  /// Adds the cost of one op.
  void add(mlir::Attribute mask, const Cost &cost);
  /// The sum over all masks.
  Cost total() const;
};

/// The cost of one run of `region`. Layers are entered, loops are not.
RegionCost getRegionCost(mlir::Region &region);

/// The extents of a step of `tokens` rows spread evenly over `sequences` sequences with `past` keys each, of which
/// `logitRows` want logits, with attention work in tiles of `attentionTile` rows. All arguments must be in range:
/// `sequences` and `attentionTile` positive, the others not negative. Keys are seen by `mask`; null is causal.
Extents getStepExtents(int64_t tokens, int64_t sequences, int64_t past, int64_t logitRows, int64_t attentionTile,
                       mlir::Attribute mask);

/// The mask of the work list that an op reads; null where it reads none or it is not seen which.
mlir::Attribute getMask(mlir::Operation *op);

/// The value of a form at `extents`. Saturates at the largest int64_t.
int64_t evaluate(const LinearForm &form, const Extents &extents);

/// Writes `form` as a sum such as `131072 + 1536*tokens`; `0` if it has no terms.
void printLinearForm(llvm::raw_ostream &os, const LinearForm &form);

} // namespace kerf
#endif // KERF_DIALECTS_ANALYSIS_COSTS_H
