// Drives a compilation from a checkpoint, or from what an earlier phase wrote, to the three files of a model.
#ifndef KERF_CODEGEN_DRIVER_COMPILER_H
#define KERF_CODEGEN_DRIVER_COMPILER_H

#include "codegen/driver/Phases.h"
#include "codegen/driver/Progress.h"
#include "codegen/nvptx/Images.h"
#include "codegen/x86/Library.h"
#include "dialects/import/Checkpoint.h"
#include "dialects/import/Import.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kerf {

/// Version of the compiler, as packages record it.
llvm::StringRef getCompilerVersion();

/// What to compile, how, and what to write.
struct CompileOptions {
  /// Checkpoint directory, or an .mlir file ("-": standard input) if `from` is set.
  std::string input;
  /// Directory of the three files; if `to` is set before `Package`, the file for the IR ("-": standard output).
  std::string output;
  /// The input is what this phase wrote.
  std::optional<Phase> from;
  /// The last phase to run.
  Phase to = Phase::Package;
  /// Directory for what each phase wrote; empty: nowhere.
  std::string dumpDirectory;
  /// Directory for each kernel by itself; empty: nowhere.
  std::string kernelDirectory;
  /// How the checkpoint becomes a graph.
  ImportOptions import;
  /// Fuse projections, gating and residual sums.
  bool fuse = true;
  /// CPU variants, in ascending order; all if empty.
  std::vector<std::string> variants;
  /// GPU variants to compile for in place of CPUs, beside PTX for those to come; none: for CPUs.
  std::vector<std::string> gpus;
  /// Let a row's bits on GPUs depend on nothing but its own sequence, as they do on CPUs.
  bool invariant = false;
  /// The assembler for GPUs; empty: ptxas on PATH.
  std::string ptxas;
  /// Threads for packing and code generation, at least 1.
  unsigned threads = 1;
  /// Run the model on the reference path before and after each pass of the optimize and memory phases, and compare the
  /// compiled kernels with it.
  bool verifyNumerics = false;
  /// List what the checkpoint says without effect.
  bool verbose = false;
};

/// One compilation.
class Compiler {
public:
  /// `configure` is applied to every pass manager (IR printing, timing, reproducers).
  Compiler(mlir::MLIRContext &context, const CompileOptions &options, Progress &progress, mlir::TimingScope &timing,
           std::function<mlir::LogicalResult(mlir::PassManager &)> configure);

  /// Runs the phases. Every failure has been reported as a diagnostic of the context. Output files appear whole or
  /// not at all.
  mlir::LogicalResult run();

private:
  mlir::LogicalResult checkOptions();
  mlir::LogicalResult runImport();
  mlir::LogicalResult runParse();
  mlir::LogicalResult runPasses(Phase phase, llvm::function_ref<void(mlir::PassManager &)> build);
  mlir::LogicalResult runObjects();
  mlir::LogicalResult verifyObjects();
  mlir::LogicalResult runPackage();
  mlir::LogicalResult dump(Phase phase);
  mlir::LogicalResult dumpObjects(llvm::StringRef stem);
  mlir::LogicalResult dumpEachKernel();
  mlir::LogicalResult writeModule(llvm::StringRef path);
  mlir::LogicalResult writeFile(llvm::StringRef path, llvm::function_ref<void(llvm::raw_ostream &)> write);
  /// The checkpoint that the module was made from.
  llvm::Expected<Checkpoint> openCheckpoint();
  mlir::LogicalResult fail(llvm::Error error);
  mlir::LogicalResult fail(const llvm::Twine &message);
  bool runs(Phase phase) const { return (!options.from || phase > *options.from) && phase <= options.to; }
  /// Whether code is for GPUs: as asked, or as the module that was read is.
  bool isGpu();
  /// The assembler for GPUs; where there is none, empty, and a note says what is `lacking`.
  std::string findPtxas(const llvm::Twine &lacking);
  std::string getOutputDirectory() const { return options.output.empty() ? "." : options.output; }
  PhaseSummary summarize(Phase phase);

  mlir::MLIRContext &context;
  const CompileOptions &options;
  Progress &progress;
  mlir::TimingScope &timing;
  std::function<mlir::LogicalResult(mlir::PassManager &)> configure;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// As the memory phase left it, to verify kernels against.
  mlir::OwningOpRef<mlir::ModuleOp> planned;
  std::vector<IgnoredKey> ignored;
  /// What the object phase tells beside the objects, for the dump.
  std::vector<x86::Listing> listings;
  std::vector<nvptx::ImageListing> imageListings;
};

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_COMPILER_H
