//===- Lexer.cpp - tokens of a chat template ------------------------------===//
#include "runtime/chat/Syntax.h"
#include "runtime/chat/Value.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <charconv>

using namespace kerf::rt;
using namespace kerf::rt::chat;

namespace {

bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Longer ones first.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
                                           ">",  "(",  ")",  "[",  "]",  "{",  "}", ",", ".", ":", "|", "="};

class Lexer {
public:
  explicit Lexer(std::string_view given) {
    // One form of line ends, and not the last.
    for (size_t i = 0; i < given.size(); ++i) {
      if (given[i] == '\r') {
        source += '\n';
        i += i + 1 < given.size() && given[i + 1] == '\n';
      } else {
        source += given[i];
      }
    }
    if (!source.empty() && source.back() == '\n')
      source.pop_back();
  }

  std::vector<Token> run() {
    while (place < source.size()) {
      size_t tag = place;
      for (tag = source.find('{', tag); tag != std::string::npos; tag = source.find('{', tag + 1))
        if (tag + 1 < source.size() && std::string_view("%{#").find(source[tag + 1]) != std::string_view::npos)
          break;
      data(std::min(tag, source.size()));
      if (place == source.size())
        break;
      char kind = source[place + 1];
      advance(2);
      if (place < source.size() && (source[place] == '-' || source[place] == '+'))
        advance(1);
      if (kind == '#')
        comment();
      else
        inside(kind == '%');
    }
    add(Token::Kind::End);
    return std::move(tokens);
  }

private:
  [[noreturn]] void fail(const std::string &message) const {
    throw ChatError(ChatError::Cause::Template, line, message);
  }
  void add(Token::Kind kind, std::string text = {}, int64_t integer = 0) {
    tokens.push_back({kind, line, std::move(text), integer});
  }
  void advance(size_t bytes) {
    line += static_cast<uint32_t>(std::count(source.begin() + place, source.begin() + place + bytes, '\n'));
    place += bytes;
  }
  void skipSpace() {
    while (place < source.size() && isSpace(source[place]))
      advance(1);
  }

  // The text up to `end`, where a tag begins or the template ends.
  void data(size_t end) {
    std::string text = source.substr(place, end - place);
    if (end < source.size()) {
      char sign = end + 2 < source.size() ? source[end + 2] : ' ';
      if (sign == '-') {
        while (!text.empty() && isSpace(text.back()))
          text.pop_back();
      } else if (sign != '+' && source[end + 1] != '{') {
        size_t start = text.rfind('\n') + 1;
        if ((start > 0 || lineStarts) && std::all_of(text.begin() + start, text.end(), isSpace))
          text.resize(start);
      }
    }
    if (!text.empty())
      add(Token::Kind::Data, text);
    advance(end - place);
  }

  // The end of a tag, from its sign on; `block` is one that takes a line end with it.
  void endTag(bool block) {
    const size_t before = place;
    if (source[place] == '-') {
      advance(3);
      skipSpace();
    } else {
      bool keeps = source[place] == '+';
      advance(keeps ? 3 : 2);
      if (block && !keeps && place < source.size() && source[place] == '\n')
        advance(1);
    }
    lineStarts = place > before && source[place - 1] == '\n';
  }

  void comment() {
    size_t end = source.find("#}", place);
    if (end == std::string::npos)
      fail("a comment must end with '#}'");
    if (end > place && (source[end - 1] == '-' || source[end - 1] == '+'))
      --end;
    advance(end - place);
    endTag(/*block=*/true);
  }

  void inside(bool block) {
    add(block ? Token::Kind::BeginBlock : Token::Kind::BeginPrint);
    const std::string close = block ? "%}" : "}}";
    unsigned open = 0;
    while (true) {
      skipSpace();
      if (place == source.size())
        fail("a tag must end with '" + close + "'");
      std::string_view rest = std::string_view(source).substr(place);
      bool sign = rest[0] == '-' || (block && rest[0] == '+');
      if ((rest.starts_with(close) && (block || !open)) || (sign && rest.substr(1).starts_with(close))) {
        add(block ? Token::Kind::EndBlock : Token::Kind::EndPrint);
        return endTag(block);
      }
      if (rest[0] == '"' || rest[0] == '\'')
        string();
      else if (isDigit(rest[0]))
        number(rest);
      else if (isNameStart(rest[0]))
        name(rest);
      else
        symbol(rest, open);
    }
  }

  void number(std::string_view rest) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    size_t length = static_cast<size_t>(end - rest.data());
    if (error != std::errc())
      fail("an integer must fit 64 bits");
    if (length < rest.size() && (isNameStart(rest[length]) || rest[length] == '.'))
      fail("a number must be a decimal integer, got '" + std::string(rest.substr(0, length + 1)) + "'");
    add(Token::Kind::Integer, {}, value);
    advance(length);
  }

  void name(std::string_view rest) {
    size_t length = 1;
    while (length < rest.size() && (isNameStart(rest[length]) || isDigit(rest[length])))
      ++length;
    add(Token::Kind::Name, std::string(rest.substr(0, length)));
    advance(length);
  }

  void symbol(std::string_view rest, unsigned &open) {
    for (std::string_view op : kOperators)
      if (rest.starts_with(op)) {
        open += op == "{";
        open -= op == "}" && open;
        add(Token::Kind::Operator, std::string(op));
        return advance(op.size());
      }
    fail("a tag must have no '" + std::string(rest.substr(0, readUtf8(rest).length)) + "' outside strings");
  }

  void string() {
    const char quote = source[place];
    std::string text;
    size_t i = place + 1;
    for (; i < source.size() && source[i] != quote; ++i) {
      if (source[i] != '\\') {
        text += source[i];
        continue;
      }
      if (++i == source.size())
        break;
      escape(i, text);
    }
    if (i == source.size())
      fail("a string must end with its quote");
    add(Token::Kind::String, text);
    advance(i + 1 - place);
  }

  // The escape whose letter is at `i`, as in Python.
  void escape(size_t &i, std::string &text) const {
    constexpr std::string_view kLetters = "\\'\"abfnrtv\n", kBytes = "\\'\"\a\b\f\n\r\t\v";
    size_t letter = kLetters.find(source[i]);
    if (source[i] == '\n')
      return;
    if (letter != std::string_view::npos) {
      text += kBytes[letter];
      return;
    }
    unsigned digits = source[i] == 'x' ? 2 : source[i] == 'u' ? 4 : source[i] == 'U' ? 8 : 0;
    if (!digits)
      fail("a string must have no escape '\\" + std::string(1, source[i]) + "'");
    uint32_t code = 0;
    const char *begin = source.data() + i + 1, *end = std::min(begin + digits, source.data() + source.size());
    auto [stop, error] = std::from_chars(begin, end, code, 16);
    if (error != std::errc() || stop != begin + digits || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      fail("a string's escape must be a character, got '\\" + source.substr(i, digits + 1) + "'");
    appendUtf8(code, text);
    i += digits;
  }

  std::string source;
  size_t place = 0;
  uint32_t line = 1;
  bool lineStarts = true;
  std::vector<Token> tokens;
};

} // namespace

std::vector<Token> kerf::rt::chat::tokenizeTemplate(std::string_view source) { return Lexer(source).run(); }
