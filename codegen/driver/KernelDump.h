// Kernels by themselves: to read, and to measure one without the others.
#ifndef KERF_CODEGEN_DRIVER_KERNELDUMP_H
#define KERF_CODEGEN_DRIVER_KERNELDUMP_H

#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace kerf {

/// Writes one file: its name, which may begin with a folder, and what is in it.
using WriteFileFn = llvm::function_ref<llvm::LogicalResult(llvm::StringRef name, llvm::StringRef text)>;

/// Writes every kernel of every variant of a module after the kernels phase:
///
///     KERNEL.VARIANT.mlir              its functions, its first dispatch and what that names
///     KERNEL.VARIANT.ll                LLVM IR after optimization
///     KERNEL.VARIANT.c                 a benchmark; a comment in it says how it is built
///     kernel_benchmark.h, …, kerf/     what benchmarks include
///
/// for a CPU
///
///     KERNEL.VARIANT.s, .o             assembly and object file
///
/// and for a GPU
///
///     KERNEL.VARIANT.ptx               PTX
///     KERNEL.VARIANT.cubin, .ptxas.txt where the variant has one and `ptxas` is not empty: the cubin, and registers,
///                                      shared memory and spills of each function
///
/// At most `threads` compile at once. Fails where a kernel cannot be compiled or a file not be written; the latter has
/// then been reported by `write`.
llvm::Error dumpKernels(mlir::ModuleOp module, llvm::StringRef ptxas, unsigned threads, WriteFileFn write);

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_KERNELDUMP_H
