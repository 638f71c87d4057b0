//===- RegexDialect.cpp - Oniguruma patterns as PCRE2 patterns ------------===//
//
// After Oniguruma's doc/RE (6.9) and pcre2pattern(3) (10.42).
//
//===----------------------------------------------------------------------===//
#include "codegen/package/RegexDialect.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"

using namespace kerf;
using namespace llvm;

namespace {

// What the shorthands mean in Oniguruma, as the inside of a class, and their complements. \s is White_Space: PCRE2's
// has U+180E as well. \w is alphabetic, mark, decimal digit or connector, and the powers and fractions of Latin-1:
// PCRE2's has neither marks nor connectors.
struct Shorthand {
  char name;
  StringRef inside;
};
constexpr Shorthand kShorthands[] = {
    {'s', "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"},
    {'S', "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
          "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"},
    {'d', "\\p{Nd}"},
    {'D', "\\P{Nd}"},
    {'w', "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe"},
    {'h', "0-9a-fA-F"},
    {'H', "\\x00-\\x2f\\x3a-\\x40\\x47-\\x60\\x67-\\x{10ffff}"},
};

constexpr StringRef kCategories[] = {"C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",
                                     "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
                                     "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};
// PCRE2 takes a bare script name as the property Script_Extensions, Oniguruma as Script.
constexpr StringRef kScripts[] = {"Arabic",     "Armenian", "Bengali",  "Bopomofo",  "Common",    "Cyrillic",
                                  "Devanagari", "Ethiopic", "Georgian", "Greek",     "Gujarati",  "Gurmukhi",
                                  "Han",        "Hangul",   "Hebrew",   "Hiragana",  "Khmer",     "Kannada",
                                  "Katakana",   "Lao",      "Latin",    "Malayalam", "Mongolian", "Myanmar",
                                  "Sinhala",    "Tamil",    "Telugu",   "Thai",      "Tibetan",   "Inherited"};

class Translator {
public:
  explicit Translator(StringRef pattern) : pattern(pattern) {}

  Expected<std::string> run() {
    while (at < pattern.size() && failure.empty())
      step();
    if (failure.empty() && caseless.size() != 1)
      fail("a group without its end");
    if (!failure.empty())
      return createStringError(inconvertibleErrorCode(),
                               "split pattern '" + pattern.take_front(200) + "' must use only what Oniguruma and " +
                                   "PCRE2 agree on, got " + failure + " at byte " + Twine(at));
    return out;
  }

private:
  void fail(const Twine &what) {
    if (failure.empty())
      failure = what.str();
  }

  bool eat(StringRef text) {
    if (!pattern.substr(at).starts_with(text))
      return false;
    at += text.size();
    return true;
  }

  void step() {
    char c = pattern[at];
    if (c == '(')
      return group();
    if (c == '[')
      return characterClass();
    if (c == '\\')
      return escape();
    if (c == '*' || c == '+' || c == '?' || c == '{')
      return quantifier();
    if (c == '^' || c == '$')
      return fail(Twine("the line anchor '") + Twine(c) + "'");
    ++at;
    if (c == ')') {
      if (caseless.size() == 1)
        return fail("a ')' without a group");
      caseless.pop_back();
      out += ')';
    } else if (c == '|' || c == '.') {
      out += c;
    } else {
      literal(c);
    }
    quantifiable = c != '|';
  }

  // Caseless, Oniguruma matches a character that folds to several (as ß to ss) against their spelling and back. Only
  // ASCII texts without the spelling of such a character have the same matches in PCRE2.
  void literal(char c) {
    if (caseless.back()) {
      if (!isASCII(c))
        return fail("a character outside ASCII in caseless text");
      char low = toLower(c);
      char pair[2] = {lastLiteral, low};
      if (out.size() == lastEnd && is_contained({"ss", "st", "ff", "fi", "fl"}, StringRef(pair, 2)))
        return fail(Twine("caseless '") + StringRef(pair, 2) + "', which one character can fold to");
      lastLiteral = low;
    }
    if (c == ']' || c == '}' || c == '#')
      out += '\\';
    out += c;
    lastEnd = out.size();
    quantifiable = true;
  }

  void group() {
    if (eat("(?:") || eat("(?=") || eat("(?!") || eat("(?<=") || eat("(?<!") || eat("(?>")) {
      size_t begin = pattern.rfind('(', at - 1);
      out += pattern.slice(begin, at);
      caseless.push_back(caseless.back());
    } else if (eat("(?i:") || eat("(?-i:")) {
      bool on = pattern[at - 3] != '-';
      out += on ? "(?i:" : "(?-i:";
      caseless.push_back(on);
    } else if (at == 0 && eat("(?i)")) {
      // Only at the start: elsewhere Oniguruma lets it span the alternatives that follow, PCRE2 does not.
      out += "(?i)";
      caseless.back() = true;
    } else if (pattern.substr(at).starts_with("(?") || pattern.substr(at).starts_with("(*")) {
      return fail("the group '" + pattern.substr(at, 4) + "'");
    } else {
      ++at;
      out += '(';
      caseless.push_back(caseless.back());
    }
    quantifiable = false;
  }

  void quantifier() {
    if (!quantifiable)
      return fail("a quantifier without anything before it");
    char c = pattern[at];
    if (c != '{') {
      ++at;
      out += c;
      // Lazy or possessive, in both dialects.
      if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == '+'))
        out += pattern[at++];
    } else if (!interval()) {
      return;
    }
    if (at < pattern.size() && StringRef("*+?{").contains(pattern[at]))
      return fail("a quantifier of a quantifier");
    quantifiable = false;
  }

