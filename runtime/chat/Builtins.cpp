//===- Builtins.cpp - what templates can call -----------------------------===//
#include "runtime/chat/Builtins.h"
#include "runtime/chat/Json.h"
#include "runtime/chat/Strings.h"

#include <algorithm>
#include <charconv>
#include <iterator>

using namespace kerf::rt::chat;
using Kind = Value::Kind;

namespace {

[[noreturn]] void bad(const std::string &message) { throw std::invalid_argument(message); }

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

// The argument at `index`, or called `name`; null if there is none.
const Value *argument(const Arguments &arguments, size_t index, std::string_view name) {
  if (index < arguments.positional())
    return &arguments.values[index];
  for (size_t i = 0; i < arguments.names.size(); ++i)
    if (arguments.names[i] == name)
      return &arguments.values[arguments.positional() + i];
  return nullptr;
}

void expectArguments(const Arguments &arguments, size_t least, size_t most,
                     std::initializer_list<std::string_view> names = {}) {
  if (arguments.values.size() < least || arguments.values.size() > most)
    bad("must have " + std::to_string(least) + " to " + std::to_string(most) + " arguments, got " +
        std::to_string(arguments.values.size()));
  for (const std::string &name : arguments.names)
    if (std::find(names.begin(), names.end(), name) == names.end())
      bad("must have no argument '" + name + "'");
}

const Text &needString(const Value &value) {
  if (!value.isString())
    bad("must be given a string, got " + std::string(value.kindName()));
  return value.text();
}

// The string argument, or null for an absent one or none.
const Text *stringArgument(const Arguments &arguments, size_t index, std::string_view name) {
  const Value *value = argument(arguments, index, name);
  return value && value->kind() != Kind::None ? &needString(*value) : nullptr;
}

int64_t integerArgument(const Arguments &arguments, size_t index, std::string_view name, int64_t fallback) {
  const Value *value = argument(arguments, index, name);
  if (!value)
    return fallback;
  if (value->kind() != Kind::Int)
    bad("must be given an integer, got " + std::string(value->kindName()));
  return value->integer();
}

// What can be gone through: the items of a list, the keys of a mapping, the characters of a string.
Value::List itemsOf(const Value &value, Budget &budget) {
  Value::List items;
  if (value.kind() == Kind::List)
    return value.items();
  if (value.kind() == Kind::Dict) {
    for (const auto &[key, item] : value.entries())
      items.push_back(Value::string(key));
  } else if (value.isString()) {
    return splitCharacters(value.text(), budget);
  } else if (!value.isUndefined()) {
    bad("must be given a list, got " + std::string(value.kindName()));
  }
  return items;
}

//===----------------------------------------------------------------------===//
// Filters
//===----------------------------------------------------------------------===//

Value lengthOf(const Value &value, Budget &budget) {
  if (value.isString())
    return Value::integer(static_cast<int64_t>(characterStarts(value.text().bytes).size() - 1));
  if (value.kind() == Kind::Dict)
    return Value::integer(static_cast<int64_t>(value.entries().size()));
  return Value::integer(static_cast<int64_t>(itemsOf(value, budget).size()));
}

Value entriesOf(const Value &value, Budget &budget) {
  if (value.isUndefined())
    return Value::list({});
  if (value.kind() != Kind::Dict)
    bad("must be given a dictionary, got " + std::string(value.kindName()));
  Value::List pairs;
  budget.spend(2 * kItemBytes * value.entries().size());
  for (const auto &[key, item] : value.entries())
    pairs.push_back(Value::list({Value::string(key), item}));
  return Value::list(std::move(pairs));
}

// The items whose attribute passes (`wanted`) a test: (attribute, test, arguments of the test …).
Value selected(const Value &value, const Arguments &arguments, bool byAttribute, bool wanted) {
  size_t skip = byAttribute ? 1 : 0;
  expectArguments(arguments, skip, skip + 2);
  const std::string attribute = byAttribute ? needString(arguments.values[0]).bytes : "";
  std::string test;
  if (arguments.values.size() > skip)
    test = needString(arguments.values[skip]).bytes;
  if (!test.empty() && !isTest(test))
    bad("must be given a test that Kerf renders, got '" + test + "'");
  Arguments rest{.values = {}, .names = {}, .budget = arguments.budget};
  if (arguments.values.size() > skip + 1)
    rest.values.assign(arguments.values.begin() + static_cast<ptrdiff_t>(skip) + 1, arguments.values.end());
  uint64_t each = 0;
  for (const Value &argument : rest.values)
    each += argument.size();
  Value::List kept;
  for (const Value &item : itemsOf(value, *arguments.budget)) {
    arguments.budget->spend(each);
    const Value *found = byAttribute ? (item.isMapping() ? item.find(attribute) : nullptr) : &item;
    const Value subject = found ? *found : Value();
    if ((test.empty() ? subject.truth() : callTest(test, subject, rest)) == wanted)
      kept.push_back(item);
  }
  return Value::list(std::move(kept));
}

Value joined(const Value &value, const Text &separator, Budget &budget) {
  Text out;
  bool first = true;
  for (const Value &item : itemsOf(value, budget)) {
    budget.spend(separator.bytes.size());
    if (!first)
      out.append(separator);
    out.append(printed(item));
    first = false;
  }
  return Value::string(std::move(out));
}

constexpr std::string_view kFilters[] = {
    "abs",  "capitalize", "count",      "d",      "default", "first",  "int",        "items",   "join",
    "last", "length",     "list",       "lower",  "map",     "reject", "rejectattr", "replace", "reverse",
    "safe", "select",     "selectattr", "string", "title",   "tojson", "trim",       "upper"};
constexpr std::string_view kTests[] = {"==",  "boolean",  "defined",  "eq",      "equalto",  "even", "false",
                                       "in",  "integer",  "iterable", "mapping", "ne",       "none", "number",
                                       "odd", "sequence", "string",   "true",    "undefined"};
constexpr std::string_view kMethods[] = {"capitalize", "count", "endswith", "find",    "get",    "items", "join",
                                         "keys",       "lower", "lstrip",   "replace", "rstrip", "split", "splitlines",
                                         "startswith", "strip", "title",    "upper",   "values"};

template <size_t n> bool isOne(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

} // namespace

bool kerf::rt::chat::isFilter(std::string_view name) { return isOne(kFilters, name); }
bool kerf::rt::chat::isTest(std::string_view name) { return isOne(kTests, name); }
bool kerf::rt::chat::isMethod(std::string_view name) { return isOne(kMethods, name); }

Text kerf::rt::chat::printed(const Value &value) {
  switch (value.kind()) {
  case Kind::Undefined:
    return {};
  case Kind::None:
    return Text("None", false);
  case Kind::Bool:
    return Text(value.integer() ? "True" : "False", false);
  case Kind::Int:
    return Text(std::to_string(value.integer()), false);
  case Kind::String:
    return value.text();
  case Kind::List:
  case Kind::Dict:
  case Kind::Namespace:
    break;
  }
  bad("what is printed must be text, got " + std::string(value.kindName()));
}

bool kerf::rt::chat::contains(const Value &container, const Value &item) {
  if (container.isString())
    return findText(container.text().bytes, needString(item).bytes) != std::string::npos;
  if (container.kind() == Kind::Dict)
    return item.isString() && container.find(item.text().bytes);
  if (container.kind() != Kind::List)
    bad("what has items must be a list, a dictionary or a string, got " + std::string(container.kindName()));
  return std::find(container.items().begin(), container.items().end(), item) != container.items().end();
}

Value kerf::rt::chat::callFilter(std::string_view name, const Value &value, const Arguments &arguments) {
  Budget &budget = *arguments.budget;
  if (name == "default" || name == "d") {
    expectArguments(arguments, 0, 2, {"default_value", "boolean"});
    const Value *fallback = argument(arguments, 0, "default_value"), *boolean = argument(arguments, 1, "boolean");
    bool absent = value.isUndefined() || (boolean && boolean->truth() && !value.truth());
    return !absent ? value : fallback ? *fallback : Value::string("");
  }
  if (name == "tojson") {
    expectArguments(arguments, 0, 2, {"indent", "ensure_ascii"});
    const Value *ascii = argument(arguments, 1, "ensure_ascii");
    if (ascii && ascii->truth())
      bad("must not ask for ASCII");
    const Value *indent = argument(arguments, 0, "indent");
    int64_t width = indent && indent->kind() != Kind::None ? integerArgument(arguments, 0, "indent", 0) : -1;
    if (width > 16)
      bad("must be given an indent of at most 16, got " + std::to_string(width));
    Text out;
    appendJson(value, width, 0, out, budget);
    return Value::string(std::move(out));
  }
  if (name == "trim") {
    expectArguments(arguments, 0, 1, {"chars"});
    return Value::string(stripped(printed(value), stringArgument(arguments, 0, "chars"), true, true));
  }
  if (name == "join") {
    expectArguments(arguments, 0, 1, {"d"});
    const Text *separator = stringArgument(arguments, 0, "d");
    return joined(value, separator ? *separator : Text(), budget);
  }
  if (name == "replace") {
    expectArguments(arguments, 2, 3, {"old", "new", "count"});
    const Text *from = stringArgument(arguments, 0, "old"), *to = stringArgument(arguments, 1, "new");
    if (!from || !to)
      bad("must be given what to replace and by what");
    return Value::string(replaced(printed(value), *from, *to, integerArgument(arguments, 2, "count", -1), budget));
  }
  if (name == "selectattr" || name == "rejectattr")
    return selected(value, arguments, true, name == "selectattr");
  if (name == "select" || name == "reject")
    return selected(value, arguments, false, name == "select");
  if (name == "map") {
    expectArguments(arguments, 1, 1, {"attribute"});
    Value::List made;
    for (const Value &item : itemsOf(value, budget)) {
      if (arguments.names.empty()) {
        const std::string &filter = needString(arguments.values[0]).bytes;
        if (!isFilter(filter) || filter == "map")
          bad("must be given a filter that Kerf renders, got '" + filter + "'");
        made.push_back(callFilter(filter, item, {.values = {}, .names = {}, .budget = &budget}));
        continue;
      }
      const Value *found = item.isMapping() ? item.find(needString(arguments.values[0]).bytes) : nullptr;
      made.push_back(found ? *found : Value());
    }
    return Value::list(std::move(made));
  }
  expectArguments(arguments, 0, 0);
  if (name == "length" || name == "count")
    return lengthOf(value, budget);
  if (name == "items")
    return entriesOf(value, budget);
  if (name == "string")
    return Value::string(printed(value));
  if (name == "upper" || name == "lower" || name == "capitalize" || name == "title")
    return Value::string(changedCase(printed(value), name));
  if (name == "safe")
    return value;
  if (name == "list")
    return Value::list(itemsOf(value, budget));
  if (name == "first" || name == "last") {
    Value::List items = itemsOf(value, budget);
    return items.empty() ? Value() : name == "first" ? items.front() : items.back();
  }
  if (name == "reverse") {
    Value::List items = itemsOf(value, budget);
    std::reverse(items.begin(), items.end());
    return Value::list(std::move(items));
  }
  if (name == "abs") {
    if (value.kind() != Kind::Int || value.integer() == INT64_MIN)
      bad("must be given an integer that has a positive, got " + std::string(value.kindName()));
    return Value::integer(value.integer() < 0 ? -value.integer() : value.integer());
  }
  // "int"
  if (value.kind() == Kind::Int || value.kind() == Kind::Bool)
    return Value::integer(value.integer());
  const std::string &digits = needString(value).bytes;
  int64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return Value::integer(error == std::errc() && end == digits.data() + digits.size() ? number : 0);
}

bool kerf::rt::chat::callTest(std::string_view name, const Value &value, const Arguments &arguments) {
  if (name == "equalto" || name == "eq" || name == "==" || name == "ne" || name == "in") {
    expectArguments(arguments, 1, 1);
    if (name == "in")
      return contains(arguments.values[0], value);
    return (value == arguments.values[0]) == (name != "ne");
  }
  expectArguments(arguments, 0, 0);
  const Kind kind = value.kind();
  if (name == "defined")
    return kind != Kind::Undefined;
  if (name == "undefined")
    return kind == Kind::Undefined;
  if (name == "none")
    return kind == Kind::None;
  if (name == "string")
    return kind == Kind::String;
  if (name == "mapping")
    return kind == Kind::Dict;
  if (name == "boolean")
    return kind == Kind::Bool;
  if (name == "true" || name == "false")
    return kind == Kind::Bool && (value.integer() != 0) == (name == "true");
  if (name == "integer")
    return kind == Kind::Int;
  if (name == "number")
    return kind == Kind::Int || kind == Kind::Bool;
  if (name == "iterable" || name == "sequence")
    return kind == Kind::List || kind == Kind::Dict || kind == Kind::String || kind == Kind::Undefined;
  // "odd", "even"
  if (kind != Kind::Int)
    bad("must be given an integer, got " + std::string(value.kindName()));
  return (value.integer() % 2 != 0) == (name == "odd");
}

static Value callDictMethod(std::string_view name, const Value &value, const Arguments &arguments) {
  Budget &budget = *arguments.budget;
  if (name == "get") {
    expectArguments(arguments, 1, 2);
    const Value *found = value.find(needString(arguments.values[0]).bytes);
    return found ? *found : arguments.values.size() > 1 ? arguments.values[1] : Value::none();
  }
  expectArguments(arguments, 0, 0);
  if (name == "items")
    return entriesOf(value, budget);
  if (name == "keys")
    return Value::list(itemsOf(value, budget));
  if (name == "values") {
    Value::List items;
    for (const auto &[key, item] : value.entries())
      items.push_back(item);
    return Value::list(std::move(items));
  }
  bad("a dictionary has no such method");
}

Value kerf::rt::chat::callMethod(std::string_view name, const Value &value, const Arguments &arguments) {
  if (value.kind() == Kind::Dict)
    return callDictMethod(name, value, arguments);
  Budget &budget = *arguments.budget;
  const Text &text = needString(value);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    expectArguments(arguments, 0, 1);
    return Value::string(stripped(text, stringArgument(arguments, 0, ""), name != "rstrip", name != "lstrip"));
  }
  if (name == "split") {
    expectArguments(arguments, 0, 2, {"sep", "maxsplit"});
    return Value::list(
        splitString(text, stringArgument(arguments, 0, "sep"), integerArgument(arguments, 1, "maxsplit", -1), budget));
  }
  if (name == "replace") {
    expectArguments(arguments, 2, 3);
    return Value::string(replaced(text, needString(arguments.values[0]), needString(arguments.values[1]),
                                  integerArgument(arguments, 2, "", -1), budget));
  }
  if (name == "startswith" || name == "endswith") {
    expectArguments(arguments, 1, 1);
    const Value &wanted = arguments.values[0];
    auto fits = [&](const Value &part) {
      const std::string &bytes = needString(part).bytes;
      return name == "startswith" ? text.bytes.starts_with(bytes) : text.bytes.ends_with(bytes);
    };
    if (wanted.kind() == Kind::List)
      return Value::boolean(std::any_of(wanted.items().begin(), wanted.items().end(), fits));
    return Value::boolean(fits(wanted));
  }
  if (name == "find" || name == "count") {
    expectArguments(arguments, 1, 1);
    const std::string &part = needString(arguments.values[0]).bytes;
    if (name == "find") {
      size_t found = findText(text.bytes, part);
      return Value::integer(found == std::string::npos
                                ? -1
                                : static_cast<int64_t>(characterStarts(text.bytes.substr(0, found)).size()) - 1);
    }
    if (part.empty())
      bad("must be given text that is not empty");
    int64_t count = 0;
    for (size_t at = 0; (at = findText(text.bytes, part, at)) != std::string::npos; at += part.size())
      ++count;
    return Value::integer(count);
  }
  if (name == "join") {
    expectArguments(arguments, 1, 1);
    return joined(arguments.values[0], text, budget);
  }
  expectArguments(arguments, 0, 0);
  if (name == "splitlines")
    return Value::list(splitLines(text, budget));
  if (name == "upper" || name == "lower" || name == "capitalize" || name == "title")
    return Value::string(changedCase(text, name));
  bad("a string has no such method");
}
