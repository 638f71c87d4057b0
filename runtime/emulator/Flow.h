/// What the flow of a kernel says about its instructions.
#ifndef KERF_RUNTIME_EMULATOR_FLOW_H
#define KERF_RUNTIME_EMULATOR_FLOW_H

#include "runtime/emulator/Warp.h"

namespace kerf::emulator {

/// Instructions [begin, end) of which only the last may jump, and the blocks that may follow and precede.
struct Block {
  uint32_t begin, end;
  std::vector<unsigned> to, from;
};

/// Marks where blocks begin and end, and gives each conditional branch the instruction where its ways meet again, the
/// immediate postdominator of its block ("A Simple, Fast Dominance Algorithm"). `targets` are those of branches; the
/// last instruction must be a jump. Returns the blocks in their order.
std::vector<Block> findJoins(std::vector<Instruction> &code, const std::vector<uint32_t> &targets);

/// A register operand of an instruction: which of its operands, and whether it is written.
struct RegisterUse {
  uint32_t instruction;
  uint8_t operand;
  bool isWritten;
};

/// Lets registers that never live at the same time share units, so that a warp's registers stay in the cache ("Linear
/// Scan Register Allocation"). A register that a path reads without a write before keeps its units from the kernel's
/// beginning, so they are undefined there. `sizes`: bytes of each register by its first unit, 0 between; `fixed`:
/// registers that live throughout. Operands and the kernel's specials, units and register estimate are rewritten.
void shareUnits(Kernel &kernel, const std::vector<Block> &blocks, const std::vector<RegisterUse> &uses,
                const std::vector<uint8_t> &sizes, const std::vector<int32_t> &fixed);

} // namespace kerf::emulator

#endif
