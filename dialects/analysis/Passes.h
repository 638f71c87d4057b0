// Passes that look and change nothing.
#ifndef KERF_DIALECTS_ANALYSIS_PASSES_H
#define KERF_DIALECTS_ANALYSIS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace kerf {

#define GEN_PASS_DECL
#include "dialects/analysis/Passes.h.inc"

/// Generated: registers each pass under its argument.
#define GEN_PASS_REGISTRATION
#include "dialects/analysis/Passes.h.inc"

} // namespace kerf
#endif // KERF_DIALECTS_ANALYSIS_PASSES_H
