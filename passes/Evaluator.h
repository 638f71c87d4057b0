// What passes ask that must run the model: search, calibration, checks between passes.
#ifndef KERF_PASSES_EVALUATOR_H
#define KERF_PASSES_EVALUATOR_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <vector>

namespace kerf {

/// Tokens of one text.
using TokenSequence = std::vector<int32_t>;

/// Numbers in rows, widened to f32.
struct FloatMatrix {
  /// Rows.
  int64_t rows = 0;
  /// Numbers in a row.
  int64_t columns = 0;
  /// All of them, row by row.
  std::vector<float> values;
};

/// What one op computed.
struct RecordedTensor {
  /// The op, in the module that is evaluated.
  mlir::Operation *op;
  /// Which of its results.
  unsigned result;
  /// Element type that the result has in the program.
  mlir::Type elementType;
  /// Its numbers. Rows of tokens are those of all sequences, one after the other.
  const FloatMatrix &matrix;
};

/// Takes what ops compute, in the order of the program.
using RecordFn = llvm::function_ref<void(const RecordedTensor &)>;

/// Runs a model that is being compiled. Implementations say whether they may be used from several threads.
class Evaluator {
public:
  virtual ~Evaluator() = default;

  /// Runs the program of `module` on all sequences, each from its beginning, and gives the logits of every token of
  /// each, or its vector where the model is an encoder. With `record`, calls it for every tensor that a kerf op computes. The module stays as it is. Fails if
  /// the module cannot be run, a weight cannot be read or a token is outside the vocabulary.
  virtual llvm::Expected<std::vector<FloatMatrix>>
  evaluate(mlir::ModuleOp module, llvm::ArrayRef<TokenSequence> sequences, RecordFn record = nullptr) = 0;
};

} // namespace kerf
#endif // KERF_PASSES_EVALUATOR_H
