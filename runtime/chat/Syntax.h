//===- Syntax.h - a chat template, parsed ------------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_SYNTAX_H
#define KERF_RUNTIME_CHAT_SYNTAX_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt::chat {

/// One token of the text or of a tag.
struct Token {
  enum class Kind { Data, BeginPrint, EndPrint, BeginBlock, EndBlock, Name, String, Integer, Operator, End };
  Kind kind;
  uint32_t line;
  /// Data, names and operators as written; strings with their escapes resolved.
  std::string text;
  int64_t integer = 0;
};

/// An expression.
struct Expr {
  enum class Op {
    Literal, ///< string in `text`
    Integer, ///< `integer`
    True,
    False,
    None,
    Name,        ///< `text`
    List,        ///< args
    Dict,        ///< args: key, value, …
    Attribute,   ///< args[0].text
    Item,        ///< args[0][args[1]]
    Slice,       ///< args[0][args[1]:args[2]:args[3]]; absent ones null
    Method,      ///< args[0].text(args[1] …)
    Call,        ///< text(args[0] …)
    Filter,      ///< args[0] | text(args[1] …)
    Test,        ///< args[0] is text(args[1] …)
    Unary,       ///< `text` is "not", "-" or "+"
    Binary,      ///< arithmetic, "~", "and", "or"
    Compare,     ///< also "in" and "not in"
    Conditional, ///< args[0] if args[1] else args[2], which may be null
  };
  Op op;
  uint32_t line;
  std::string text;
  int64_t integer = 0;
  std::vector<std::unique_ptr<Expr>> args;
  /// Of a call, filter or test: names of the last `names.size()` args.
  std::vector<std::string> names;
};
using ExprPtr = std::unique_ptr<Expr>;

/// A statement.
struct Node {
  enum class Kind { Data, Print, If, For, Set, SetBlock, Break, Continue };
  Kind kind;
  uint32_t line;
  /// Of Data.
  std::string text;
  /// Print's; If's conditions; For's iterable and, where there is one, its filter; Set's value.
  std::vector<ExprPtr> exprs;
  /// If's branches, with one more than there are conditions if there is an else; For's body and else; SetBlock's.
  std::vector<std::vector<std::unique_ptr<Node>>> bodies;
  /// What For and Set bind: one name or several; for a namespace's attribute, both names.
  std::vector<std::string> names;
  bool attribute = false;
};
using NodePtr = std::unique_ptr<Node>;
using Body = std::vector<NodePtr>;

/// The tokens of `source`. White space around tags is treated as transformers has Jinja treat it: the line end after a
/// block goes (trim_blocks), and so does what indents a block (lstrip_blocks). Throws ChatError.
std::vector<Token> tokenizeTemplate(std::string_view source);

/// The statements of `source`, which must be UTF-8. Throws ChatError, with the line, on what is wrong or outside the
/// subset, and on nesting that is too deep.
Body parseTemplate(std::string_view source);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_SYNTAX_H
