//===- Header.h - writes MODEL.h --------------------------------*- C++ -*-===//
#ifndef KERF_CODEGEN_PACKAGE_HEADER_H
#define KERF_CODEGEN_PACKAGE_HEADER_H

#include "codegen/package/Package.h"

namespace kerf {

/// The text of the typed C11 and C++ header of a package of these sizes: constants, the library's symbol, an inline
/// function that opens the model and one that evaluates its memory certificate.
llvm::Expected<std::string> makeHeader(const PackageInput &input, const PackageSizes &sizes);

/// Writes the header to `path`; fails, leaving nothing there, as `measurePackage` and on errors of the disk.
llvm::Error writeHeader(const PackageInput &input, llvm::StringRef path);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_HEADER_H
