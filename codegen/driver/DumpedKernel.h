// One kernel of one variant, away from the others: what dumps for CPUs and GPUs share.
#ifndef KERF_CODEGEN_DRIVER_DUMPEDKERNEL_H
#define KERF_CODEGEN_DRIVER_DUMPEDKERNEL_H

#include "dialects/kerf/KerfDialect.h"

#include "mlir/IR/BuiltinOps.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace kerf {

/// A kernel that some program uses, with its first dispatch. `isolate`, then `compile`, then `files`.
class DumpedKernel {
public:
  virtual ~DumpedKernel() = default;

  /// Makes the module of the kernel alone and translates it. Uses the MLIR context, so only one may do it at a time.
  llvm::Error isolate();
  /// Compiles what `isolate` translated; any thread.
  virtual llvm::Error compile() = 0;
  /// All its files: endings of their names, and what is in them.
  std::vector<std::pair<llvm::StringRef, std::string>> files();
  /// "KERNEL.VARIANT"
  std::string name() { return (dispatch.getKernel() + "." + variantOp.getSymName()).str(); }

protected:
  DumpedKernel(mlir::ModuleOp module, VariantOp variantOp, mlir::Operation *kernel, DispatchOp dispatch)
      : variantOp(variantOp), kernel(kernel), dispatch(dispatch), module(module) {}

  /// Names of the functions that the kernel is entered by.
  virtual std::vector<std::string> entries() = 0;
  /// Translates the module of functions that `isolate` made of that of the variant.
  virtual llvm::Expected<std::unique_ptr<llvm::Module>> translate(mlir::Operation *functions) = 0;
  /// Adds what `compile` made.
  virtual void addFiles(std::vector<std::pair<llvm::StringRef, std::string>> &files) = 0;
  /// The C source of the benchmark from its includes on: around `operands` and the fields of `facts` (bench_kernel),
  /// each as C text.
  virtual std::string makeBenchmark(llvm::StringRef operands, llvm::StringRef facts) = 0;
  /// The command that builds the benchmark.
  virtual std::string buildCommand() = 0;

  VariantOp variantOp;
  mlir::Operation *kernel;
  DispatchOp dispatch;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code;

private:
  std::string spellOperand(mlir::Attribute operand);
  std::string benchmark();

  mlir::ModuleOp module;
  std::string ir;
};

/// The dump of a kernel for CPUs: assembly, object, and a benchmark that links it.
std::unique_ptr<DumpedKernel> dumpCpuKernel(mlir::ModuleOp module, VariantOp variant, KernelOp kernel,
                                            DispatchOp dispatch);
/// The dump of a kernel for GPUs: PTX; where the variant has a cubin and there is a ptxas (not empty), the cubin and
/// what ptxas says of each function; and a benchmark that loads them.
std::unique_ptr<DumpedKernel> dumpGpuKernel(mlir::ModuleOp module, VariantOp variant, GpuKernelOp kernel,
                                            DispatchOp dispatch, llvm::StringRef ptxas);

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_DUMPEDKERNEL_H
