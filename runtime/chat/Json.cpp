//===- Json.cpp - values of a chat template as JSON -----------------------===//
#include "runtime/chat/Json.h"

#include <stdexcept>

using namespace kerf::rt::chat;
using Kind = Value::Kind;

static void appendJsonString(const Text &text, Text &out) {
  out.append("\"", false);
  size_t done = 0;
  for (size_t i = 0; i < text.bytes.size(); ++i) {
    const char c = text.bytes[i];
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    const size_t letter = kEscaped.find(c);
    if (letter == std::string_view::npos && static_cast<unsigned char>(c) >= 0x20)
      continue;
    out.append(text, done, i);
    done = i + 1;
    if (letter != std::string_view::npos) {
      out.append(std::string{'\\', kLetters[letter]}, text.user[i]);
    } else {
      constexpr char kDigits[] = "0123456789abcdef";
      out.append(std::string("\\u00") + kDigits[c >> 4] + kDigits[c & 15], text.user[i]);
    }
  }
  out.append(text, done, text.bytes.size());
  out.append("\"", false);
}

void kerf::rt::chat::appendJson(const Value &value, int64_t indent, unsigned level, Text &out, Budget &budget) {
  auto add = [&](std::string_view bytes) {
    budget.spend(bytes.size());
    out.append(bytes, false);
  };
  auto newLine = [&](unsigned at) {
    if (indent >= 0)
      add("\n" + std::string(static_cast<size_t>(indent) * at, ' '));
  };
  const std::string_view comma = indent >= 0 ? "," : ", ";
  bool first = true;
  switch (value.kind()) {
  case Kind::None:
    return add("null");
  case Kind::Bool:
    return add(value.integer() ? "true" : "false");
  case Kind::Int:
    return add(std::to_string(value.integer()));
  case Kind::String:
    return appendJsonString(value.text(), out);
  case Kind::List:
    add("[");
    // The same lists within each other make many items of few.
    budget.spend(value.items().size() * sizeof(Value));
    for (const Value &item : value.items()) {
      add(first ? "" : comma);
      newLine(level + 1);
      appendJson(item, indent, level + 1, out, budget);
      first = false;
    }
    if (!first)
      newLine(level);
    return add("]");
  case Kind::Dict:
    add("{");
    budget.spend(value.entries().size() * sizeof(Value));
    for (const auto &[key, item] : value.entries()) {
      add(first ? "" : comma);
      newLine(level + 1);
      appendJsonString(Text(key, false), out);
      add(": ");
      appendJson(item, indent, level + 1, out, budget);
      first = false;
    }
    if (!first)
      newLine(level);
    return add("}");
  case Kind::Undefined:
  case Kind::Namespace:
    throw std::invalid_argument("must be given what JSON can say, got " + std::string(value.kindName()));
  }
}
