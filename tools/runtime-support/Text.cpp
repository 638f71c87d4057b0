#include "tools/runtime-support/Text.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace kerf::tools {
std::string readText(const std::string &path) {
  std::ostringstream text;
  if (path == "-")
    text << std::cin.rdbuf();
  else {
    std::ifstream file(path, std::ios::binary);
    if (!file)
      throw std::runtime_error("cannot open '" + path + "': " + std::strerror(errno));
    text << file.rdbuf();
  }
  return text.str();
}

std::vector<int32_t> tokenize(const Model &model, std::string_view text, uint32_t flags) {
  // Byte-level tokens are never more than bytes, and the frame is short: nearly always one call.
  std::vector<int32_t> ids(text.size() + 16);
  size_t count = 0;
  kerf_error error;
  check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  if (count > ids.size()) {
    ids.resize(count);
    check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  }
  ids.resize(count);
  return ids;
}

std::string detokenize(const Model &model, const std::vector<int32_t> &ids, uint32_t flags) {
  std::string text(16 * ids.size(), '\0');
  size_t bytes = 0;
  kerf_error error;
  check(kerf_detokenize(model.get(), ids.data(), ids.size(), flags, text.data(), text.size(), &bytes, &error), error);
  if (bytes > text.size()) {
    text.resize(bytes);
    check(kerf_detokenize(model.get(), ids.data(), ids.size(), flags, text.data(), text.size(), &bytes, &error), error);
  }
  text.resize(bytes);
  return text;
}

std::string tokenBytes(const Model &model, int32_t id) {
  std::string text(32, '\0');
  size_t bytes = 0;
  kerf_error error;
  check(kerf_token_bytes(model.get(), id, text.data(), text.size(), &bytes, &error), error);
  if (bytes > text.size()) {
    text.resize(bytes);
    check(kerf_token_bytes(model.get(), id, text.data(), text.size(), &bytes, &error), error);
  }
  text.resize(bytes);
  return text;
}

bool isSpecial(const Model &model, int32_t id) {
  return detokenize(model, {id}, KERF_SKIP_SPECIAL).empty() && !detokenize(model, {id}, 0).empty();
}

// Unicode 15, table 3-7, without control characters.
size_t characterBytes(std::string_view bytes) {
  const auto at = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
  const auto tail = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned first = at(0), second = at(1);
  if (first >= 0x20 && first < 0x7f)
    return 1;
  if (first >= 0xc2 && first <= 0xdf && tail(1) && !(first == 0xc2 && second < 0xa0))
    return 2;
  if (first >= 0xe0 && first <= 0xef && tail(1) && tail(2) && !(first == 0xe0 && second < 0xa0) &&
      !(first == 0xed && second > 0x9f))
    return 3;
  if (first >= 0xf0 && first <= 0xf4 && tail(1) && tail(2) && tail(3) && !(first == 0xf0 && second < 0x90) &&
      !(first == 0xf4 && second > 0x8f))
    return 4;
  return 0;
}

static std::string shown(std::string_view bytes, std::string_view marked) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const char c = bytes[at];
    if (const size_t character = characterBytes(bytes.substr(at))) {
      if (marked.find(c) != std::string_view::npos)
        text += '\\';
      text += bytes.substr(at, character);
      at += character;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(c));
    text += c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : escape;
    ++at;
  }
  return text;
}

std::string printable(std::string_view bytes) { return shown(bytes, ""); }

std::string escaped(std::string_view bytes) { return '"' + shown(bytes, "\"\\") + '"'; }

bool writeOut(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return !std::ferror(stdout);
}

} // namespace kerf::tools
