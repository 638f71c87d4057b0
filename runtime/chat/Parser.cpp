//===- Parser.cpp - statements of a chat template -------------------------===//
#include "runtime/chat/ExpressionParser.h"
#include "runtime/chat/Value.h"

using namespace kerf::rt::chat;

namespace {

class Parser : ExpressionParser {
public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Body run() {
    Body body = statements({});
    if (now().kind != Token::Kind::End)
      fail("a block must begin before it ends");
    return body;
  }

private:
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
    made->exprs.push_back(unconditional());
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

  // Loops that the parser is in.
  unsigned loops = 0;
};

} // namespace

Body kerf::rt::chat::parseTemplate(std::string_view source) { return Parser(tokenizeTemplate(source)).run(); }
