//===- Evaluator.cpp - values of a chat template's expressions ------------===//
#include "runtime/chat/Evaluator.h"
#include "runtime/chat/Date.h"
#include "runtime/chat/Strings.h"

#include <algorithm>

using namespace kerf::rt::chat;
using Kind = Value::Kind;
using Op = Expr::Op;

// A conversation of a thousand messages takes about 100,000 steps of Llama 3.1's template.
static constexpr uint64_t kMaxSteps = 1'000'000;
// Bytes and items that may be made, and walked by what walks them: at least, and for each byte of the conversation.
static constexpr uint64_t kMinBytes = 64 << 20, kBytesPerByte = 64;

// What looks at no more of a value than its head.
static bool isCheap(const Expr &expr) {
  constexpr std::string_view kCheap[] = {"length", "count", "first", "last", "default", "d", "safe"};
  return expr.op == Op::Test
             ? expr.args.size() == 1
             : expr.op == Op::Filter && std::find(std::begin(kCheap), std::end(kCheap), expr.text) != std::end(kCheap);
}

Evaluator::Evaluator(std::optional<int64_t> time, uint64_t bytes)
    : scopes(1), time(time), budget(kMinBytes + kBytesPerByte * bytes) {}

void Evaluator::fail(uint32_t line, const std::string &message, ChatError::Cause cause) {
  throw ChatError(cause, line, message);
}

void Evaluator::step(uint32_t line, uint64_t bytes, uint64_t count) {
  if ((steps += count) > kMaxSteps)
    fail(line, "rendering must take at most " + std::to_string(kMaxSteps) + " steps");
  located(line, "", [&] { budget.spend(bytes); });
}

uint64_t Evaluator::weight(const Value &value) {
  switch (value.kind()) {
  case Kind::String:
    return value.text().bytes.size();
  case Kind::List:
    return value.items().size();
  case Kind::Dict:
    return value.entries().size();
  default:
    return 0;
  }
}

Value Evaluator::lookup(std::string_view name) const {
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope)
    if (auto found = scope->find(name); found != scope->end())
      return found->second;
  return {};
}

Value Evaluator::evaluate(const Expr &expr) {
  Value value = located(expr.line, "", [&] { return compute(expr); });
  // What only passes a value on makes none; a list's item takes more room than a byte.
  bool passes = expr.op == Op::Name || expr.op == Op::Attribute || expr.op == Op::Item || expr.op == Op::Conditional ||
                isCheap(expr);
  step(expr.line, passes ? 0 : weight(value) * (value.isString() ? 1 : sizeof(Value)));
  return value;
}

Value Evaluator::compute(const Expr &expr) {
  switch (expr.op) {
  case Op::Literal:
    return Value::string(expr.text);
  case Op::Integer:
    return Value::integer(expr.integer);
  case Op::True:
  case Op::False:
    return Value::boolean(expr.op == Op::True);
  case Op::None:
    return Value::none();
  case Op::Name:
    // Functions are defined, which is all that a template may ask of them.
    if (expr.text == "strftime_now" || expr.text == "raise_exception" || expr.text == "namespace")
      return Value::boolean(true);
    return lookup(expr.text);
  case Op::List: {
    Value::List items;
    for (const ExprPtr &arg : expr.args)
      items.push_back(evaluate(*arg));
    return Value::list(std::move(items));
  }
  case Op::Dict: {
    Value::Dict entries;
    for (size_t i = 0; i < expr.args.size(); i += 2) {
      Value key = evaluate(*expr.args[i]);
      // Keys do not know who wrote them.
      if (!key.isString() || key.text().anyUser())
        fail(expr.line, std::string("a key must be a string of the template's own, got ") +
                            (key.isString() ? "one of the conversation" : key.kindName()));
      Value item = evaluate(*expr.args[i + 1]);
      auto same = std::find_if(entries.begin(), entries.end(),
                               [&](const auto &entry) { return entry.first == key.text().bytes; });
      if (same != entries.end())
        same->second = std::move(item);
      else
        entries.emplace_back(key.text().bytes, std::move(item));
      if (entries.size() > Value::kMaxKeys)
        break; // which is refused below
    }
    return Value::dict(std::move(entries));
  }
  case Op::Attribute: {
    Value of = evaluate(*expr.args[0]);
    if (of.isUndefined())
      fail(expr.line, "what has the attribute '" + expr.text + "' must be defined");
    const Value *found = of.isMapping() ? of.find(expr.text) : nullptr;
    return found ? *found : Value();
  }
  case Op::Item:
    return item(expr);
  case Op::Slice:
    return slice(expr);
  case Op::Method: {
    Value of = evaluate(*expr.args[0]);
    Arguments given = arguments(expr, 1);
    walk(expr, of, given);
    return located(expr.line, "method '" + expr.text + "' ", [&] { return callMethod(expr.text, of, given); });
  }
  case Op::Call:
    return call(expr);
  case Op::Filter: {
    Value of = evaluate(*expr.args[0]);
    Arguments given = arguments(expr, 1);
    walk(expr, of, given);
    return located(expr.line, "filter '" + expr.text + "' ", [&] { return callFilter(expr.text, of, given); });
  }
  case Op::Test: {
    Value of = evaluate(*expr.args[0]);
    Arguments given = arguments(expr, 1);
    walk(expr, of, given);
    return located(expr.line, "test '" + expr.text + "' ",
                   [&] { return Value::boolean(callTest(expr.text, of, given)); });
  }
  case Op::Unary:
    return unary(expr);
  case Op::Binary:
    return binary(expr);
  case Op::Compare:
    return compare(expr);
  case Op::Conditional:
    if (evaluate(*expr.args[1]).truth())
      return evaluate(*expr.args[0]);
    return expr.args[2] ? evaluate(*expr.args[2]) : Value();
  }
  return {};
}