  bool interval() {
    size_t end = pattern.find('}', at);
    StringRef text = end == StringRef::npos ? StringRef() : pattern.slice(at + 1, end);
    auto [low, high] = text.split(',');
    unsigned least = 0, most = 0;
    bool comma = text.contains(',');
    if (text.empty() || (low.empty() && high.empty()) || (!low.empty() && low.getAsInteger(10, least)) ||
        (!high.empty() && high.getAsInteger(10, most)) || least > 65535 || most > 65535 ||
        (!high.empty() && most < least)) {
      fail("a '{' that begins no interval; write \\{ for the character");
      return false;
    }
    out += "{" + utostr(least) + (comma ? "," : "") + (high.empty() ? "" : utostr(most)) + "}";
    at = end + 1;
    if (at < pattern.size() && pattern[at] == '+') {
      fail("a '+' after an interval, possessive in PCRE2 alone");
      return false;
    }
    if (at < pattern.size() && pattern[at] == '?') {
      if (!comma) {
        fail("a '?' after an interval of one number, optional in Oniguruma and lazy in PCRE2");
        return false;
      }
      out += pattern[at++];
    }
    return true;
  }

  // Reads \x.., \u...., \p{..} and the shorthands, all that means the same in a class and outside. Appends what stands
  // inside a class. `single` says whether that is one character.
  bool atom(bool &single) {
    single = true;
    size_t begin = at++;
    if (at == pattern.size()) {
      fail("a '\\' at the end");
      return false;
    }
    char c = pattern[at++];
    for (const Shorthand &shorthand : kShorthands)
      if (shorthand.name == c) {
        if (caseless.back() && c != 's' && c != 'S' && c != 'd' && c != 'D')
          fail(Twine("caseless \\") + Twine(c));
        single = false;
        out += shorthand.inside;
        return failure.empty();
      }
    switch (c) {
    case 't':
    case 'n':
    case 'r':
    case 'f':
    case 'a':
    case 'e':
      out += '\\';
      out += c;
      return true;
    case 'v':
      // The vertical tab; PCRE2's \v is all vertical space.
      out += "\\x0b";
      return true;
    case 'x':
    case 'u':
      return hex(c);
    case 'p':
    case 'P':
      single = false;
      return property(c == 'P');
    default:
      if (isASCII(c) && !isAlnum(c) && c > ' ') {
        if (caseless.back())
          lastLiteral = c;
        out += '\\';
        out += c;
        return true;
      }
      at = begin;
      fail("'" + pattern.substr(begin, 2) + "'");
      return false;
    }
  }

  bool hex(char kind) {
    StringRef digits;
    if (kind == 'x' && eat("{")) {
      size_t end = pattern.find('}', at);
      digits = end == StringRef::npos ? "" : pattern.slice(at, end);
      at += digits.size() + 1;
    } else {
      digits = pattern.substr(at, kind == 'u' ? 4 : 2);
      at += digits.size();
    }
    uint32_t code = 0;
    if (digits.empty() || (kind == 'u' && digits.size() != 4) || digits.getAsInteger(16, code) || code > 0x10FFFF ||
        (code >= 0xD800 && code <= 0xDFFF)) {
      fail("a bad hexadecimal character");
      return false;
    }
    // In a pattern's text \x80 to \xff are bytes to Oniguruma.
    if (kind == 'x' && digits.size() <= 2 && code > 0x7F && pattern[at - 1] != '}') {
      fail("a byte that is no character");
      return false;
    }
    if (caseless.back() && (code > 0x7F || isAlpha(static_cast<char>(code)))) {
      fail("a caseless hexadecimal character");
      return false;
    }
    out += "\\x{" + utohexstr(code, /*LowerCase=*/true) + "}";
    return true;
  }

