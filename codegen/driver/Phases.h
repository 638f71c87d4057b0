// The named phases of a compilation.
#ifndef KERF_CODEGEN_DRIVER_PHASES_H
#define KERF_CODEGEN_DRIVER_PHASES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>

namespace kerf {

/// In the order in which they run. What each leaves is the input of the next.
enum class Phase {
  /// Checkpoint to graph.
  Import,
  /// Graph to the graph that is compiled.
  Optimize,
  /// Destinations to slots of one arena.
  Memory,
  /// Ops to dispatches, and kernels for every CPU variant.
  Kernels,
  /// Kernels to the llvm dialect.
  LLVM,
  /// Kernels to object files.
  Object,
  /// Objects, weights and manifest to libMODEL.so, MODEL.h and MODEL.kerf.
  Package
};

/// Number of phases.
inline constexpr unsigned phaseCount = 7;

/// "import", "optimize", …
llvm::StringRef getPhaseName(Phase phase);

/// The phase of that name, if there is one.
std::optional<Phase> findPhase(llvm::StringRef name);

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_PHASES_H
