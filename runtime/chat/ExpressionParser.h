//===- ExpressionParser.h - expressions of a chat template -------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_EXPRESSIONPARSER_H
#define KERF_RUNTIME_CHAT_EXPRESSIONPARSER_H

#include "runtime/chat/Syntax.h"

#include <algorithm>

namespace kerf::rt::chat {

/// A place in the tokens of a template, and the expressions that stand there. All throw ChatError, with the line.
class ExpressionParser {
protected:
  using Kind = Token::Kind;

  explicit ExpressionParser(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

  /// An expression, or several with commas between, which are a list.
  ExprPtr tuple();
  /// An expression.
  ExprPtr expression();
  /// An expression that no "if" may follow.
  ExprPtr unconditional() { return binary(0); }

  // The tokens.
  [[noreturn]] void fail(const std::string &message) const;
  const Token &now() const { return tokens[place]; }
  const Token &next() const { return tokens[std::min(place + 1, tokens.size() - 1)]; }
  bool isOperator(std::string_view text) const { return now().kind == Kind::Operator && now().text == text; }
  bool isName(std::string_view text) const { return now().kind == Kind::Name && now().text == text; }
  /// How messages call a token.
  static std::string shown(const Token &token);
  /// Goes past a token of that text, if it stands here.
  bool accept(std::string_view op);
  bool acceptName(std::string_view name);
  /// Goes past a token, which must stand here.
  void expect(std::string_view op);
  void expectKind(Kind kind, const char *what);
  std::string identifier();

  /// Counts how deep the parser is; what it builds is walked and freed recursively too.
  class Level {
  public:
    explicit Level(ExpressionParser &parser);
    ~Level() { --parser.depth; }

  private:
    ExpressionParser &parser;
  };

  std::vector<Token> tokens;
  size_t place = 0;
  /// Operators of this tag so far.
  unsigned chained = 0;

private:
  ExprPtr binary(unsigned strength);
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr unary(bool filters);
  ExprPtr primary();
  ExprPtr name(uint32_t line);
  ExprPtr postfix(ExprPtr value);
  ExprPtr subscript(ExprPtr value, uint32_t line);
  ExprPtr filtered(ExprPtr value);
  ExprPtr applied(Expr::Op op, uint32_t line, const std::string &name, ExprPtr value);
  void arguments(Expr &call);
  void chain();

  unsigned depth = 0;
};

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_EXPRESSIONPARSER_H