// Pays for going through `value` and `given`.
void Evaluator::walk(const Expr &expr, const Value &value, const Arguments &given) {
  if (isCheap(expr))
    return;
  step(expr.line, value.size());
  for (const Value &argument : given.values)
    step(expr.line, argument.size());
}

Arguments Evaluator::arguments(const Expr &expr, size_t from) {
  Arguments given = noArguments();
  for (size_t i = from; i < expr.args.size(); ++i)
    given.values.push_back(evaluate(*expr.args[i]));
  given.names = expr.names;
  return given;
}

Value Evaluator::item(const Expr &expr) {
  Value of = evaluate(*expr.args[0]), key = evaluate(*expr.args[1]);
  if (of.isUndefined())
    fail(expr.line, "what has an item must be defined");
  if (of.isMapping()) {
    const Value *found = key.isString() ? of.find(key.text().bytes) : nullptr;
    return found ? *found : Value();
  }
  if (key.kind() != Kind::Int || (of.kind() != Kind::List && !of.isString()))
    return {};
  step(expr.line, of.isString() ? of.size() : 0);
  std::vector<size_t> starts = of.isString() ? characterStarts(of.text().bytes) : std::vector<size_t>();
  int64_t count = static_cast<int64_t>(of.isString() ? starts.size() - 1 : of.items().size()), index = key.integer();
  index += index < 0 ? count : 0;
  if (index < 0 || index >= count)
    return {};
  return of.isString() ? Value::string(of.text().slice(starts[index], starts[index + 1])) : of.items()[index];
}

// Bounds and step as in Python.
Value Evaluator::slice(const Expr &expr) {
  Value of = evaluate(*expr.args[0]);
  int64_t bounds[3];
  bool given[3];
  for (int i = 0; i < 3; ++i) {
    Value bound = expr.args[i + 1] ? evaluate(*expr.args[i + 1]) : Value::none();
    if (bound.kind() != Kind::Int && bound.kind() != Kind::None)
      fail(expr.line, std::string("a bound must be an integer, got ") + bound.kindName());
    given[i] = bound.kind() == Kind::Int;
    bounds[i] = bound.integer();
  }
  if (of.kind() != Kind::List && !of.isString())
    fail(expr.line, std::string("what is cut must be a list or a string, got ") + of.kindName());
  step(expr.line, of.isString() ? of.size() : 0);
  std::vector<size_t> starts = of.isString() ? characterStarts(of.text().bytes) : std::vector<size_t>();
  const int64_t count = static_cast<int64_t>(of.isString() ? starts.size() - 1 : of.items().size());
  const int64_t stride = given[2] ? bounds[2] : 1;
  if (stride == 0 || stride > INT32_MAX || stride < INT32_MIN)
    fail(expr.line, "a slice's step must be an integer of 32 bits other than 0");
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? count : count - 1;
  auto place = [&](int i, int64_t fallback) {
    if (!given[i])
      return fallback;
    return std::clamp(bounds[i] < 0 ? bounds[i] + count : bounds[i], low, high);
  };
  int64_t begin = place(0, stride > 0 ? low : high), end = place(1, stride > 0 ? high : low);
  Value::List kept;
  Text text;
  for (int64_t i = begin; stride > 0 ? i < end : i > end; i += stride)
    if (of.isString())
      text.append(of.text(), starts[i], starts[i + 1]);
    else
      kept.push_back(of.items()[i]);
  return of.isString() ? Value::string(std::move(text)) : Value::list(std::move(kept));
}

Value Evaluator::unary(const Expr &expr) {
  Value of = evaluate(*expr.args[0]);
  if (expr.text == "not")
    return Value::boolean(!of.truth());
  if (of.kind() != Kind::Int || of.integer() == INT64_MIN)
    fail(expr.line, "what has a sign must be an integer, got " + std::string(of.kindName()));
  return Value::integer(expr.text == "-" ? -of.integer() : of.integer());
}

