//===- TransformerBuilder.h - a transformer as kerf ops ---------*- C++ -*-===//
#ifndef KERF_DIALECTS_IMPORT_TRANSFORMERBUILDER_H
#define KERF_DIALECTS_IMPORT_TRANSFORMERBUILDER_H

#include "dialects/import/Sentence.h"
#include "dialects/import/TransformerConfig.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace kerf {

/// What a transformer's graph depends on besides its configuration and the types of its weights.
struct TransformerBuildOptions {
  /// The model's name.
  std::string name;
  /// Longest sequence, in tokens.
  int64_t context;
  /// Type of what linears read, of rotated queries and of kept keys and values; f32 or bf16.
  mlir::FloatType computeType;
  /// How an encoder makes a vector of a text.
  SentenceConfig sentence;
};

/// The module of a transformer whose weights have passed `verifyTensors`. The program consists of primitive ops; the
/// optimize phase fuses them. Fails if a tensor exceeds what the dialect can state.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildTransformer(mlir::MLIRContext &context,
                                                                   const TransformerConfig &config,
                                                                   const Checkpoint &checkpoint,
                                                                   const TransformerBuildOptions &options);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_TRANSFORMERBUILDER_H
