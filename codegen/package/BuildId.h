//===- BuildId.h - the identity of a compilation ----------------*- C++ -*-===//
#ifndef KERF_CODEGEN_PACKAGE_BUILDID_H
#define KERF_CODEGEN_PACKAGE_BUILDID_H

#include "dialects/import/Checkpoint.h"

#include "mlir/IR/BuiltinOps.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace kerf {

/// SHA-256, equal in MODEL.kerf, MODEL.h and libMODEL.so of one compilation.
using BuildId = std::array<uint8_t, 32>;

/// What an input file of a compilation is called and its SHA-256 in hexadecimal, sorted by name. The weight files come
/// as one entry, "weights", whose hash is `Checkpoint::weightsHash`.
using SourceHashes = std::vector<std::pair<std::string, std::string>>;

/// The files of the checkpoint that determine an artifact, as far as they are there: config.json, the weights,
/// generation_config.json, tokenizer.json, tokenizer_config.json and chat_template.jinja. Names have no directory.
llvm::Expected<SourceHashes> hashSources(const Checkpoint &checkpoint);

/// SHA-256 over everything that determines the artifact: the module after the kernels phase or a later one (its
/// locations, the checkpoint's path and the bodies of kernels apart), the object code `objects` of its variants in
/// order, the files of the checkpoint, the compiler's version and the flags. `flags` must hold neither output paths
/// nor the number of threads.
BuildId computeBuildId(mlir::ModuleOp module, llvm::ArrayRef<llvm::StringRef> objects, const Checkpoint &checkpoint,
                       llvm::StringRef compilerVersion, llvm::StringRef flags);

/// The build id as 64 lower-case hexadecimal digits.
std::string toHex(const BuildId &id);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_BUILDID_H
