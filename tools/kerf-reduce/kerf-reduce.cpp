// kerf-reduce: shrinks a module for which a test script fails to a small one for which it still fails.
#include "dialects/import/IrText.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "tools/RegisterAll.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

int main(int argc, char **argv) {
  // MLIR's part opens and parses its input itself, so the file is checked before, wherever it stands.
  for (int i = 1; i < argc; ++i)
    if (argv[i][0] != '-' && llvm::sys::fs::is_regular_file(argv[i]))
      if (llvm::Error error = kerf::readIrFile(argv[i]).takeError()) {
        llvm::errs() << "error: " << llvm::toString(std::move(error)) << "\n";
        return 1;
      }
  mlir::DialectRegistry registry;
  kerf::registerDialects(registry);
  kerf::registerPasses();
  mlir::MLIRContext context(registry);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
