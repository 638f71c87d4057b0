// From lowered GPU kernels to the images that a model library carries.
#ifndef KERF_CODEGEN_NVPTX_IMAGES_H
#define KERF_CODEGEN_NVPTX_IMAGES_H

#include "codegen/nvptx/Lower.h"
#include "dialects/kerf/KerfDialect.h"

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace kerf::nvptx {

/// What a variant became on its way to its image.
struct ImageListing {
  Listing code;
  /// PTX, and where it was assembled what ptxas says of each function.
  std::string ptx, report;
};

/// Compiles the kernels of every `kerf.variant` of a module in the llvm dialect, at most `threads` at once, and puts
/// their images into the module in place of the functions: a cubin by the assembler at `ptxas`, or PTX with its NUL.
/// Without an assembler (empty) the variants that need one leave the module. With `listings`, appends one for each
/// variant that stays.
llvm::Error compileVariants(mlir::ModuleOp module, llvm::StringRef ptxas, unsigned threads,
                            std::vector<ImageListing> *listings = nullptr);

/// Bytes of one page of one plane of the group.
uint64_t getPageBytes(KvGroupOp group);

} // namespace kerf::nvptx
#endif // KERF_CODEGEN_NVPTX_IMAGES_H
