// From lowered kernels to libMODEL.so.
#ifndef KERF_CODEGEN_X86_LIBRARY_H
#define KERF_CODEGEN_X86_LIBRARY_H

#include "codegen/x86/Lower.h"
#include "dialects/kerf/KerfDialect.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace kerf::x86 {

/// One object file of a model library.
struct ObjectFile {
  /// Name of its contents: a variant's, or "library" for the table.
  std::string name;
  /// ELF bytes.
  llvm::SmallVector<char, 0> bytes;
};

/// Compiles the kernels of every `kerf.variant` of a module in the llvm dialect, each in a thread of its own, at most
/// `threads` at once, and puts their object files into the module in place of the functions. The bytes do not depend
/// on `threads`. With `listings`, appends one for each variant.
llvm::Error compileVariants(mlir::ModuleOp module, unsigned threads, std::vector<Listing> *listings = nullptr);

/// The object files that `compileVariants` left in the module. Fails where a variant has none.
llvm::Expected<std::vector<ObjectFile>> getObjects(mlir::ModuleOp module);

/// Bytes of one page of one plane of the group.
uint64_t getPageBytes(KvGroupOp group);

/// Links the objects to the shared library `path` by lld. Only the library's table is visible; nothing may be left
/// undefined.
llvm::Error linkLibrary(llvm::ArrayRef<ObjectFile> objects, llvm::StringRef modelName, llvm::StringRef path);

} // namespace kerf::x86
#endif // KERF_CODEGEN_X86_LIBRARY_H
