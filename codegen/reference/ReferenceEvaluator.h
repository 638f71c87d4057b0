// Runs a module under compilation on the reference path.
#ifndef KERF_CODEGEN_REFERENCE_REFERENCEEVALUATOR_H
#define KERF_CODEGEN_REFERENCE_REFERENCEEVALUATOR_H

#include "codegen/reference/Model.h"

namespace kerf {

/// Compiles the module anew for each evaluation and keeps all its weights in memory meanwhile. Of a planned program,
/// reads of slots that hold another value by then give NaN. May be used from
/// several threads if the modules' contexts are different.
class ReferenceEvaluator : public Evaluator {
public:
  /// Reads weights from `tensors`, which must outlive the evaluator.
  explicit ReferenceEvaluator(const TensorSource &tensors) : tensors(tensors) {}

  llvm::Expected<std::vector<FloatMatrix>> evaluate(mlir::ModuleOp module, llvm::ArrayRef<TokenSequence> sequences,
                                                    RecordFn record = nullptr) override;

private:
  const TensorSource &tensors;
};

} // namespace kerf
#endif // KERF_CODEGEN_REFERENCE_REFERENCEEVALUATOR_H