  bool property(bool negated) {
    if (!eat("{")) {
      fail("\\p without braces");
      return false;
    }
    if (eat("^"))
      negated = !negated;
    size_t end = pattern.find('}', at);
    StringRef name = end == StringRef::npos ? "" : pattern.slice(at, end);
    std::string translated;
    if (is_contained(kCategories, name))
      translated = name.str();
    else if (is_contained(kScripts, name))
      translated = "sc:" + name.str();
    if (translated.empty() || caseless.back()) {
      fail((caseless.back() ? "the caseless property '" : "the property '") + name + "'");
      return false;
    }
    at = end + 1;
    out += (negated ? "\\P{" : "\\p{") + translated + "}";
    return true;
  }

  void escape() {
    char c = at + 1 < pattern.size() ? pattern[at + 1] : 0;
    if (c == 'A' || c == 'z') {
      out += pattern.substr(at, 2);
      at += 2;
      quantifiable = false;
      return;
    }
    if (c == 'W') {
      at += 2;
      if (caseless.back())
        return fail("caseless \\W");
      out += "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe]";
      quantifiable = true;
      return;
    }
    std::string before = std::move(out);
    out.clear();
    bool single;
    if (atom(single))
      out = before + (single || c == 'p' || c == 'P' ? out : "[" + out + "]");
    quantifiable = true;
  }

  void characterClass() {
    ++at;
    out += '[';
    bool negated = eat("^");
    if (negated) {
      if (caseless.back())
        return fail("a caseless negated class");
      out += '^';
    }
    bool first = true;
    // Whether a range may begin at the item before.
    bool single = false;
    while (true) {
      if (at >= pattern.size())
        return fail("a class without its end");
      char c = pattern[at];
      if (c == ']' && !first)
        break;
      if (c == '[' || c == ']')
        return fail("a class in a class, or a bracket to be written \\[ or \\]");
      if (pattern.substr(at).starts_with("&&"))
        return fail("an intersection of classes");
      if (c == '\\') {
        if (!atom(single))
          return;
      } else if (c == '-') {
        bool edge = first || (at + 1 < pattern.size() && pattern[at + 1] == ']');
        if (!edge && !single)
          return fail("a '-' after what is no single character; write \\-");
        ++at;
        out += edge ? "\\-" : "-";
        if (!edge && !rangeEnd())
          return;
        single = edge;
      } else if (!classLiteral()) {
        return;
      } else {
        single = true;
      }
      first = false;
    }
    ++at;
    out += ']';
    quantifiable = true;
  }

  bool rangeEnd() {
    bool single = true;
    if (at < pattern.size() && pattern[at] == '\\') {
      if (!atom(single))
        return false;
    } else if (at >= pattern.size() || StringRef("[]-").contains(pattern[at])) {
      single = false;
    } else {
      return classLiteral();
    }
    if (!single)
      fail("a range without its end");
    return single;
  }

  // One whole character.
  bool classLiteral() {
    if (caseless.back() && !isASCII(pattern[at])) {
      fail("a character outside ASCII in a caseless class");
      return false;
    }
    if (pattern[at] == '^')
      out += '\\';
    do
      out += pattern[at++];
    while (at < pattern.size() && (static_cast<unsigned char>(pattern[at]) & 0xC0) == 0x80);
    return true;
  }

  StringRef pattern;
  size_t at = 0;
  std::string out;
  std::string failure;
  // Whether the pattern, and each open group, ignores case.
  SmallVector<bool> caseless = {false};
  bool quantifiable = false;
  // The last caseless literal and where it ended.
  char lastLiteral = 0;
  size_t lastEnd = 0;
};

} // namespace

Expected<std::string> kerf::translateOnigurumaPattern(StringRef pattern) { return Translator(pattern).run(); }

std::string kerf::escapePattern(StringRef text) {
  std::string out;
  for (char c : text) {
    if (isASCII(c) && isPunct(c))
      out += '\\';
    out += c;
  }
  return out;
}
