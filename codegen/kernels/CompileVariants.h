//===- CompileVariants.h - the code of each variant -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_COMPILEVARIANTS_H
#define KERF_CODEGEN_KERNELS_COMPILEVARIANTS_H

#include "dialects/kerf/KerfDialect.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <vector>

namespace kerf::kernels {

/// One variant of a module between its translation to LLVM IR and what it is compiled to.
struct VariantJob {
  VariantOp op;
  /// Each variant has a context of its own: LLVM's contexts are for one thread.
  std::unique_ptr<llvm::LLVMContext> context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> code = {};
};

/// Calls `compile` for each job and its number, at most `threads` at once, and puts the bytes that it gives into each
/// variant as its `object`, in place of the functions; of all variants or, where one fails, of none. Jobs are
/// translated before, in the caller's thread: that registers interfaces in the MLIR context that all share.
llvm::Error
compileVariants(llvm::MutableArrayRef<VariantJob> jobs, unsigned threads,
                llvm::function_ref<llvm::Expected<llvm::SmallVector<char, 0>>(VariantJob &, size_t)> compile);

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_COMPILEVARIANTS_H
