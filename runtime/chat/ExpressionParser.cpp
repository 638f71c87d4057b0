//===- ExpressionParser.cpp - expressions of a chat template --------------===//
#include "runtime/chat/ExpressionParser.h"
#include "runtime/chat/Builtins.h"

using namespace kerf::rt::chat;
using Op = Expr::Op;

// Published templates have up to 12 levels.
static constexpr unsigned kMaxDepth = 64;
// Operators in one tag.
static constexpr unsigned kMaxChain = 256;
static constexpr std::string_view kFunctions[] = {"raise_exception", "strftime_now", "namespace", "range", "dict"};

static ExprPtr make(Op op, uint32_t line, std::string text = {}) {
  auto made = std::make_unique<Expr>();
  made->op = op;
  made->line = line;
  made->text = std::move(text);
  return made;
}

void ExpressionParser::fail(const std::string &message) const {
  throw ChatError(ChatError::Cause::Template, now().line, message);
}

ExpressionParser::Level::Level(ExpressionParser &parser) : parser(parser) {
  if (++parser.depth > kMaxDepth)
    parser.fail("nesting must be at most " + std::to_string(kMaxDepth) + " deep");
}

std::string ExpressionParser::shown(const Token &token) {
  switch (token.kind) {
  case Kind::EndPrint:
  case Kind::EndBlock:
    return "the tag's end";
  case Kind::End:
    return "the template's end";
  case Kind::String:
    return "a string";
  case Kind::Integer:
    return std::to_string(token.integer);
  default:
    return "'" + token.text + "'";
  }
}

void ExpressionParser::expect(std::string_view op) {
  if (!accept(op))
    fail("'" + std::string(op) + "' must stand here, got " + shown(now()));
}

bool ExpressionParser::accept(std::string_view op) {
  bool found = isOperator(op);
  place += found;
  return found;
}

bool ExpressionParser::acceptName(std::string_view name) {
  bool found = isName(name);
  place += found;
  return found;
}

void ExpressionParser::expectKind(Kind kind, const char *what) {
  if (now().kind != kind)
    fail(std::string(what) + " must stand here, got " + shown(now()));
  ++place;
}

std::string ExpressionParser::identifier() {
  if (now().kind != Kind::Name)
    fail("a name must stand here, got " + shown(now()));
  return tokens[place++].text;
}

ExprPtr ExpressionParser::tuple() {
  ExprPtr first = expression();
  if (!isOperator(","))
    return first;
  ExprPtr list = make(Op::List, first->line);
  list->args.push_back(std::move(first));
  while (accept(","))
    list->args.push_back(expression());
  return list;
}

ExprPtr ExpressionParser::expression() {
  Level level(*this);
  ExprPtr value = binary(0);
  while (isName("if")) {
    ExprPtr whole = make(Op::Conditional, now().line);
    ++place;
    chain();
    whole->args.push_back(std::move(value));
    whole->args.push_back(binary(0));
    whole->args.push_back(acceptName("else") ? expression() : nullptr);
    value = std::move(whole);
  }
  return value;
}

// or; and; not; comparisons; + and -; ~; *, //, %: from what binds least.
ExprPtr ExpressionParser::binary(unsigned strength) {
  static constexpr std::string_view kNames[] = {"or", "and"};
  if (strength == 2)
    return negation();
  if (strength == 3)
    return comparison();
  if (strength == 7)
    return unary(/*filters=*/true);
  ExprPtr left = binary(strength + 1);
  while (true) {
    std::string op = now().text;
    bool matches = strength < 2    ? isName(kNames[strength])
                   : strength == 4 ? isOperator("+") || isOperator("-")
                   : strength == 5 ? isOperator("~")
                                   : isOperator("*") || isOperator("//") || isOperator("%");
    if (strength == 6 && (isOperator("/") || isOperator("**")))
      fail("operator '" + op + "' is not among those that Kerf renders");
    if (!matches)
      return left;
    ExprPtr whole = make(Op::Binary, now().line, op);
    ++place;
    chain();
    whole->args.push_back(std::move(left));
    whole->args.push_back(binary(strength + 1));
    left = std::move(whole);
  }
}

// A chain of operators makes a tree as deep as the chain is long.
void ExpressionParser::chain() {
  if (++chained > kMaxChain)
    fail("a tag must have at most " + std::to_string(kMaxChain) + " operators");
}

ExprPtr ExpressionParser::negation() {
  if (!isName("not"))
    return binary(3);
  Level level(*this);
  ExprPtr made = make(Op::Unary, now().line, "not");
  ++place;
  made->args.push_back(negation());
  return made;
}

ExprPtr ExpressionParser::comparison() {
  ExprPtr left = binary(4);
  ExprPtr all;
  while (true) {
    std::string op = now().text;
    bool symbol = isOperator("==") || isOperator("!=") || isOperator("<") || isOperator("<=") || isOperator(">") ||
                  isOperator(">=");
    bool notIn = isName("not") && next().kind == Kind::Name && next().text == "in";
    if (!symbol && !notIn && !isName("in"))
      break;
    if (all)
      fail("comparisons must not be chained");
    all = make(Op::Compare, now().line, notIn ? "not in" : op);
    place += notIn ? 2 : 1;
    all->args.push_back(std::move(left));
    all->args.push_back(binary(4));
  }
  return all ? std::move(all) : std::move(left);
}

ExprPtr ExpressionParser::unary(bool filters) {
  Level level(*this);
  ExprPtr made;
  if (isOperator("-") || isOperator("+")) {
    made = make(Op::Unary, now().line, now().text);
    ++place;
    made->args.push_back(unary(false));
  } else {
    made = postfix(primary());
  }
  return filters ? filtered(std::move(made)) : std::move(made);
}

