/// PTX text and what it says ("Parallel Thread Execution ISA", NVIDIA): variables, functions, and instructions as they
/// are written. What an instruction means is the table's business (Instructions.h).
#ifndef KERF_RUNTIME_EMULATOR_PTX_H
#define KERF_RUNTIME_EMULATOR_PTX_H

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kerf::emulator {

/// What is wrong with a text, and the line where.
class PtxError : public std::runtime_error {
public:
  PtxError(unsigned line, const std::string &text)
      : std::runtime_error("line " + std::to_string(line) + ": " + text), line(line) {}
  const unsigned line;
};

/// A lexical piece. `text` points into the module's text.
struct Token {
  enum Kind { Word, Number, String, Sign, End } kind = End;
  std::string_view text;
  unsigned line = 0;
};

/// Splits `text`; comments are dropped. A word may hold `.`, `%`, `$` and `::`; a sign is one character. The last token
/// is an End.
std::vector<Token> splitPtx(std::string_view text);

/// An operand as written.
struct PtxOperand {
  enum Kind { Register, Predicate, Special, Integer, Float32, Float64, Symbol, Address, Group, Sink } kind = Sink;
  /// Register, Predicate: its number in the function.
  int reg = -1;
  /// A predicate with `!` before it.
  bool negated = false;
  /// Integer, Float32, Float64: bits. Address, Symbol: the offset that is added.
  int64_t bits = 0;
  /// Symbol, Special: the name. Address: the symbol, or empty when it is a register.
  std::string_view name;
  /// Group: what is within the braces.
  std::vector<PtxOperand> parts;
  /// The predicate in `d|p`, or -1.
  int pair = -1;
};

/// `@guard mnemonic operands;`
struct PtxInstruction {
  std::string_view mnemonic;
  std::vector<PtxOperand> operands;
  int guard = -1;
  bool guardNegated = false;
  unsigned line = 0;
  /// Of the last `.loc`; 0: none.
  unsigned sourceFile = 0, sourceLine = 0;
};

/// A variable in memory. `bytes` of an extern array is 0.
struct PtxVariable {
  enum Space { Global, Constant, Shared, Local } space = Global;
  std::string_view name;
  uint64_t align = 1, bytes = 0;
  bool external = false;
  std::vector<uint8_t> initial;
  /// Places in `initial` that hold the address of another variable: offset and name.
  std::vector<std::pair<uint64_t, std::string_view>> references;
};

/// A parameter of a kernel.
struct PtxParameter {
  std::string_view name;
  uint64_t bytes = 0, align = 1, offset = 0;
};

/// A kernel.
struct PtxKernel {
  std::string_view name;
  unsigned line = 0;
  std::vector<PtxParameter> parameters;
  /// Whole block, from `.reqntid` (exact) or `.maxntid` (limit); 0: not stated.
  unsigned requiredThreads = 0, maximumThreads = 0;
  /// Bytes of each register: 2, 4, 8, or 0 for a predicate; and its name, for reports.
  std::vector<uint8_t> registers;
  std::vector<std::string> registerNames;
  std::vector<PtxVariable> variables;
  std::vector<PtxInstruction> body;
  /// Index into `body` of what follows a label.
  std::unordered_map<std::string_view, unsigned> labels;
};

/// A module.
struct PtxModule {
  unsigned major = 0, minor = 0;
  /// Compute capability of `.target`, e.g. 80.
  unsigned target = 0;
  std::vector<PtxVariable> variables;
  std::vector<PtxKernel> kernels;
  std::unordered_map<unsigned, std::string_view> files;
};

/// Reads a module; `text` must outlive it. Throws PtxError.
PtxModule parsePtx(std::string_view text);

} // namespace kerf::emulator

#endif
