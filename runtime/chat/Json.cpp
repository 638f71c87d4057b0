//===- Json.cpp - values of a chat template as JSON -----------------------===//
#include "runtime/chat/Json.h"

#include <stdexcept>

using namespace kerf::rt::chat;
using Kind = Value::Kind;

static void appendJsonString(const Text &text, Text &out) {
  auto add = [&](std::string_view bytes, bool user) { out.append(Text(bytes, user)); };
  add("\"", false);
  for (size_t i = 0; i < text.bytes.size(); ++i) {
    const char c = text.bytes[i];
    const bool user = text.user[i];
    constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    if (size_t letter = kEscaped.find(c); letter != std::string_view::npos) {
      add(std::string{'\\', kLetters[letter]}, user);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kDigits[] = "0123456789abcdef";
      add(std::string("\\u00") + kDigits[c >> 4] + kDigits[c & 15], user);
    } else {
      add({&c, 1}, user);
    }
  }
  add("\"", false);
}

void kerf::rt::chat::appendJson(const Value &value, int64_t indent, unsigned level, Text &out, Budget &budget) {
  auto add = [&](const std::string &bytes) {
    budget.spend(bytes.size());
    out.append(Text(bytes, false));
  };
  auto newLine = [&](unsigned at) {
    if (indent >= 0)
      add("\n" + std::string(static_cast<size_t>(indent) * at, ' '));
  };
  const std::string comma = indent >= 0 ? "," : ", ";
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