ExprPtr ExpressionParser::primary() {
  const uint32_t line = now().line;
  if (now().kind == Kind::String) {
    ExprPtr made = make(Op::Literal, line);
    while (now().kind == Kind::String)
      made->text += tokens[place++].text;
    return made;
  }
  if (now().kind == Kind::Integer) {
    ExprPtr made = make(Op::Integer, line);
    made->integer = tokens[place++].integer;
    return made;
  }
  if (now().kind == Kind::Name)
    return name(line);
  if (accept("(")) {
    if (accept(")"))
      return make(Op::List, line);
    ExprPtr inner = expression();
    if (isOperator(",")) {
      ExprPtr list = make(Op::List, line);
      list->args.push_back(std::move(inner));
      while (accept(",") && !isOperator(")"))
        list->args.push_back(expression());
      inner = std::move(list);
    }
    expect(")");
    return inner;
  }
  if (accept("[")) {
    ExprPtr list = make(Op::List, line);
    while (!isOperator("]")) {
      list->args.push_back(expression());
      if (!accept(","))
        break;
    }
    expect("]");
    return list;
  }
  if (accept("{")) {
    ExprPtr dict = make(Op::Dict, line);
    while (!isOperator("}")) {
      dict->args.push_back(expression());
      expect(":");
      dict->args.push_back(expression());
      if (!accept(","))
        break;
    }
    expect("}");
    return dict;
  }
  fail("an expression must stand here, got " + shown(now()));
}

ExprPtr ExpressionParser::name(uint32_t line) {
  std::string name = tokens[place].text;
  for (auto [literal, op] : {std::pair("true", Op::True),
                             {"True", Op::True},
                             {"false", Op::False},
                             {"False", Op::False},
                             {"none", Op::None},
                             {"None", Op::None}})
    if (name == literal) {
      ++place;
      return make(op, line);
    }
  for (std::string_view word : {"if", "else", "elif", "and", "or", "not", "in", "is"})
    if (name == word)
      fail("an expression must stand here, got '" + name + "'");
  ++place;
  if (!isOperator("("))
    return make(Op::Name, line, name);
  if (std::find(std::begin(kFunctions), std::end(kFunctions), name) == std::end(kFunctions)) {
    --place;
    fail("function '" + name + "' is not among those that Kerf renders");
  }
  ExprPtr made = make(Op::Call, line, name);
  arguments(*made);
  return made;
}

ExprPtr ExpressionParser::postfix(ExprPtr value) {
  while (true) {
    const uint32_t line = now().line;
    if (accept(".")) {
      chain();
      std::string attribute = identifier();
      bool call = isOperator("(");
      if (call && !isMethod(attribute)) {
        --place;
        fail("method '" + attribute + "' is not among those that Kerf renders");
      }
      ExprPtr made = make(call ? Op::Method : Op::Attribute, line, attribute);
      made->args.push_back(std::move(value));
      if (call)
        arguments(*made);
      value = std::move(made);
    } else if (accept("[")) {
      chain();
      value = subscript(std::move(value), line);
    } else if (isOperator("(")) {
      fail("what is called must be a function, a method, a filter or a test");
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr value, uint32_t line) {
  ExprPtr made = make(Op::Item, line);
  made->args.push_back(std::move(value));
  made->args.push_back(isOperator(":") ? nullptr : expression());
  if (isOperator(":")) {
    made->op = Op::Slice;
    for (int i = 0; i < 2; ++i)
      made->args.push_back(accept(":") && !isOperator(":") && !isOperator("]") ? expression() : nullptr);
  }
  expect("]");
  return made;
}

// "(a, b, name=c)"; names come last.
void ExpressionParser::arguments(Expr &call) {
  expect("(");
  while (!isOperator(")")) {
    bool named = now().kind == Kind::Name && next().kind == Kind::Operator && next().text == "=";
    if (named) {
      call.names.push_back(identifier());
      ++place;
    } else if (!call.names.empty()) {
      fail("an argument without a name must come before those with one");
    }
    call.args.push_back(expression());
    if (!accept(","))
      break;
  }
  expect(")");
}

// Filters and tests, which bind as strongly as each other.
ExprPtr ExpressionParser::filtered(ExprPtr value) {
  while (true) {
    const uint32_t line = now().line;
    if (accept("|")) {
      std::string name = identifier();
      if (!isFilter(name)) {
        --place;
        fail("filter '" + name + "' is not among those that Kerf renders");
      }
      value = applied(Op::Filter, line, name, std::move(value));
    } else if (acceptName("is")) {
      bool negated = acceptName("not");
      std::string name = now().kind == Kind::Name ? now().text : "";
      if (!isTest(name))
        fail("test " + shown(now()) + " is not among those that Kerf renders");
      ++place;
      value = applied(Op::Test, line, name, std::move(value));
      if (negated) {
        ExprPtr whole = make(Op::Unary, line, "not");
        whole->args.push_back(std::move(value));
        value = std::move(whole);
      }
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::applied(Op op, uint32_t line, const std::string &name, ExprPtr value) {
  chain();
  ExprPtr made = make(op, line, name);
  made->args.push_back(std::move(value));
  if (isOperator("(")) {
    arguments(*made);
  } else if (op == Op::Test) {
    // One argument may follow without parentheses.
    bool word = isName("else") || isName("or") || isName("and") || isName("if") || isName("is") || isName("in") ||
                isName("not");
    if ((now().kind == Kind::Name && !word) || now().kind == Kind::String || now().kind == Kind::Integer ||
        isOperator("[") || isOperator("{"))
      made->args.push_back(postfix(primary()));
  }
  return made;
}
