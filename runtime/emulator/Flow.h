/// What the flow of a kernel says about its instructions.
#ifndef KERF_RUNTIME_EMULATOR_FLOW_H
#define KERF_RUNTIME_EMULATOR_FLOW_H

#include "runtime/emulator/Warp.h"

namespace kerf::emulator {

/// Marks where blocks begin and end, and gives each conditional branch the instruction where its ways meet again, the
/// immediate postdominator of its block ("A Simple, Fast Dominance Algorithm"). `targets` are those of branches; the
/// last instruction must be a jump.
void findJoins(std::vector<Instruction> &code, const std::vector<uint32_t> &targets);

} // namespace kerf::emulator

#endif
