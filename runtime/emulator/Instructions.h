/// The table of the instructions that the emulator knows: how each is written, what its operands are, and what runs it.
#ifndef KERF_RUNTIME_EMULATOR_INSTRUCTIONS_H
#define KERF_RUNTIME_EMULATOR_INSTRUCTIONS_H

#include "runtime/emulator/Warp.h"

#include <span>

namespace kerf::emulator {

/// The parts of a mnemonic in the order of its pattern; an optional part that is missing is empty.
using Parts = std::vector<std::string_view>;
/// Finishes an instruction by the parts of its mnemonic; throws std::string when they do not go together.
using Finish = void (*)(Instruction &, const Parts &);

/// One row.
struct Row {
  /// Parts with `.` between them, `|` between alternatives; `?` after a part that may be missing.
  const char *pattern;
  /// A letter for each operand: H, W, L, P a 16, 32, 64-bit register or predicate that is written, small letters for
  /// what is read; X, x a register of any size (its bytes go to Instruction::bytes and ::registerBytes); `{...}` a
  /// group; m an address, which takes three operands (its register, whether that has 32 bits, an offset); v, V one
  /// register or a group of any number and size; i an integer, into Instruction::immediate; b a label; & a second
  /// predicate after `|` that may be missing (then -1); ? what follows may be missing.
  const char *form;
  Execute run;
  Finish finish = nullptr;
  uint8_t flags = 0;
};

/// Rows of each family, beside what runs them.
std::span<const Row> integerRows();
std::span<const Row> floatRows();
std::span<const Row> convertRows();
std::span<const Row> memoryRows();
std::span<const Row> warpRows();
std::span<const Row> controlRows();
std::span<const Row> tensorRows();

/// The row of a mnemonic and its parts, the one whose groups are those of `operands` if there are several; NULL: none.
const Row *findRow(std::string_view mnemonic, const std::vector<PtxOperand> &operands, Parts &parts);

} // namespace kerf::emulator

#endif
