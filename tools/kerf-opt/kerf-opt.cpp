// kerf-opt: runs passes over IR, with all of mlir-opt's conveniences.
#include "dialects/import/IrText.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "tools/RegisterAll.h"

#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

int main(int argc, char **argv) {
  DialectRegistry registry;
  kerf::registerDialects(registry);
  kerf::registerPasses();
  const char *title = "Kerf modular optimizer driver\n";
  auto [input, output] = registerAndParseCLIOptions(argc, argv, title, registry);
  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  // These two read nothing.
  if (config.shouldShowDialects() || config.shouldListPasses())
    return asMainReturnCode(MlirOptMain(argc, argv, input, output, registry));

  llvm::InitLLVM init(argc, argv);
  llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> text = kerf::readIrFile(input);
  std::string problem;
  std::unique_ptr<llvm::ToolOutputFile> file;
  if (!text)
    problem = llvm::toString(text.takeError());
  else
    file = openOutputFile(output, &problem);
  if (!file) {
    llvm::errs() << "error: " << problem << "\n";
    return EXIT_FAILURE;
  }
  if (failed(MlirOptMain(file->os(), std::move(*text), registry, config)))
    return EXIT_FAILURE;
  file->keep();
  return EXIT_SUCCESS;
}
