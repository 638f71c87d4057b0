// The constant kerf_library of a model (kerf/abi.h).
#ifndef KERF_CODEGEN_PACKAGE_LIBRARYTABLE_H
#define KERF_CODEGEN_PACKAGE_LIBRARYTABLE_H

#include "codegen/x86/Library.h"

#include <array>

namespace kerf {

/// Compiles the constant `kerf_library` of the module: variants (of GPUs with their images), programs, sizes of
/// weights and groups. `weightBytes`
/// are the packed sizes of the module's weights in order.
llvm::Expected<x86::ObjectFile> compileLibraryTable(mlir::ModuleOp module, const std::array<uint8_t, 32> &buildId,
                                                    llvm::ArrayRef<uint64_t> weightBytes);

/// Bytes of one page of one plane of the group, in the layout of the module's target.
uint64_t getPageBytes(KvGroupOp group);

} // namespace kerf
#endif // KERF_CODEGEN_PACKAGE_LIBRARYTABLE_H
