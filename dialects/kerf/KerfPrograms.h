// What passes and lowerings ask of programs and do to them.
#ifndef KERF_DIALECTS_KERF_KERFPROGRAMS_H
#define KERF_DIALECTS_KERF_KERFPROGRAMS_H

#include "dialects/kerf/KerfDialect.h"

namespace kerf {

/// Whether the function is a program of the model: it has a body and takes a batch.
bool isProgram(mlir::func::FuncOp function);

/// Whether the kernels phase has written the module's kernels for GPUs.
bool isForGpu(mlir::ModuleOp module);

/// Replaces each layer of `program` by its body.
void inlineLayers(mlir::func::FuncOp program);

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFPROGRAMS_H