Value Evaluator::binary(const Expr &expr) {
  const std::string &op = expr.text;
  Value left = evaluate(*expr.args[0]);
  if (op == "and" || op == "or")
    return left.truth() == (op == "and") ? evaluate(*expr.args[1]) : left;
  Value right = evaluate(*expr.args[1]);
  if (op == "~" || (op == "+" && left.isString() && right.isString())) {
    Text joined = printed(left);
    joined.append(printed(right));
    return Value::string(std::move(joined));
  }
  if (op == "+" && left.kind() == Kind::List && right.kind() == Kind::List) {
    Value::List all = left.items();
    all.insert(all.end(), right.items().begin(), right.items().end());
    return Value::list(std::move(all));
  }
  auto isNumber = [](const Value &value) { return value.kind() == Kind::Int || value.kind() == Kind::Bool; };
  if (!isNumber(left) || !isNumber(right))
    fail(expr.line, "'" + op + "' must stand between integers" + (op == "+" ? ", strings or lists" : "") + ", got " +
                        left.kindName() + " and " + right.kindName());
  int64_t a = left.integer(), b = right.integer(), result = 0;
  bool over = false;
  if (op == "+")
    over = __builtin_add_overflow(a, b, &result);
  else if (op == "-")
    over = __builtin_sub_overflow(a, b, &result);
  else if (op == "*")
    over = __builtin_mul_overflow(a, b, &result);
  else if (b == 0 || (b == -1 && a == INT64_MIN))
    over = true;
  else // rounds down, as in Python
    result =
        op == "//" ? a / b - (a % b != 0 && (a < 0) != (b < 0)) : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  if (over)
    fail(expr.line, "the result of '" + op + "' must fit 64 bits");
  return Value::integer(result);
}

Value Evaluator::compare(const Expr &expr) {
  const std::string &op = expr.text;
  Value left = evaluate(*expr.args[0]), right = evaluate(*expr.args[1]);
  step(expr.line, left.size() + right.size());
  if (op == "==" || op == "!=")
    return Value::boolean((left == right) == (op == "=="));
  if (op == "in" || op == "not in")
    return Value::boolean(contains(right, left) == (op == "in"));
  int order = 0;
  if (left.isString() && right.isString())
    order = left.text().bytes.compare(right.text().bytes);
  else if ((left.kind() == Kind::Int || left.kind() == Kind::Bool) &&
           (right.kind() == Kind::Int || right.kind() == Kind::Bool))
    order = (left.integer() > right.integer()) - (left.integer() < right.integer());
  else
    fail(expr.line,
         "'" + op + "' must stand between integers or strings, got " + left.kindName() + " and " + right.kindName());
  bool result = op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0;
  return Value::boolean(result);
}

Value Evaluator::call(const Expr &expr) {
  Arguments given = arguments(expr, 0);
  if (expr.text == "namespace" || expr.text == "dict") {
    if (given.positional())
      fail(expr.line, "'" + expr.text + "' must have arguments with names only");
    Value::Dict entries;
    for (size_t i = 0; i < given.names.size(); ++i)
      entries.emplace_back(given.names[i], given.values[i]);
    return expr.text == "dict" ? Value::dict(std::move(entries)) : Value::makeNamespace(std::move(entries));
  }
  auto all = [&](Kind kind) {
    return given.names.empty() && std::all_of(given.values.begin(), given.values.end(),
                                              [&](const Value &value) { return value.kind() == kind; });
  };
  const size_t count = given.values.size();
  if (expr.text == "range") {
    if (!all(Kind::Int) || count < 1 || count > 3)
      fail(expr.line, "'range' must have 1 to 3 integers");
    return range(expr.line, count > 1 ? given.values[0].integer() : 0, given.values[count > 1 ? 1 : 0].integer(),
                 count > 2 ? given.values[2].integer() : 1);
  }
  if (!all(Kind::String) || count != 1)
    fail(expr.line, "'" + expr.text + "' must have one string");
  const Text &text = given.values[0].text();
  if (expr.text == "raise_exception")
    fail(expr.line, "it refuses the conversation: " + text.bytes, ChatError::Cause::Conversation);
  if (!time)
    fail(expr.line, "it prints the date: the conversation must state its time", ChatError::Cause::Conversation);
  return Value::string(Text(formatDate(*time, text.bytes, expr.line), text.anyUser()));
}

Value Evaluator::range(uint32_t line, int64_t begin, int64_t end, int64_t stride) {
  constexpr int64_t kMost = 100'000;
  Value::List items;
  if (stride == 0)
    fail(line, "the step of 'range' must not be 0");
  for (int64_t i = begin; stride > 0 ? i < end : i > end;) {
    if (items.size() == kMost)
      fail(line, "'range' must have at most " + std::to_string(kMost) + " numbers");
    items.push_back(Value::integer(i));
    if (__builtin_add_overflow(i, stride, &i))
      break;
  }
  return Value::list(std::move(items));
}
