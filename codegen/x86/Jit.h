//===- Jit.h - runs generated kernels in this process -----------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_JIT_H
#define KERF_CODEGEN_X86_JIT_H

#include "codegen/x86/Variant.h"
#include "kerf/abi.h"

#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace kerf::x86 {

/// Kernels compiled and linked into this process, for tests, benchmarks and evaluation at compile time.
class Jit {
public:
  /// Compiles the module (which is lowered in place) for the variant. Kernels may call nothing outside the module.
  /// `edit`, if given, may change the LLVM IR before it is optimized.
  static llvm::Expected<std::unique_ptr<Jit>> create(mlir::ModuleOp module, const Variant &variant,
                                                     llvm::function_ref<void(llvm::Module &)> edit = {});
  ~Jit();
  /// The kernel of that name; valid as long as this object.
  llvm::Expected<kerf_kernel_fn> find(llvm::StringRef name);

private:
  struct State;
  explicit Jit(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

/// Whether the CPU of this process has what the variant needs.
bool runsHere(const Variant &variant);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_JIT_H
