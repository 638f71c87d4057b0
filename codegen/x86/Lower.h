//===- Lower.h - from a module of kernels to an object file -----*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_LOWER_H
#define KERF_CODEGEN_X86_LOWER_H

#include "codegen/x86/Variant.h"

#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace mlir {
class OpPassManager;
}

namespace kerf::x86 {

/// Adds the passes that lower a module's arith and scf ops to the llvm dialect.
void addLoweringPasses(mlir::OpPassManager &passes);

/// Lowers the module's arith and scf ops to the llvm dialect, in place. Failures are diagnostics.
llvm::LogicalResult lowerToLLVMDialect(mlir::ModuleOp module);

/// Translates a module in the llvm dialect to LLVM IR for the variant: target and attributes of each function are
/// set, entry points are hidden or, for code that is looked up by name, visible.
llvm::Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp module, const Variant &variant,
                                                        llvm::LLVMContext &context, bool visible = false);

/// Runs LLVM's -O3 pipeline for the variant.
llvm::Error optimize(llvm::Module &module, const Variant &variant);

/// The object file (ELF, position independent). The same module gives the same bytes. Consumes the module's IR.
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module, const Variant &variant);

/// The same as assembly text.
llvm::Expected<std::string> emitAssembly(llvm::Module &module, const Variant &variant);

/// What a module became on its way to its object file, as text.
struct Listing {
  /// LLVM IR before and after optimization, and assembly.
  std::string llvmIR, optimizedIR, assembly;
};

/// Optimizes the module, fills in `listing` if there is one, and gives the object file. Consumes the module's IR.
llvm::Expected<llvm::SmallVector<char, 0>> compileModule(llvm::Module &module, const Variant &variant,
                                                         Listing *listing = nullptr);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_LOWER_H
