//===- Import.h - from a checkpoint to a module -----------------*- C++ -*-===//
#ifndef KERF_DIALECTS_IMPORT_IMPORT_H
#define KERF_DIALECTS_IMPORT_IMPORT_H

#include "dialects/import/Checkpoint.h"
#include "dialects/import/Sentence.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <optional>
#include <string>
#include <vector>

namespace kerf {

/// What the user may choose about the imported model.
struct ImportOptions {
  /// Type in which linears read their inputs and in which keys and values are kept: F32 or BF16. Where absent: BF16 if
  /// every weight that a linear reads is BF16, else F32.
  std::optional<DType> computeType;
  /// Longest sequence, in tokens; the checkpoint's own limit where absent, which it may not exceed.
  std::optional<int64_t> context;
  /// How an encoder makes a vector of a text; where absent, as the files of sentence-transformers say.
  std::optional<SentencePooling> pooling;
  /// Whether an encoder's vectors get length 1; where absent, as those files say, and no where there are none.
  std::optional<bool> normalize;
  /// Name of the compiled model, by the rule of kerf/names.h; made from the directory's name where empty.
  std::string name;
};

/// The model of `checkpoint` as a module: `kerf.model`, one KV group, its weights as symbols and its program, @step or
/// @encode.
/// Loads the dialects it needs into `context`. Weight data are not read, so the module's size depends on the number of
/// layers only. Keys and tensors that have no effect are added to `ignored`; a choice that the user may not expect is a
/// warning. Fails with everything that is wrong with the checkpoint.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> importCheckpoint(mlir::MLIRContext &context,
                                                                   const Checkpoint &checkpoint,
                                                                   const ImportOptions &options,
                                                                   std::vector<IgnoredKey> &ignored);

/// A model name for the checkpoint in `directory`: its last component, or the model's name for a snapshot in the
/// Hugging Face cache, with every byte that kerf/names.h does not allow replaced by `_`.
std::string modelNameOf(llvm::StringRef directory);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_IMPORT_H
