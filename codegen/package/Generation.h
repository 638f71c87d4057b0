//===- Generation.h - defaults of generation in the package -----*- C++ -*-===//
#ifndef KERF_CODEGEN_PACKAGE_GENERATION_H
#define KERF_CODEGEN_PACKAGE_GENERATION_H

#include "dialects/import/Checkpoint.h"
#include "runtime/schema/package_generated.h"

#include <vector>

namespace kerf {

/// What generation_config.json says, and where it says nothing the token ids of config.json. What has no place in a
/// package is appended to `ignored`. Fails where a token is not below `vocabulary`.
llvm::Error readGeneration(const Checkpoint &checkpoint, int64_t vocabulary, schema::GenerationT &out,
                           std::vector<IgnoredKey> &ignored);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_GENERATION_H
