//===- Evaluator.h - values of a chat template's expressions -----*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_EVALUATOR_H
#define KERF_RUNTIME_CHAT_EVALUATOR_H

#include "runtime/chat/Builtins.h"
#include "runtime/chat/Syntax.h"

#include <map>
#include <optional>
#include <stdexcept>

namespace kerf::rt::chat {

/// Evaluates expressions by the names in `scopes`, within a budget of steps and bytes. All throw ChatError, with the
/// line.
class Evaluator {
protected:
  using Kind = Value::Kind;
  using Scope = std::map<std::string, Value, std::less<>>;

  /// `time` is in seconds since 1970, for templates that print the date; `bytes` are those of the conversation.
  Evaluator(std::optional<int64_t> time, uint64_t bytes);

  /// The value of an expression.
  Value evaluate(const Expr &expr);
  /// What a name means, in the innermost scope that has it.
  Value lookup(std::string_view name) const;

  [[noreturn]] static void fail(uint32_t line, const std::string &message,
                                ChatError::Cause cause = ChatError::Cause::Template);
  /// Pays for `count` steps, and for what it makes or reads.
  void step(uint32_t line, uint64_t bytes = 0, uint64_t count = 1);
  /// Bytes of a string, or items, that `value` holds by itself.
  static uint64_t weight(const Value &value);
  /// For a call without arguments.
  Arguments noArguments() { return {.values = {}, .names = {}, .budget = &budget}; }

  /// Calls `call`, with the line and `what` before what it complains of.
  template <typename Call> auto located(uint32_t line, const std::string &what, Call call) -> decltype(call()) {
    try {
      return call();
    } catch (const std::invalid_argument &error) {
      fail(line, what + error.what());
    } catch (const std::length_error &error) {
      fail(line, error.what());
    }
  }

  /// The globals, and what every loop that is running binds.
  std::vector<Scope> scopes;

private:
  Value compute(const Expr &expr);
  void walk(const Expr &expr, const Value &value, const Arguments &given);
  Arguments arguments(const Expr &expr, size_t from);
  Value item(const Expr &expr);
  Value slice(const Expr &expr);
  Value unary(const Expr &expr);
  Value binary(const Expr &expr);
  Value compare(const Expr &expr);
  Value call(const Expr &expr);
  Value range(uint32_t line, int64_t begin, int64_t end, int64_t stride);

  std::optional<int64_t> time;
  uint64_t steps = 0;
  Budget budget;
};

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_EVALUATOR_H
