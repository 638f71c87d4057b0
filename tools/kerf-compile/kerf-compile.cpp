// kerf-compile: from a Hugging Face checkpoint to libMODEL.so, MODEL.h and MODEL.kerf.
#include "codegen/driver/Compiler.h"
#include "tools/RegisterAll.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
namespace cl = llvm::cl;

static cl::OptionCategory category("kerf-compile options");

static cl::opt<std::string> input(cl::Positional, cl::Required,
                                  cl::desc("<checkpoint directory, or IR to resume from>"), cl::cat(category));
static cl::opt<std::string> output("o", cl::value_desc("path"), cl::cat(category),
                                   cl::desc("Directory of the three files (default: .); with --compile-to, the file "
                                            "for the IR (default: standard output)"));
static cl::opt<std::string> name("name", cl::desc("Name of the model (default: the checkpoint directory's)"),
                                 cl::cat(category));
static cl::opt<int64_t> contextLength("context", cl::desc("Longest sequence, in tokens (default: the checkpoint's)"),
                                      cl::init(0), cl::cat(category));
static cl::opt<kerf::DType> computeType(
    "compute-type", cl::cat(category),
    cl::desc("Type of what linear layers read and of keys and values (default: bf16 for bf16 checkpoints, else f32)"),
    cl::values(clEnumValN(kerf::DType::F32, "f32", "Single precision"),
               clEnumValN(kerf::DType::BF16, "bf16", "Half the bytes, 8 bits of mantissa")));
static cl::list<std::string> variants("variants", cl::CommaSeparated, cl::value_desc("avx2,avx512_bf16,amx"),
                                      cl::desc("CPU variants in the artifact (default: all)"), cl::cat(category));
static cl::opt<bool> fuse("fuse", cl::desc("Fuse projections, gating and residual sums (default: true)"),
                          cl::init(true), cl::cat(category));
static cl::opt<std::string>
    compileTo("compile-to", cl::value_desc("phase"), cl::cat(category),
              cl::desc("Stop after import, optimize, memory, kernels, llvm, object or package"));
static cl::opt<std::string> compileFrom("compile-from", cl::value_desc("phase"), cl::cat(category),
                                        cl::desc("The input is what this phase wrote"));
static cl::opt<std::string> dumpPhases("dump-phases-to", cl::value_desc("directory"), cl::cat(category),
                                       cl::desc("Write what each phase leaves"));
static cl::opt<unsigned> threads("j", cl::Prefix, cl::value_desc("N"), cl::init(0), cl::cat(category),
                                 cl::desc("Threads (default: as many as the machine has)"));
static cl::opt<bool> verifyNumerics("verify-numerics", cl::cat(category),
                                    cl::desc("Run the model on the reference path before and after each pass of the "
                                             "optimize phase and name the first op that diverges"));
static cl::opt<bool> verbose("v", cl::desc("List what the checkpoint says without effect"), cl::cat(category));
static cl::opt<bool> quiet("quiet", cl::desc("Say nothing but errors"), cl::cat(category));

/// The phase of an option's value; exits with the phases there are if it is none.
static std::optional<kerf::Phase> parsePhase(const cl::opt<std::string> &option) {
  if (option.empty())
    return std::nullopt;
  if (auto phase = kerf::findPhase(option))
    return phase;
  llvm::errs() << "error: --" << option.ArgStr << " must be one of";
  for (unsigned i = 0; i < kerf::phaseCount; ++i)
    llvm::errs() << ' ' << kerf::getPhaseName(static_cast<kerf::Phase>(i));
  llvm::errs() << ", got '" << option << "'\n";
  std::exit(1);
}

/// Prints a diagnostic that points into no file; one that does is left to the handler that shows the line.
static LogicalResult printWithoutSource(Diagnostic &diagnostic) {
  if (diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
    return failure();
  auto print = [](Diagnostic &part) {
    llvm::raw_ostream &stream = part.getSeverity() == DiagnosticSeverity::Error     ? llvm::WithColor::error()
                                : part.getSeverity() == DiagnosticSeverity::Warning ? llvm::WithColor::warning()
                                : part.getSeverity() == DiagnosticSeverity::Note    ? llvm::WithColor::note()
                                                                                    : llvm::WithColor::remark();
    // Which part of the model it is about.
    if (auto name = part.getLocation()->findInstanceOf<NameLoc>())
      stream << name.getName().getValue() << ": ";
    stream << part << '\n';
  };
  print(diagnostic);
  for (Diagnostic &note : diagnostic.getNotes())
    print(note);
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  registerAsmPrinterCLOptions();
  registerMLIRContextCLOptions();
  registerPassManagerCLOptions();
  registerDefaultTimingManagerCLOptions();
  cl::SetVersionPrinter([](llvm::raw_ostream &stream) { stream << kerf::getCompilerVersion() << '\n'; });
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Kerf compiler: a Hugging Face checkpoint to libMODEL.so, MODEL.h and MODEL.kerf\n");

  kerf::CompileOptions options;
  options.input = input;
  options.output = output;
  options.from = parsePhase(compileFrom);
  options.to = parsePhase(compileTo).value_or(kerf::Phase::Package);
  options.dumpDirectory = dumpPhases;
  options.import.name = name;
  if (contextLength.getNumOccurrences())
    options.import.context = contextLength;
  if (computeType.getNumOccurrences())
    options.import.computeType = computeType;
  options.fuse = fuse;
  options.variants.assign(variants.begin(), variants.end());
  options.threads = threads;
  options.verifyNumerics = verifyNumerics;
  options.verbose = verbose;

  DialectRegistry registry;
  kerf::registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  // A whole module beside every message would hide it.
  context.printOpOnDiagnostic(false);
  kerf::Progress progress(llvm::errs(), quiet);
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler sourceHandler(sources, &context);
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    progress.clearLine();
    return printWithoutSource(diagnostic);
  });

  DefaultTimingManager timing;
  applyDefaultTimingManagerCLOptions(timing);
  TimingScope root = timing.getRootScope();
  kerf::Compiler compiler(context, options, progress, root, [&](PassManager &pm) {
    pm.enableTiming(root);
    return applyPassManagerCLOptions(pm);
  });
  return failed(compiler.run());
}
