// kerf-lsp-server: diagnostics, definitions and hovers for .mlir files in editors.
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "tools/RegisterAll.h"

#include "llvm/Support/thread.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  kerf::registerDialects(registry);
  bool failed = true;
  // MLIR's part takes documents out of messages itself and recurses as deep as they are nested: they are not scanned
  // as other tools do, but have a stack that no document an editor can show exhausts. Only what is used takes memory.
  llvm::thread server(std::optional<unsigned>(1u << 30),
                      [&] { failed = mlir::failed(mlir::MlirLspServerMain(argc, argv, registry)); });
  server.join();
  return failed;
}
