// kerf-opt: runs passes over IR, with all of mlir-opt's conveniences.
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "tools/RegisterAll.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  kerf::registerDialects(registry);
  kerf::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Kerf modular optimizer driver\n", registry));
}
