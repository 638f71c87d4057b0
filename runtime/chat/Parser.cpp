//===- Parser.cpp - statements and expressions of a chat template ---------===//
#include "runtime/chat/Builtins.h"
#include "runtime/chat/Syntax.h"

#include <algorithm>
#include <optional>

using namespace kerf::rt::chat;
using Op = Expr::Op;

namespace {

// Published templates have up to 12 levels.
constexpr unsigned kMaxDepth = 64;
constexpr std::string_view kFunctions[] = {"raise_exception", "strftime_now", "namespace", "range", "dict"};

class Parser {
public:
  explicit Parser(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

  Body run() {
    Body body = statements({});
    if (now().kind != Token::Kind::End)
      fail("a block must begin before it ends");
    return body;
  }

private:
  using Kind = Token::Kind;

  [[noreturn]] void fail(const std::string &message) const {
    throw ChatError(ChatError::Cause::Template, now().line, message);
  }
  const Token &now() const { return tokens[place]; }
  const Token &next() const { return tokens[std::min(place + 1, tokens.size() - 1)]; }
  bool isOperator(std::string_view text) const { return now().kind == Kind::Operator && now().text == text; }
  bool isName(std::string_view text) const { return now().kind == Kind::Name && now().text == text; }
  static std::string shown(const Token &token) {
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
  void expect(std::string_view op) {
    if (!accept(op))
      fail("'" + std::string(op) + "' must stand here, got " + shown(now()));
  }
  bool accept(std::string_view op) {
    bool found = isOperator(op);
    place += found;
    return found;
  }
  bool acceptName(std::string_view name) {
    bool found = isName(name);
    place += found;
    return found;
  }
  void expectKind(Kind kind, const char *what) {
    if (now().kind != kind)
      fail(std::string(what) + " must stand here, got " + shown(now()));
    ++place;
  }
  std::string identifier() {
    if (now().kind != Kind::Name)
      fail("a name must stand here, got " + shown(now()));
    return tokens[place++].text;
  }
  ExprPtr make(Op op, uint32_t line, std::string text = {}) {
    auto made = std::make_unique<Expr>();
    made->op = op;
    made->line = line;
    made->text = std::move(text);
    return made;
  }

  // Counts how deep the parser is; what it builds is walked and freed recursively too.
  struct Level {
    Parser &parser;
    explicit Level(Parser &parser) : parser(parser) {
      if (++parser.depth > kMaxDepth)
        parser.fail("nesting must be at most " + std::to_string(kMaxDepth) + " deep");
    }
    ~Level() { --parser.depth; }
  };

  //===--------------------------------------------------------------------===//
  // Statements
  //===--------------------------------------------------------------------===//

  // Up to a block that begins with one of `ends`, which stays.
  Body statements(std::initializer_list<std::string_view> ends) {
    Level level(*this);
    Body body;
    while (now().kind != Kind::End) {
      const uint32_t line = now().line;
      chained = 0;
      if (now().kind == Kind::Data) {
        body.push_back(node(Node::Kind::Data, line));
        body.back()->text = tokens[place++].text;
      } else if (now().kind == Kind::BeginPrint) {
        ++place;
        body.push_back(node(Node::Kind::Print, line));
        body.back()->exprs.push_back(tuple());
        expectKind(Kind::EndPrint, "'}}'");
      } else {
        if (next().kind == Kind::Name && std::find(ends.begin(), ends.end(), next().text) != ends.end())
          return body;
        ++place;
        block(body);
      }
    }
    return body;
  }

  static NodePtr node(Node::Kind kind, uint32_t line) {
    auto made = std::make_unique<Node>();
    made->kind = kind;
    made->line = line;
    return made;
  }

  void endBlock() { expectKind(Kind::EndBlock, "'%}'"); }
  // A block that must begin with `name` and has nothing else.
  void closing(std::string_view name) {
    if (now().kind != Kind::BeginBlock)
      fail("a block '" + std::string(name) + "' must stand before the template's end");
    ++place;
    if (!acceptName(name))
      fail("'" + std::string(name) + "' must stand here, got " + shown(now()));
    endBlock();
  }

  void block(Body &body) {
    const uint32_t line = now().line;
    std::string tag = now().kind == Kind::Name ? now().text : "";
    if (tag == "if")
      return body.push_back(ifBlock(line));
    if (tag == "for")
      return body.push_back(forBlock(line));
    if (tag == "set")
      return body.push_back(setBlock(line));
    if (tag == "break" || tag == "continue") {
      if (!loops)
        fail("'" + tag + "' must stand in a loop");
      ++place;
      body.push_back(node(tag == "break" ? Node::Kind::Break : Node::Kind::Continue, line));
      return endBlock();
    }
    if (tag == "generation") {
      // Marks what the model has said, for training; it prints as it stands.
      ++place;
      endBlock();
      Body inner = statements({"endgeneration"});
      closing("endgeneration");
      for (NodePtr &statement : inner)
        body.push_back(std::move(statement));
      return;
    }
    if (tag.starts_with("end") || tag == "else" || tag == "elif")
      fail("'" + tag + "' must end a block that has begun");
    fail("tag " + shown(now()) + " is not among those that Kerf renders: if, for, set, break, continue, generation");
  }

  NodePtr ifBlock(uint32_t line) {
    NodePtr made = node(Node::Kind::If, line);
    do {
      ++place; // "if" or "elif"
      made->exprs.push_back(expression());
      endBlock();
      made->bodies.push_back(statements({"elif", "else", "endif"}));
      if (now().kind != Kind::BeginBlock)
        fail("a block 'endif' must stand before the template's end");
      ++place;
    } while (isName("elif"));
    if (acceptName("else")) {
      endBlock();
      made->bodies.push_back(statements({"endif"}));
      closing("endif");
    } else {
      ++place; // "endif"
      endBlock();
    }
    return made;
  }

  NodePtr forBlock(uint32_t line) {
    NodePtr made = node(Node::Kind::For, line);
    ++place;
    do
      made->names.push_back(identifier());
    while (accept(","));
    if (!acceptName("in"))
      fail("'in' must stand here, got " + shown(now()));
    made->exprs.push_back(binary(0));
    if (acceptName("if"))
      made->exprs.push_back(expression());
    if (isName("recursive"))
      fail("recursive loops are not among what Kerf renders");
    endBlock();
    ++loops;
    made->bodies.push_back(statements({"else", "endfor"}));
    --loops;
    made->bodies.emplace_back();
    if (now().kind == Kind::BeginBlock && next().text == "else") {
      place += 2;
      endBlock();
      made->bodies.back() = statements({"endfor"});
    }
    closing("endfor");
    return made;
  }

  NodePtr setBlock(uint32_t line) {
    NodePtr made = node(Node::Kind::Set, line);
    ++place;
    made->names.push_back(identifier());
    if (accept(".")) {
      made->attribute = true;
      made->names.push_back(identifier());
    } else {
      while (accept(","))
        made->names.push_back(identifier());
    }
    if (accept("=")) {
      made->exprs.push_back(tuple());
      endBlock();
      return made;
    }
    if (made->names.size() > 1)
      fail("'=' must stand here, got " + shown(now()));
    made->kind = Node::Kind::SetBlock;
    endBlock();
    made->bodies.push_back(statements({"endset"}));
    closing("endset");
    return made;
  }

  //===--------------------------------------------------------------------===//
  // Expressions
  //===--------------------------------------------------------------------===//

  // An expression, or several with commas between, which are a list.
  ExprPtr tuple() {
    ExprPtr first = expression();
    if (!isOperator(","))
      return first;
    ExprPtr list = make(Op::List, first->line);
    list->args.push_back(std::move(first));
    while (accept(","))
      list->args.push_back(expression());
    return list;
  }

  ExprPtr expression() {
    Level level(*this);
    ExprPtr value = binary(0);
    while (isName("if")) {
      ExprPtr whole = make(Op::Conditional, now().line);
      ++place;
      whole->args.push_back(std::move(value));
      whole->args.push_back(binary(0));
      whole->args.push_back(acceptName("else") ? expression() : nullptr);
      value = std::move(whole);
    }
    return value;
  }

  // or; and; not; comparisons; + and -; ~; *, //, %: from what binds least.
  ExprPtr binary(unsigned strength) {
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
  void chain() {
    if (++chained > kMaxChain)
      fail("a tag must have at most " + std::to_string(kMaxChain) + " operators");
  }

  ExprPtr negation() {
    if (!isName("not"))
      return binary(3);
    Level level(*this);
    ExprPtr made = make(Op::Unary, now().line, "not");
    ++place;
    made->args.push_back(negation());
    return made;
  }

  ExprPtr comparison() {
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

  ExprPtr unary(bool filters) {
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

  ExprPtr primary() {
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

  ExprPtr name(uint32_t line) {
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

  ExprPtr postfix(ExprPtr value) {
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

  ExprPtr subscript(ExprPtr value, uint32_t line) {
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
  void arguments(Expr &call) {
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
  ExprPtr filtered(ExprPtr value) {
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

  ExprPtr applied(Op op, uint32_t line, const std::string &name, ExprPtr value) {
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

  // Operators in one tag.
  static constexpr unsigned kMaxChain = 256;

  std::vector<Token> tokens;
  size_t place = 0;
  unsigned depth = 0, chained = 0, loops = 0;
};

} // namespace

Body kerf::rt::chat::parseTemplate(std::string_view source) { return Parser(tokenizeTemplate(source)).run(); }
