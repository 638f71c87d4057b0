// kerf-compile: from a Hugging Face checkpoint to libMODEL.so, MODEL.h and MODEL.kerf.
#include "codegen/driver/Compiler.h"
#include "codegen/driver/Diagnostics.h"
#include "runtime/cpu/Threads.h"
#include "tools/RegisterAll.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
namespace cl = llvm::cl;

static cl::OptionCategory category("kerf-compile options");

static cl::opt<std::string> input(cl::Positional, cl::Required,
                                  cl::desc("<checkpoint directory, or IR to resume from>"), cl::cat(category));
static cl::opt<std::string> output("o", cl::value_desc("path"), cl::cat(category),
                                   cl::desc("Directory of the three files (default: .); with --compile-to, the file "
                                            "for the IR (default: standard output, after object none)"));
static cl::opt<std::string> name("name", cl::desc("Name of the model (default: the checkpoint directory's)"),
                                 cl::cat(category));
static cl::opt<int64_t> contextLength("context", cl::desc("Longest sequence, in tokens (default: the checkpoint's)"),
                                      cl::init(0), cl::cat(category));
static cl::opt<kerf::DType> computeType(
    "compute-type", cl::cat(category),
    cl::desc("Type of what linear layers read and of keys and values (default: bf16 for bf16 checkpoints, else f32)"),
    cl::values(clEnumValN(kerf::DType::F32, "f32", "Single precision"),
               clEnumValN(kerf::DType::BF16, "bf16", "Half the bytes, 8 bits of mantissa")));
static cl::opt<kerf::SentencePooling>
    pooling("pooling", cl::cat(category),
            cl::desc("How an encoder makes one vector of a text (default: as modules.json says)"),
            cl::values(clEnumValN(kerf::SentencePooling::Mean, "mean", "The mean over its tokens"),
                       clEnumValN(kerf::SentencePooling::First, "first", "Its first token, [CLS]"),
                       clEnumValN(kerf::SentencePooling::Last, "last", "Its last token"),
                       clEnumValN(kerf::SentencePooling::Max, "max", "The maximum over its tokens")));
static cl::opt<bool> normalize("normalize", cl::cat(category),
                               cl::desc("Give an encoder's vectors length 1 (default: as modules.json says)"));
static cl::list<std::string> variants("variants", cl::CommaSeparated, cl::value_desc("avx2,avx512,avx512_bf16,amx"),
                                      cl::desc("CPU variants in the artifact (default: all)"), cl::cat(category));
static cl::list<std::string>
    targets("target", cl::CommaSeparated, cl::value_desc("x86-64|sm_80,sm_86,sm_89"),
            cl::desc("What to compile for: this kind of CPU (default), or NVIDIA GPUs of these "
                     "compute capabilities and, through PTX, newer ones"),
            cl::cat(category));
static cl::opt<std::string>
    ptxas("ptxas", cl::value_desc("file"), cl::cat(category),
          cl::desc("The CUDA assembler (default: ptxas on PATH; without one the library has PTX "
                   "only)"));
static cl::opt<bool> invariant("invariant", cl::cat(category),
                               cl::desc("On GPUs, let a row's bits depend on nothing but its own sequence, as they do "
                                        "on CPUs: slower where rows are few"));
static cl::opt<bool> fuse("fuse", cl::desc("Fuse projections, gating and residual sums (default: true)"),
                          cl::init(true), cl::cat(category));
static cl::opt<std::string>
    compileTo("compile-to", cl::value_desc("phase"), cl::cat(category),
              cl::desc("Stop after import, optimize, memory, kernels, llvm, object or package"));
static cl::opt<std::string> compileFrom("compile-from", cl::value_desc("phase"), cl::cat(category),
                                        cl::desc("The input is what this phase wrote"));
static cl::opt<std::string> dumpPhases("dump-phases-to", cl::value_desc("directory"), cl::cat(category),
                                       cl::desc("Write what each phase leaves"));
