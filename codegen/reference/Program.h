// A program compiled by the reference path into this process.
#ifndef KERF_CODEGEN_REFERENCE_PROGRAM_H
#define KERF_CODEGEN_REFERENCE_PROGRAM_H

#include "codegen/reference/Lowering.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace llvm::orc {
class LLJIT;
}

namespace kerf::reference {

/// Memory that the caller owns: rows-major, without gaps.
struct Buffer {
  /// The first element; may be null if there is none.
  void *data = nullptr;
  /// Sizes of all axes.
  llvm::SmallVector<int64_t, 5> shape;
};

/// Takes an output: what it is, its elements (valid during the call) and its shape.
using OutputFn = llvm::function_ref<void(const Output &, const void *, llvm::ArrayRef<int64_t>)>;

/// A compiled function. Immutable; `run` may be called from several threads at once on different buffers.
class Program {
public:
  /// Lowers and compiles a copy of `program`; the module stays as it is. `record` makes it emit every op's results.
  /// Diagnostics of the lowering go to the context.
  static llvm::Expected<std::unique_ptr<Program>> compile(mlir::func::FuncOp program, bool record = false);
  ~Program();

  /// What `run` takes, in order.
  llvm::ArrayRef<Argument> arguments() const { return arguments_; }
  /// What `run` gives: `resultCount()` results, then what is recorded in the order of the program.
  llvm::ArrayRef<Output> outputs() const { return outputs_; }
  /// How many of the outputs are results of the program.
  unsigned resultCount() const { return resultCount_; }

  /// Runs it on a buffer for each argument; caches are changed in place. Outputs come in the order in which they are
  /// computed, results last. Fails if a buffer does not have the shape of its argument.
  llvm::Error run(llvm::ArrayRef<Buffer> buffers, OutputFn take) const;

private:
  Program();
  std::unique_ptr<llvm::orc::LLJIT> jit;
  void (*entry)(void *const *) = nullptr;
  llvm::SmallVector<Argument> arguments_;
  llvm::SmallVector<Output> outputs_;
  unsigned resultCount_ = 0;
};

} // namespace kerf::reference
#endif // KERF_CODEGEN_REFERENCE_PROGRAM_H
