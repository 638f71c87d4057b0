// kerf-opt: runs passes over IR, with all of mlir-opt's conveniences.
#include "tools/RegisterAll.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  kerf::registerDialects(registry);
  kerf::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Kerf modular optimizer driver\n", registry));
}
