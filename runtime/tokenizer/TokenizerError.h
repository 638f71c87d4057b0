//===- TokenizerError.h - what goes wrong in the tokenizer -------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_TOKENIZERERROR_H
#define KERF_RUNTIME_TOKENIZER_TOKENIZERERROR_H

#include <stdexcept>
#include <string>

namespace kerf::rt {

/// Thrown by the tokenizer; never crosses the C API.
class TokenizerError : public std::runtime_error {
public:
  /// Who has to act.
  enum class Cause {
    /// The package's tokenizer table is damaged or hostile.
    BadTable,
    /// The caller asked for something that does not exist: an id outside the vocabulary, a text too long.
    BadArgument,
    /// A pattern needs more steps or memory on this text than is allowed.
    Limit,
  };

  /// An error with `message` ("X must …, got Y").
  TokenizerError(Cause cause, const std::string &message) : std::runtime_error(message), cause_(cause) {}

  /// Who has to act.
  Cause cause() const { return cause_; }

private:
  Cause cause_;
};

/// Throws the TokenizerError of a damaged or hostile table.
[[noreturn]] inline void badTable(const std::string &message) {
  throw TokenizerError(TokenizerError::Cause::BadTable, message);
}

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_TOKENIZERERROR_H
