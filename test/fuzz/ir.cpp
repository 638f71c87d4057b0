// IR: refused before it is parsed, or parsed by MLIR and verified by the dialect without a crash; what is valid prints
// and is read again, is optimized for any target, and its memory is planned or it is said why not. Only Kerf's own code
// is instrumented: a fault in MLIR shows by a crash alone.
#include "dialects/import/IrText.h"
#include "dialects/kerf/KerfDialect.h"
#include "passes/Passes.h"
#include "test/fuzz/Fuzz.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using kerf::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // MLIR's lexer wants a zero behind the text, as a file has it that is read into memory.
  const std::string text(reinterpret_cast<const char *>(data), size);
  if (llvm::Error error = kerf::checkIrText("m.mlir", text)) {
    must(llvm::StringRef(llvm::toString(std::move(error))).starts_with("m.mlir:"), "a refusal says where");
    return 0;
  }
  // A context keeps every attribute and type that it has seen.
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<kerf::KerfDialect, arith::ArithDialect, func::FuncDialect, tensor::TensorDialect>();
  unsigned diagnostics = 0;
  ScopedDiagnosticHandler count(&context, [&](Diagnostic &) {
    ++diagnostics;
    return success();
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return 0;
  std::string printed;
  llvm::raw_string_ostream stream(printed);
  module->print(stream);
  must(bool(parseSourceString<ModuleOp>(printed, &context)), "what was printed can be read");
  for (const bool fuseAppend : {false, true}) {
    OwningOpRef<ModuleOp> compiled(module->clone());
    kerf::OptimizePhaseOptions options;
    options.fuseAppend = fuseAppend;
    PassManager optimize(&context), memory(&context);
    kerf::buildOptimizePhase(optimize, options);
    kerf::buildMemoryPhase(memory);
    must(succeeded(optimize.run(*compiled)), "what is valid can be optimized");
    diagnostics = 0;
    must(succeeded(memory.run(*compiled)) || diagnostics, "a refusal says why");
  }
  return 0;
}
