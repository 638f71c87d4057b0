//===- Lower.h - from a module of GPU kernels to PTX and cubin --*- C++ -*-===//
#ifndef KERF_CODEGEN_NVPTX_LOWER_H
#define KERF_CODEGEN_NVPTX_LOWER_H

#include "codegen/nvptx/Variant.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <optional>
#include <string>

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace kerf::nvptx {

/// Registers what the passes ask the dialects for; before a context runs them.
void registerLowering(mlir::DialectRegistry &registry);

/// Adds the passes that lower a gpu.module's arith, scf and nvvm ops to what LLVM IR is translated from.
void addLoweringPasses(mlir::OpPassManager &passes);

/// Lowers the module in place. Failures are diagnostics.
llvm::LogicalResult lowerToLLVMDialect(mlir::gpu::GPUModuleOp module);

/// Translates a lowered module to LLVM IR for the variant.
llvm::Expected<std::unique_ptr<llvm::Module>> translate(mlir::gpu::GPUModuleOp module, const Variant &variant,
                                                        llvm::LLVMContext &context);

/// What a module became on its way to PTX, as text: LLVM IR before and after optimization.
struct Listing {
  std::string llvmIR, optimizedIR;
};

/// Optimizes the module, fills in `listing` if there is one, and gives PTX of version 7.4, the first in which
/// loads can pass by L1: drivers from 470 (CUDA 11.4) on take it. The same module gives the same text. Consumes the
/// module's IR.
llvm::Expected<std::string> emitPtx(llvm::Module &module, const Variant &variant, Listing *listing = nullptr);

/// The assembler: `path` if it is not empty, else the ptxas on PATH; nothing where there is none.
std::optional<std::string> findPtxas(llvm::StringRef path = {});

/// What ptxas makes of PTX.
struct Assembly {
  std::string cubin;
  /// Registers, shared memory and spills of each function, and warnings, as ptxas prints them (-v).
  std::string report;
};

/// Assembles PTX for the variant. Fails with what ptxas says.
llvm::Expected<Assembly> assemble(llvm::StringRef ptxas, llvm::StringRef ptx, const Variant &variant);

} // namespace kerf::nvptx

#endif // KERF_CODEGEN_NVPTX_LOWER_H
