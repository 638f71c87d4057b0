// kerf-import: writes the module of a Hugging Face checkpoint directory.
#include "codegen/driver/Diagnostics.h"
#include "dialects/import/Import.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

using namespace kerf;
namespace cl = llvm::cl;

static cl::OptionCategory category("kerf-import options");
static cl::opt<std::string> directory(cl::Positional, cl::Required, cl::desc("DIR"), cl::cat(category));
static cl::opt<std::string> output("o", cl::desc("Where to write the module; - is the standard output"),
                                   cl::value_desc("model.mlir"), cl::init("-"), cl::cat(category));
static cl::opt<DType>
    computeType("compute-type",
                cl::desc("What linears read and the cache keeps (default: bf16 for a bf16 checkpoint, else f32)"),
                cl::values(clEnumValN(DType::F32, "f32", "32-bit"), clEnumValN(DType::BF16, "bf16", "bfloat16")),
                cl::cat(category));
static cl::opt<int64_t> context("context", cl::desc("Longest sequence (default: the checkpoint's own limit)"),
                                cl::value_desc("tokens"), cl::cat(category));
static cl::opt<SentencePooling>
    pooling("pooling", cl::desc("How an encoder makes one vector of a text (default: as modules.json says)"),
            cl::values(clEnumValN(SentencePooling::Mean, "mean", "the mean over its tokens"),
                       clEnumValN(SentencePooling::First, "first", "its first token, [CLS]"),
                       clEnumValN(SentencePooling::Last, "last", "its last token"),
                       clEnumValN(SentencePooling::Max, "max", "the maximum over its tokens")),
            cl::cat(category));
static cl::opt<bool> normalize("normalize",
                               cl::desc("Give an encoder's vectors length 1 (default: as modules.json says)"),
                               cl::cat(category));
static cl::opt<std::string> modelName("name", cl::desc("Name of the compiled model (default: the directory's name)"),
                                      cl::value_desc("name"), cl::cat(category));
static cl::opt<bool> verbose("v", cl::desc("List the keys and tensors that have no effect, and why"),
                             cl::cat(category));
static cl::opt<bool> quiet("quiet", cl::desc("Say nothing but errors"), cl::cat(category));
static cl::alias quietShort("q", cl::desc("The same as --quiet"), cl::aliasopt(quiet), cl::cat(category));
static cl::opt<std::string> logFile("log-jsonl", cl::value_desc("file"), cl::cat(category),
                                    cl::desc("Write each event as a line of JSON (-: standard output)"));

/// Writes `text` and says whether that worked: a stream destroyed with an error in it ends the process.
static llvm::Error put(llvm::raw_fd_ostream &os, llvm::StringRef text) {
  os << text;
  os.flush();
  std::error_code code = os.error();
  os.clear_error();
  return code ? llvm::errorCodeToError(code) : llvm::Error::success();
}

/// Writes the module. A regular file appears whole or not at all.
static llvm::Error write(mlir::ModuleOp module, Progress &progress) {
  std::string text;
  llvm::raw_string_ostream(text) << mlir::OpWithFlags(module, mlir::OpPrintingFlags().enableDebugInfo()) << '\n';
  bool isRegular = output != "-" && (!llvm::sys::fs::exists(output) || llvm::sys::fs::is_regular_file(output));
  auto whole = [&](llvm::raw_ostream &os) { return put(static_cast<llvm::raw_fd_ostream &>(os), text); };
  auto direct = [&]() -> llvm::Error {
    std::error_code code;
    llvm::raw_fd_ostream os(output, code);
    return code ? llvm::errorCodeToError(code) : put(os, text);
  };
  llvm::Error error = isRegular ? llvm::writeToOutput(output, whole) : direct();
  if (error)
    return importError(output + ": cannot be written: " + llvm::toString(std::move(error)));
  if (isRegular)
    progress.file(output);
  return llvm::Error::success();
}

static llvm::Error run(mlir::MLIRContext &mlirContext, Progress &progress) {
  ImportOptions options;
  if (computeType.getNumOccurrences())
    options.computeType = computeType;
  if (context.getNumOccurrences())
    options.context = context;
  if (pooling.getNumOccurrences())
    options.pooling = pooling;
  if (normalize.getNumOccurrences())
    options.normalize = normalize;
  if (modelName.getNumOccurrences() && modelName.empty())
    return importError("--name must not be empty");
  options.name = modelName;
  progress.begin(Phase::Import);
  llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(directory);
  if (!checkpoint)
    return checkpoint.takeError();
  std::vector<IgnoredKey> ignored;
  auto module = importCheckpoint(mlirContext, *checkpoint, options, ignored);
  if (!module)
    return module.takeError();
  progress.end(summarizeGraph(**module, ignored.size()));
  if (verbose)
    for (const IgnoredKey &key : ignored)
      progress.note("ignored " + key.key + ": " + key.reason);
  return write(**module, progress);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Writes the kerf module of a Hugging Face checkpoint directory\n");
  EventLog log;
  if (!logFile.empty())
    if (llvm::Error error = log.open(logFile)) {
      llvm::WithColor::error() << llvm::toString(std::move(error)) << '\n';
      return 1;
    }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  int status = 0;
  {
    Progress progress(llvm::errs(), quiet, log);
    llvm::SourceMgr sources;
    DiagnosticPrinter printer(sources, context, progress);
    if (llvm::Error error = run(context, progress)) {
      mlir::emitError(mlir::UnknownLoc::get(&context), llvm::toString(std::move(error)));
      status = 1;
    }
  }
  if (llvm::Error error = log.finish(status)) {
    llvm::WithColor::error() << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return status;
}
