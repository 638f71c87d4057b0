//===- DecoderBuilder.h - a decoder as a graph of kerf ops ------*- C++ -*-===//
#ifndef KERF_DIALECTS_IMPORT_DECODERBUILDER_H
#define KERF_DIALECTS_IMPORT_DECODERBUILDER_H

#include "dialects/import/DecoderConfig.h"
#include "dialects/import/Sentence.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace kerf {

/// What a decoder's graph depends on besides its configuration and the types of its weights.
struct DecoderBuildOptions {
  /// The model's name.
  std::string name;
  /// Longest sequence, in tokens.
  int64_t context;
  /// Type of what linears read, of rotated queries and of kept keys and values; f32 or bf16.
  mlir::FloatType computeType;
  /// How an encoder makes a vector of a text.
  SentenceConfig sentence;
};

/// The module of a decoder whose weights have passed `verifyTensors`. The program consists of primitive ops; the
/// optimize phase fuses them. Fails if a tensor exceeds what the dialect can state.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildDecoder(mlir::MLIRContext &context, const DecoderConfig &config,
                                                               const Checkpoint &checkpoint,
                                                               const DecoderBuildOptions &options);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_DECODERBUILDER_H
