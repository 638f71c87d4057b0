// From a program to a function of plain loops, and what the function takes and gives.
#ifndef KERF_CODEGEN_REFERENCE_LOWERING_H
#define KERF_CODEGEN_REFERENCE_LOWERING_H

#include "dialects/kerf/KerfDialect.h"

namespace mlir {
class DialectRegistry;
}

namespace kerf::reference {

/// An argument of the lowered function.
struct Argument {
  /// What it holds.
  enum Kind { Batch, Keys, Values, Tensor, Weight };
  /// What it holds.
  Kind kind;
  /// Which array of the batch (`BatchArray`), or which argument of the program.
  unsigned index = 0;
  /// The KV group or the weight.
  mlir::StringAttr symbol = {};
  /// Its shape and element type.
  mlir::ShapedType type = {};
};

/// A tensor that the lowered function emits.
struct Output {
  /// The op that computes it, in the program that was given; null for a result of the program.
  mlir::Operation *op;
  /// Which result of `op`, or of the program.
  unsigned result;
  /// Its type; the first axis may be dynamic.
  mlir::RankedTensorType type;
};

/// A lowered function.
struct Lowered {
  /// The function; its first argument is an `i64` that it passes to every call of `@kerf_reference_emit`.
  mlir::func::FuncOp function;
  /// The arguments behind the first.
  llvm::SmallVector<Argument> arguments;
  /// What it emits, by number: first the program's results, then what is recorded.
  llvm::SmallVector<Output> outputs;
  /// How many of the outputs are results of the program.
  unsigned resultCount = 0;
};

/// Name of the function that takes outputs: (the i64 given, number of the output, address, rows).
inline constexpr llvm::StringLiteral emitFunction = "kerf_reference_emit";

/// Lowers `program`, which loses its layers, into a new function of the same name behind it. `record` also emits the
/// tensors that every kerf op computes. The caller erases `program`. Fails with a diagnostic.
mlir::FailureOr<Lowered> lowerProgram(mlir::func::FuncOp program, bool record);

/// Whether a function has kerf ops or types, and so is to be lowered.
bool needsLowering(mlir::func::FuncOp function);

} // namespace kerf::reference
#endif // KERF_CODEGEN_REFERENCE_LOWERING_H
