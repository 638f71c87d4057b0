#include "runtime/emulator/Ptx.h"

#include <cctype>

namespace kerf::emulator {

static bool startsWord(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}
static bool continuesWord(char c) { return startsWord(c) || std::isdigit(static_cast<unsigned char>(c)); }

std::vector<Token> splitPtx(std::string_view text) {
  std::vector<Token> tokens;
  unsigned line = 1;
  size_t i = 0, n = text.size();
  auto push = [&](Token::Kind kind, size_t from) { tokens.push_back({kind, text.substr(from, i - from), line}); };
  while (i < n) {
    char c = text[i];
    if (c == '\n') {
      ++line, ++i;
    } else if (std::isspace(static_cast<unsigned char>(c))) {
      ++i;
    } else if (text.substr(i, 2) == "//") {
      while (i < n && text[i] != '\n')
        ++i;
    } else if (text.substr(i, 2) == "/*") {
      size_t end = text.find("*/", i + 2);
      if (end == text.npos)
        throw PtxError(line, "a comment that is not closed");
      for (; i < end + 2; ++i)
        line += text[i] == '\n';
    } else if (c == '"') {
      size_t from = i++;
      while (i < n && text[i] != '"' && text[i] != '\n')
        ++i;
      if (i == n || text[i] != '"')
        throw PtxError(line, "a string that is not closed");
      ++i;
      push(Token::String, from);
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      size_t from = i;
      // 1.5e-3, 0x1F, 0f3F800000, 12U; in "%r<4>" and "-1" the signs around are tokens of their own.
      bool hexadecimal = c == '0' && i + 1 < n && std::string_view("xXfFdD").find(text[i + 1]) != text.npos;
      while (i < n &&
             (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '.' ||
              (!hexadecimal && (text[i] == '-' || text[i] == '+') && (text[i - 1] == 'e' || text[i - 1] == 'E'))))
        ++i;
      push(Token::Number, from);
    } else if (startsWord(c)) {
      size_t from = i;
      while (i < n &&
             (continuesWord(text[i]) || (text.substr(i, 2) == "::" && i + 2 < n && continuesWord(text[i + 2]))))
        i += text[i] == ':' ? 2 : 1;
      push(Token::Word, from);
    } else if (std::string_view("{}[](),;:<>|!=@+-~&*/").find(c) != std::string_view::npos) {
      ++i;
      push(Token::Sign, i - 1);
    } else {
      throw PtxError(line, std::string("unexpected character '") + c + "'");
    }
  }
  tokens.push_back({Token::End, text.substr(n), line});
  return tokens;
}

} // namespace kerf::emulator
