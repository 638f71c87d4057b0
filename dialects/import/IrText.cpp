//===- IrText.cpp - IR files from outside ---------------------------------===//

#include "dialects/import/IrText.h"

#include "dialects/import/Json.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

using namespace kerf;
using namespace llvm;

namespace {

// Real modules are nested some ten deep, and nobody writes a number or expression of a thousand characters.
constexpr size_t kMostNesting = 256, kLongestItem = 4096;
constexpr uint64_t kLargestAlias = 1 << 16, kLargestExpansion = 1 << 24;

class Scanner {
public:
  Scanner(StringRef name, StringRef text) : name(name), text(text) {}

  Error run() {
    if (text.starts_with("ML\xefR"))
      return importError(name + ": must be IR as text, got MLIR bytecode; write it as text with mlir-opt");
    while (at < text.size() && !failure)
      token();
    if (!failure && definition)
      endDefinition();
    return std::move(failure);
  }

private:
  // What an alias stands for, with all aliases in it written out.
  struct Alias {
    size_t depth = 0;
    uint64_t brackets = 1;
  };

  void fail(const Twine &what) {
    StringRef before = text.take_front(begin);
    size_t line = before.count('\n') + 1, column = begin - (before.rfind('\n') + 1) + 1;
    failure = importError(name + ":" + Twine(line) + ":" + Twine(column) + ": " + what);
  }

  bool eat(StringRef word) {
    if (!text.substr(at).starts_with(word))
      return false;
    at += word.size();
    return true;
  }

  void token() {
    const char c = text[begin = at];
    if (isSpace(c)) {
      ++at;
      if (c == '\n' && definition && levels.empty())
        mayEndDefinition();
      return;
    }
    if (eat("//")) {
      at = std::min(text.find('\n', at), text.size());
      return;
    }
    last = c;
    if (c == '"')
      return string();
    if (eat("->")) {
      last = '=';
      return longer(2);
    }
    if (eat(">=") || eat("<="))
      return longer(2);
    if (c == '#' || c == '!')
      return reference();
    ++at;
    if (StringRef("([{<").contains(c))
      open(c);
    else if (StringRef(")]}>").contains(c))
      close(c);
    else if (c == ',')
      item = 0;
    else
      longer(1);
  }

  // A string ends with its line, as MLIR's does.
  void string() {
    for (++at; at < text.size() && text[at] != '\n'; ++at) {
      if (text[at] == '\\')
        ++at;
      else if (text[at] == '"')
        break;
    }
    at = std::min(at + 1, text.size());
  }

  void longer(size_t characters) {
    item += characters;
    if (item > kLongestItem && !levels.empty() && levels.back() != '{')
      fail("what stands between commas in brackets must have at most " + Twine(kLongestItem) + " characters, got more");
  }

  void open(char bracket) {
    levels.push_back(bracket);
    item = 0;
    nest(levels.size(), 1);
  }

  void close(char bracket) {
    item = 0;
    // A '<' that was none: nothing else can end around it.
    if (bracket != '>')
      while (!levels.empty() && levels.back() == '<')
        levels.pop_back();
    const char opening = bracket == ')' ? '(' : bracket == ']' ? '[' : bracket == '}' ? '{' : '<';
    if (!levels.empty() && levels.back() == opening)
      levels.pop_back();
  }

  // Counts something `depth` deep with so many brackets.
  void nest(size_t depth, uint64_t brackets) {
    if (depth > kMostNesting)
      return fail("brackets must be nested at most " + Twine(kMostNesting) + " deep, aliases written out, got more");
    if (!definition)
      return;
    current.depth = std::max(current.depth, depth);
    current.brackets += brackets;
    if (current.brackets > kLargestAlias)
      fail("an alias must stand for at most " + Twine(kLargestAlias) + " brackets, got more");
  }

  // #name or !name: an alias that is used or, before '=', defined; or the name of a dialect's attribute or type.
  void reference() {
    size_t end = at + 1;
    while (end < text.size() && (isAlnum(text[end]) || StringRef("_$.-").contains(text[end])))
      ++end;
    StringRef word = text.slice(at, end), rest = text.substr(end).ltrim(" \t\r\n");
    if (levels.empty() && rest.starts_with("=") && !rest.starts_with("==")) {
      if (definition)
        endDefinition();
      definition = word;
      current = Alias();
      at = text.size() - rest.size() + 1;
      last = '=';
      return;
    }
    longer(end - at);
    at = end;
    auto alias = aliases.find(word);
    if (alias == aliases.end() || failure)
      return;
    nest(levels.size() + alias->second.depth, alias->second.brackets);
    expansion += alias->second.brackets;
    if (expansion > kLargestExpansion && !failure)
      fail("aliases must stand for at most " + Twine(kLargestExpansion) + " brackets together, got more");
  }

  // At the end of a line outside of brackets: what comes next belongs to the definition if something must follow or if
  // it can only continue it. Where that is not sure it counts as belonging, which can only make the alias larger.
  void mayEndDefinition() {
    if (last == '=' || last == ':')
      return;
    StringRef rest = text.substr(at).ltrim(" \t\r\n");
    if (!rest.empty() && (isAlnum(rest[0]) || StringRef("_\"%#!").contains(rest[0])))
      endDefinition();
  }

  void endDefinition() {
    aliases[*definition] = current;
    definition.reset();
  }

  StringRef name, text;
  // Where the scan is, and where its last token began.
  size_t at = 0, begin = 0;
  Error failure = Error::success();
  // Open brackets, and the characters since the last bracket or comma.
  SmallVector<char> levels;
  size_t item = 0;
  // The last character of the last token; '=' for "->", after which something must follow as well.
  char last = 0;
  StringMap<Alias> aliases;
  uint64_t expansion = 0;
  std::optional<StringRef> definition;
  Alias current;
};

} // namespace

Error kerf::checkIrText(StringRef name, StringRef text) { return Scanner(name, text).run(); }

Expected<std::unique_ptr<MemoryBuffer>> kerf::readIrFile(StringRef path) {
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFileOrSTDIN(path);
  if (!buffer)
    return importError("could not open input file " + path + ": " + buffer.getError().message());
  if (Error error = checkIrText(path, (*buffer)->getBuffer()))
    return std::move(error);
  return std::move(*buffer);
}
