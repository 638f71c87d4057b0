// Runs a model before and after each pass and says which op a pass broke.
#ifndef KERF_CODEGEN_VERIFYNUMERICS_H
#define KERF_CODEGEN_VERIFYNUMERICS_H

#include "passes/Evaluator.h"

#include "mlir/Pass/PassInstrumentation.h"

#include <string>

namespace kerf {

/// What is run and what is accepted.
struct VerifyNumericsOptions {
  /// The texts. Empty: `makeTokenSequences` of the model's vocabulary.
  std::vector<TokenSequence> sequences;
  /// Greatest relative error (Euclidean norm of the difference over that of the values before). 0: by the coarsest
  /// element type that the ops compute: 1e-4 for f32, 1e-2 for f16, 5e-2 for bf16, of which a fusion saves roundings.
  double tolerance = 0;
};

/// What was found; the driver keeps it while the pass manager runs.
struct NumericsReport {
  /// Passes after which the model was run.
  unsigned verified = 0;
  /// Whether a pass changed the numbers. The fields below are about the first that did.
  bool diverged = false;
  /// Whether the model could not be run.
  bool failed = false;
  /// The pass.
  std::string pass;
  /// Name of the first op whose result changed; "logits" if no op's did.
  std::string op;
  /// Relative error of that result.
  double error = 0;
};

/// A few ragged sequences of fixed pseudo-random tokens below `vocabulary`.
std::vector<TokenSequence> makeTokenSequences(int64_t vocabulary);

/// Installed in a pass manager over modules, checks after each pass that changed the module that it still computes the
/// same. Values are matched by the names of their ops' locations: a fused op must agree with one of the ops that it
/// was fused from. The first divergence is a diagnostic at the op, and in `report`; nothing is run after it. The
/// context must not run passes on several threads.
class VerifyNumerics : public mlir::PassInstrumentation {
public:
  /// `evaluator` and `report` must outlive the pass manager.
  VerifyNumerics(Evaluator &evaluator, VerifyNumericsOptions options, NumericsReport &report);
  ~VerifyNumerics() override;
  void runBeforePass(mlir::Pass *pass, mlir::Operation *op) override;
  void runAfterPass(mlir::Pass *pass, mlir::Operation *op) override;

private:
  struct State;
  void keep(mlir::ModuleOp module);
  void compare(mlir::ModuleOp module, llvm::StringRef pass);

  Evaluator &evaluator;
  VerifyNumericsOptions options;
  NumericsReport &report;
  std::unique_ptr<State> state;
};

/// Euclidean norm of the difference over that of `expected`; infinity where only one of two numbers is NaN.
double getRelativeError(const FloatMatrix &found, const FloatMatrix &expected);

/// Names in a location, outermost last: `fused["a", "b"]` gives a, b.
llvm::SmallVector<mlir::StringAttr> getLocationNames(mlir::Location location);

} // namespace kerf
#endif // KERF_CODEGEN_VERIFYNUMERICS_H
