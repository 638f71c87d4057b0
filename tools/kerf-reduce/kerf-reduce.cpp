// kerf-reduce: shrinks a module for which a test script fails to a small one for which it still fails. Its options are
// mlir-reduce's, whose own main function would parse its input unscanned.
#include "dialects/import/IrText.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Reducer/Passes.h"
#include "mlir/Support/FileUtilities.h"
#include "tools/RegisterAll.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
namespace cl = llvm::cl;

static LogicalResult refuse(const llvm::Twine &message) {
  llvm::errs() << "error: " << message << "\n";
  return failure();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  kerf::registerPasses();
  registerReducerPasses();
  cl::OptionCategory category("kerf-reduce options");
  cl::opt<std::string> input(cl::Positional, cl::desc("<input file>"), cl::init("-"), cl::cat(category));
  cl::opt<std::string> output("o", cl::desc("Where to write the reduced module; - is the standard output"),
                              cl::value_desc("filename"), cl::init("-"), cl::cat(category));
  cl::HideUnrelatedOptions(category);
  // Made now, the pipeline's options are not hidden.
  PassPipelineCLParser passes("", "Reduction passes to run");
  cl::ParseCommandLineOptions(argc, argv, "MLIR test case reduction tool.\n");

  DialectRegistry registry;
  kerf::registerDialects(registry);
  MLIRContext context(registry);
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> text = kerf::readIrFile(input);
  if (!text)
    return failed(refuse(llvm::toString(text.takeError())));
  std::string problem;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(output, &problem);
  if (!file)
    return failed(refuse(problem));

  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*text), llvm::SMLoc());
  SourceMgrDiagnosticHandler diagnostics(sources, &context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  PassManager pm(&context);
  if (!module || failed(passes.addToPipeline(pm, refuse)) || failed(pm.run(*module)))
    return EXIT_FAILURE;
  module->print(file->os());
  file->keep();
  return EXIT_SUCCESS;
}
