// What a tool that reads checkpoints or IR says: its diagnostics, and what came of a graph.
#ifndef KERF_CODEGEN_DRIVER_DIAGNOSTICS_H
#define KERF_CODEGEN_DRIVER_DIAGNOSTICS_H

#include "codegen/driver/Progress.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"

namespace kerf {

/// Reports diagnostics through `progress`: those that point into a file with its line, others in words.
class DiagnosticPrinter : public mlir::SourceMgrDiagnosticHandler {
public:
  DiagnosticPrinter(llvm::SourceMgr &sources, mlir::MLIRContext &context, Progress &progress);
};

/// Ops and weights of a graph, and how many keys of its checkpoint had no effect.
PhaseSummary summarizeGraph(mlir::ModuleOp module, size_t ignored);

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_DIAGNOSTICS_H
