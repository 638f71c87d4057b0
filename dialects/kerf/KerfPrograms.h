// What passes and lowerings ask of programs and do to them.
#ifndef KERF_DIALECTS_KERF_KERFPROGRAMS_H
#define KERF_DIALECTS_KERF_KERFPROGRAMS_H

#include "dialects/kerf/KerfDialect.h"

namespace kerf {

/// Whether the function is a program of the model: it has a body and takes a batch.
bool isProgram(mlir::func::FuncOp function);

/// Whether the kernels phase has written the module's kernels for GPUs.
bool isForGpu(mlir::ModuleOp module);

/// Which steps give a row the same bits on a GPU: those whose number of rows, and of rows that want logits, lies in the
/// same band, and, where that counts, in which the row is alone in its work item or in neither.
struct OrderBands {
  /// The first number of rows of each band, ascending from 1.
  llvm::SmallVector<uint32_t> firstRows;
  /// Whether attention adds up differently for a row that is alone in its work item.
  bool byItem = false;

  /// Whether a row's bits depend on nothing of the step but its own sequence.
  bool invariant() const { return firstRows.size() == 1 && !byItem; }
};

/// The bands of a variant's kernels together.
OrderBands getOrderBands(VariantOp variant);

/// Replaces each layer of `program` by its body.
void inlineLayers(mlir::func::FuncOp program);

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFPROGRAMS_H
