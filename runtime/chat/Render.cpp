//===- Render.cpp - a conversation as the text a model expects ------------===//
#include "runtime/chat/Render.h"
#include "runtime/chat/Evaluator.h"
#include "runtime/tokenizer/Utf8.h"

using namespace kerf::rt;
using namespace kerf::rt::chat;

namespace {

constexpr size_t kMaxSourceBytes = 1 << 20;
// The variable `loop` with its nine values costs each round as much as so many steps.
constexpr uint64_t kRoundSteps = 10;

Value fromUser(std::string_view given) {
  std::string valid;
  appendReplaced(given, /*last=*/true, valid);
  return Value::string(Text(valid, true));
}

uint64_t bytesOf(const Conversation &conversation) {
  uint64_t bytes = 0;
  for (const Message &message : conversation.messages)
    bytes += message.role.size() + message.content.size();
  return bytes;
}

class Renderer : Evaluator {
public:
  explicit Renderer(const Conversation &conversation) : Evaluator(conversation.time, bytesOf(conversation)) {
    Value::List messages;
    for (const Message &message : conversation.messages)
      messages.push_back(Value::dict({{"role", fromUser(message.role)}, {"content", fromUser(message.content)}}));
    Scope &globals = scopes.front();
    globals["messages"] = Value::list(std::move(messages));
    globals["add_generation_prompt"] = Value::boolean(conversation.generationPrompt);
    globals["tools"] = globals["documents"] = Value::none();
    for (const auto &[name, text] : conversation.tokens)
      globals[name] = Value::string(text);
  }

  Text run(const Body &body) {
    execute(body);
    return std::move(out);
  }

private:
  enum class Flow { Next, Break, Continue };

  Flow execute(const Body &body) {
    for (const NodePtr &node : body) {
      step(node->line);
      Flow flow = execute(*node);
      if (flow != Flow::Next)
        return flow;
    }
    return Flow::Next;
  }

  Flow execute(const Node &node) {
    switch (node.kind) {
    case Node::Kind::Data:
      print(Text(node.text, false), node.line);
      break;
    case Node::Kind::Print: {
      Value value = evaluate(*node.exprs[0]);
      print(located(node.line, "", [&] { return printed(value); }), node.line);
      break;
    }
    case Node::Kind::If:
      for (size_t i = 0; i < node.bodies.size(); ++i)
        if (i == node.exprs.size() || evaluate(*node.exprs[i]).truth())
          return execute(node.bodies[i]);
      break;
    case Node::Kind::For:
      return loop(node);
    case Node::Kind::Set:
      assign(node, evaluate(*node.exprs[0]));
      break;
    case Node::Kind::SetBlock: {
      Text before = std::move(out);
      out = {};
      Flow flow = execute(node.bodies[0]);
      Value made = Value::string(std::move(out));
      out = std::move(before);
      assign(node, std::move(made));
      return flow;
    }
    case Node::Kind::Break:
      return Flow::Break;
    case Node::Kind::Continue:
      return Flow::Continue;
    }
    return Flow::Next;
  }

  void print(const Text &text, uint32_t line) {
    step(line, text.bytes.size());
    out.append(text);
  }

  void assign(const Node &node, Value value) {
    if (!node.attribute)
      return bind(node.names, std::move(value), node.line);
    Value target = lookup(node.names[0]);
    if (target.kind() != Kind::Namespace)
      fail(node.line, "'" + node.names[0] + "' must be a namespace to have an attribute set, got " + target.kindName());
    located(node.line, "", [&] { target.set(node.names[1], std::move(value)); });
  }

  void bind(const std::vector<std::string> &names, Value value, uint32_t line) {
    if (names.size() == 1) {
      scopes.back()[names[0]] = std::move(value);
      return;
    }
    if (value.kind() != Kind::List || value.items().size() != names.size())
      fail(line, "what is unpacked must be a list of " + std::to_string(names.size()) + ", got " + value.kindName());
    for (size_t i = 0; i < names.size(); ++i)
      scopes.back()[names[i]] = value.items()[i];
  }

  Flow loop(const Node &node) {
    Value over = evaluate(*node.exprs[0]);
    step(node.line, weight(over));
    if (over.kind() != Kind::List)
      over = located(node.line, "a loop ", [&] { return callFilter("list", over, noArguments()); });
    scopes.emplace_back();
    if (node.exprs.size() > 1) {
      Value::List kept;
      for (const Value &item : over.items()) {
        bind(node.names, item, node.line);
        if (evaluate(*node.exprs[1]).truth())
          kept.push_back(item);
      }
      over = Value::list(std::move(kept));
    }
    const Value::List &items = over.items();
    const int64_t count = static_cast<int64_t>(items.size());
    for (int64_t i = 0; i < count; ++i) {
      step(node.line, 0, kRoundSteps);
      scopes.back().clear();
      bind(node.names, items[i], node.line);
      scopes.back()["loop"] = Value::dict({{"index0", Value::integer(i)},
                                           {"index", Value::integer(i + 1)},
                                           {"revindex0", Value::integer(count - i - 1)},
                                           {"revindex", Value::integer(count - i)},
                                           {"first", Value::boolean(i == 0)},
                                           {"last", Value::boolean(i + 1 == count)},
                                           {"length", Value::integer(count)},
                                           {"previtem", i ? items[i - 1] : Value()},
                                           {"nextitem", i + 1 < count ? items[i + 1] : Value()}});
      if (execute(node.bodies[0]) == Flow::Break)
        break;
    }
    scopes.pop_back();
    return items.empty() ? execute(node.bodies[1]) : Flow::Next;
  }

  Text out;
};

} // namespace

Text kerf::rt::chat::render(std::string_view source, const Conversation &conversation) {
  if (source.size() > kMaxSourceBytes || validUtf8Prefix(source) != source.size())
    throw ChatError(ChatError::Cause::Template, 1,
                    "it must be at most " + std::to_string(kMaxSourceBytes) + " bytes of UTF-8");
  return Renderer(conversation).run(parseTemplate(source));
}
