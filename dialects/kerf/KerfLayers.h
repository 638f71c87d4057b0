// What passes and lowerings do to layers.
#ifndef KERF_DIALECTS_KERF_KERFLAYERS_H
#define KERF_DIALECTS_KERF_KERFLAYERS_H

#include "dialects/kerf/KerfDialect.h"

namespace kerf {

/// Replaces each layer of `program` by its body.
void inlineLayers(mlir::func::FuncOp program);

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFLAYERS_H
