// A model on the reference path: a compiled program, its weights in memory, and a dense cache.
#ifndef KERF_CODEGEN_REFERENCE_MODEL_H
#define KERF_CODEGEN_REFERENCE_MODEL_H

#include "codegen/package/Source.h"
#include "codegen/reference/Program.h"
#include "passes/Evaluator.h"

#include <vector>

namespace kerf::reference {

/// Keys and values of some sequences: of each KV group a dense `[planes][sequences][context][heads][head_dim]`.
struct Cache {
  /// Sequences it has room for.
  int64_t sequences = 0;
  /// Positions each has room for.
  int64_t context = 0;
  /// Positions that each holds.
  std::vector<int32_t> lengths;
  /// Keys and values of each group, in the order of the program's arguments.
  std::vector<std::vector<char>> memory;
};

/// New tokens of one sequence in a step.
struct Piece {
  /// Which sequence of the cache.
  int32_t sequence;
  /// Its next tokens.
  llvm::ArrayRef<int32_t> tokens;
};

/// A program with its weights. Immutable after `create`; several caches can be used at once.
class Model {
public:
  /// Compiles `program` (a function of a batch and a cache that gives logits first) and reads its weights. Fails where
  /// it has no such form or a weight cannot be read.
  static llvm::Expected<std::unique_ptr<Model>> create(mlir::func::FuncOp program, const TensorSource &tensors,
                                                       bool record = false);

  /// An empty cache, filled with NaN so that reading what was never written shows.
  Cache createCache(int64_t sequences, int64_t context) const;

  /// Appends the pieces to their sequences and gives the logits of `logitRows` (rows of the step: the tokens of all
  /// pieces, one after the other). A sequence may occur once. Fails on a token outside the vocabulary, a sequence or a
  /// row that is not there, or more tokens than the cache has room for; the cache then stays as it was.
  llvm::Expected<FloatMatrix> step(Cache &cache, llvm::ArrayRef<Piece> pieces, llvm::ArrayRef<int32_t> logitRows,
                                   RecordFn record = nullptr) const;

private:
  Model() = default;
  llvm::Error check(const Cache &cache, llvm::ArrayRef<Piece> pieces, llvm::ArrayRef<int32_t> logitRows) const;

  std::unique_ptr<Program> program;
  std::vector<std::vector<char>> weights;
  // Ids must be below this; 0 if the module does not say.
  int64_t vocabulary = 0;
};

/// Runs `program` on all sequences at once, each from its beginning, and gives the logits of every token, one sequence
/// after the other. Memory is as the IR's values say: a slot holds all that is written to it.
llvm::Expected<FloatMatrix> runTexts(mlir::func::FuncOp program, const TensorSource &tensors,
                                     llvm::ArrayRef<TokenSequence> sequences, RecordFn record = nullptr);

/// `count` numbers of type f32, f16 or bf16 at `data`.
std::vector<float> readFloats(mlir::Type element, const void *data, size_t count);
/// Writes numbers that the type has.
void writeFloats(mlir::Type element, llvm::ArrayRef<float> numbers, void *data);

/// The function of `module` that takes a batch and a cache and gives logits; null if there is none.
mlir::func::FuncOp findStep(mlir::ModuleOp module);

} // namespace kerf::reference
#endif // KERF_CODEGEN_REFERENCE_MODEL_H