static cl::opt<std::string> dumpKernels("dump-kernels-to", cl::value_desc("directory"), cl::cat(category),
                                        cl::desc("Write each kernel by itself: IR, what it is compiled to, and a benchmark"));
static cl::opt<unsigned> threads("j", cl::Prefix, cl::value_desc("N"), cl::cat(category),
                                 cl::desc("Threads (default: the CPUs that affinity and cgroups leave)"));
static cl::opt<bool> verifyNumerics("verify-numerics", cl::cat(category),
                                    cl::desc("Run the model on the reference path before and after each pass up to "
                                             "memory, and each dispatch of the variants that run on this CPU; name the "
                                             "first op or dispatch that diverges"));
static cl::opt<bool> verbose("v", cl::desc("List what the checkpoint says without effect"), cl::cat(category));
static cl::opt<bool> quiet("quiet", cl::desc("Say nothing but errors"), cl::cat(category));
static cl::alias quietShort("q", cl::desc("The same as --quiet"), cl::aliasopt(quiet), cl::cat(category));
static cl::opt<std::string> logFile("log-jsonl", cl::value_desc("file"), cl::cat(category),
                                    cl::desc("Write each event as a line of JSON (-: standard output)"));

/// Ends the program for an option that cannot be obeyed.
[[noreturn]] static void refuse(const llvm::Twine &message) {
  llvm::WithColor::error() << message << '\n';
  std::exit(1);
}

/// The phase of an option's value; exits with the phases there are if it is none.
static std::optional<kerf::Phase> parsePhase(const cl::opt<std::string> &option) {
  if (option.empty())
    return std::nullopt;
  if (auto phase = kerf::findPhase(option))
    return phase;
  std::string known;
  for (unsigned i = 0; i < kerf::phaseCount; ++i)
    known += (" " + kerf::getPhaseName(static_cast<kerf::Phase>(i))).str();
  refuse("--" + option.ArgStr + " must be one of" + known + ", got '" + option.getValue() + "'");
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
  options.kernelDirectory = dumpKernels;
  options.import.name = name;
  if (contextLength.getNumOccurrences())
    options.import.context = contextLength;
  if (computeType.getNumOccurrences())
    options.import.computeType = computeType;
  if (pooling.getNumOccurrences())
    options.import.pooling = pooling;
  if (normalize.getNumOccurrences())
    options.import.normalize = normalize;
  options.fuse = fuse;
  options.variants.assign(variants.begin(), variants.end());
  if (targets.size() != 1 || targets[0] != "x86-64")
    options.gpus.assign(targets.begin(), targets.end());
  options.invariant = invariant;
  options.ptxas = ptxas;
  if (threads.getNumOccurrences() && (threads < 1 || threads > 1024))
    refuse("-j must be 1 to 1024, got " + llvm::Twine(threads));
  options.threads = threads ? threads : kerf::rt::usableThreads();
  options.verifyNumerics = verifyNumerics;
  options.verbose = verbose;

  DialectRegistry registry;
  kerf::registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
  if (options.threads > 1)
    context.setThreadPool(pool);
  context.loadAllAvailableDialects();
  kerf::EventLog log;
  if (!logFile.empty())
    if (llvm::Error error = log.open(logFile))
      refuse(llvm::toString(std::move(error)));
  kerf::Progress progress(llvm::errs(), quiet, log);
  llvm::SourceMgr sources;
  kerf::DiagnosticPrinter printer(sources, context, progress);

  DefaultTimingManager timing;
  applyDefaultTimingManagerCLOptions(timing);
  TimingScope root = timing.getRootScope();
  kerf::Compiler compiler(context, options, progress, root, [&](PassManager &pm) {
    pm.enableTiming(root);
    return applyPassManagerCLOptions(pm);
  });
  const int status = failed(compiler.run());
  if (llvm::Error error = log.finish(status)) {
    llvm::WithColor::error() << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return status;
}
