//===- Optimize.h - LLVM IR of kernels, whatever the target -----*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_OPTIMIZE_H
#define KERF_CODEGEN_KERNELS_OPTIMIZE_H

#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>

namespace kerf::kernels {

/// A machine that makes position-independent code of the highest optimization level. The target of the triple must be
/// initialized. `name` is the variant's, for the message where LLVM cannot make one.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine(const llvm::Triple &triple, llvm::StringRef cpu,
                                                                   llvm::StringRef features, const char *name);

/// Runs LLVM's -O3 pipeline for the machine, without what would vectorize or unroll kernels anew. `name` is the
/// variant's, for the message where the IR is not valid.
llvm::Error optimize(llvm::Module &module, llvm::TargetMachine &machine, const char *name);

/// The module's LLVM IR as text.
std::string printModule(const llvm::Module &module);

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_OPTIMIZE_H
