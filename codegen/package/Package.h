//===- Package.h - writes MODEL.kerf ----------------------------*- C++ -*-===//
//
// The file's layout and its fields: docs/artifact.md, runtime/schema/package.fbs and runtime/schema/Preamble.h.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_PACKAGE_PACKAGE_H
#define KERF_CODEGEN_PACKAGE_PACKAGE_H

#include "codegen/package/BuildId.h"
#include "codegen/package/Weights.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>
#include <vector>

namespace kerf {

/// What package and header are made of.
struct PackageInput {
  /// The module after the kernels phase or a later one: `kerf.model`, `kerf.weight`, `kerf.kv_group`, `kerf.program`,
  /// `kerf.variant`.
  mlir::ModuleOp module;
  /// The checkpoint that the source expressions read.
  const Checkpoint *checkpoint = nullptr;
  /// Identity of the compilation; see `computeBuildId`.
  BuildId buildId = {};
  /// Version of the compiler.
  std::string compilerVersion;
  /// Its options, without output paths and thread counts.
  std::string compilerFlags;
  /// What the code runs on, e.g. "x86-64".
  std::string target;
  /// Element type that activations are computed in; null: that of the first matrix.
  mlir::Type computeType;
  /// Bytes of one page of one plane of a KV group, as the kernels lay it out; must be what the library states.
  std::function<uint64_t(KvGroupOp)> pageBytes;
  /// The plan that the model was compiled by, or nothing.
  std::string plan;
  /// Threads that pack weights; 0: as many as the machine has. Bytes do not depend on it.
  unsigned threads = 0;
  /// Told how far packing is.
  PackProgress progress;
};

/// What the certificate counts of a package beside the IR.
struct PackageSizes {
  /// Length of preamble and manifest.
  uint64_t manifestBytes = 0;
  /// Sum of the packed weights.
  uint64_t weightBytes = 0;
  /// Length of the file.
  uint64_t fileBytes = 0;
  /// Whether the package can turn text into ids: the checkpoint has a tokenizer.json.
  bool hasTokenizer = false;
};

/// Sizes of the package that `writePackage` would write, found without reading a weight. Fails as it does.
llvm::Expected<PackageSizes> measurePackage(const PackageInput &input);

/// Writes the package to `path`. Where that fails, nothing is left there: where the module is incomplete or has a
/// weight that cannot be packed, where checkpoint and module do not agree, and where the disk is full or not writable.
/// What the checkpoint says without effect is appended to `ignored`.
llvm::Error writePackage(const PackageInput &input, llvm::StringRef path, std::vector<IgnoredKey> *ignored = nullptr);

/// Dispatches of a program whose origin is in the first layer ("layers.0."); 0 where layers are not told apart.
uint32_t dispatchesPerLayer(ProgramOp program);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_PACKAGE_H
