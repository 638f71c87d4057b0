#include "codegen/driver/Phases.h"

using namespace kerf;

static constexpr llvm::StringLiteral names[phaseCount] = {"import", "optimize", "memory", "kernels",
                                                          "llvm",   "object",   "package"};

llvm::StringRef kerf::getPhaseName(Phase phase) { return names[static_cast<unsigned>(phase)]; }

std::optional<Phase> kerf::findPhase(llvm::StringRef name) {
  for (unsigned i = 0; i < phaseCount; ++i)
    if (names[i] == name)
      return static_cast<Phase>(i);
  return std::nullopt;
}
