//===- Strings.cpp - what templates do with text --------------------------===//
#include "runtime/chat/Strings.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <unordered_set>

using namespace kerf::rt;
using namespace kerf::rt::chat;

// Items of a list that is made of a string.
static constexpr size_t kMaxParts = 100'000;
// What finding something that is replaced takes as long as copying, in bytes.
static constexpr size_t kMatchBytes = 16;

[[noreturn]] static void bad(const std::string &message) { throw std::invalid_argument(message); }

// Pays for one more, the `count`th.
static void expectPart(size_t count, Budget &budget) {
  if (count > kMaxParts)
    bad("must make at most " + std::to_string(kMaxParts) + " items of a string");
  budget.spend(kItemBytes);
}

// std::string::find may take as many steps as both lengths multiplied.
size_t kerf::rt::chat::findText(const std::string &text, const std::string &part, size_t from) {
  const void *found =
      from > text.size() ? nullptr : memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char *>(found) - text.data()) : std::string::npos;
}

std::vector<size_t> kerf::rt::chat::characterStarts(std::string_view text) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); i += readUtf8(text.substr(i)).length)
    starts.push_back(i);
  starts.push_back(text.size());
  return starts;
}

Value::List kerf::rt::chat::splitCharacters(const Text &text, Budget &budget) {
  Value::List characters;
  std::vector<size_t> starts = characterStarts(text.bytes);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    expectPart(i + 1, budget);
    characters.push_back(Value::string(text.slice(starts[i], starts[i + 1])));
  }
  return characters;
}

// White space in the sense of Python's str.strip.
static bool isPythonSpace(char32_t c) { return isWhiteSpace(c) || (c >= 0x1C && c <= 0x1F); }

Text kerf::rt::chat::stripped(const Text &text, const Text *characters, bool left, bool right) {
  std::unordered_set<char32_t> wanted;
  for (size_t i = 0; characters && i < characters->bytes.size();) {
    const auto character = readUtf8(std::string_view(characters->bytes).substr(i));
    wanted.insert(character.codePoint);
    i += character.length;
  }
  auto goes = [&](size_t begin, size_t end) {
    const char32_t c = readUtf8(std::string_view(text.bytes).substr(begin, end - begin)).codePoint;
    return characters ? wanted.count(c) != 0 : isPythonSpace(c);
  };
  std::vector<size_t> starts = characterStarts(text.bytes);
  size_t first = 0, last = starts.size() - 1;
  while (left && first < last && goes(starts[first], starts[first + 1]))
    ++first;
  while (right && first < last && goes(starts[last - 1], starts[last]))
    --last;
  return text.slice(starts[first], starts[last]);
}

Value::List kerf::rt::chat::splitString(const Text &text, const Text *separator, int64_t most, Budget &budget) {
  Value::List parts;
  if (separator) {
    if (separator->bytes.empty())
      bad("must be given a separator that is not empty");
    size_t done = 0;
    for (size_t found; most != 0 && (found = findText(text.bytes, separator->bytes, done)) != std::string::npos;
         --most) {
      parts.push_back(Value::string(text.slice(done, found)));
      expectPart(parts.size(), budget);
      done = found + separator->bytes.size();
    }
    parts.push_back(Value::string(text.slice(done, text.bytes.size())));
    return parts;
  }
  std::vector<size_t> starts = characterStarts(text.bytes);
  auto space = [&](size_t i) {
    return isPythonSpace(readUtf8(std::string_view(text.bytes).substr(starts[i])).codePoint);
  };
  for (size_t i = 0, count = starts.size() - 1; i < count;) {
    size_t begin = i;
    if (space(i)) {
      ++i;
      continue;
    }
    if (most-- == 0) {
      parts.push_back(Value::string(stripped(text.slice(starts[begin], text.bytes.size()), nullptr, false, true)));
      break;
    }
    while (i < count && !space(i))
      ++i;
    parts.push_back(Value::string(text.slice(starts[begin], starts[i])));
    expectPart(parts.size(), budget);
  }
  return parts;
}

Value::List kerf::rt::chat::splitLines(const Text &text, Budget &budget) {
  Value::List lines;
  for (size_t begin = 0; begin < text.bytes.size();) {
    size_t end = std::min(text.bytes.find_first_of("\n\r", begin), text.bytes.size());
    lines.push_back(Value::string(text.slice(begin, end)));
    expectPart(lines.size(), budget);
    begin = end + 1 + (text.bytes.compare(end, 2, "\r\n") == 0);
  }
  return lines;
}

Text kerf::rt::chat::replaced(const Text &text, const Text &from, const Text &to, int64_t most, Budget &budget) {
  if (from.bytes.empty())
    bad("must be given text to replace that is not empty");
  Text out;
  size_t done = 0;
  for (size_t found; most != 0 && (found = findText(text.bytes, from.bytes, done)) != std::string::npos; --most) {
    budget.spend(to.bytes.size() + kMatchBytes);
    out.append(text, done, found);
    out.append(to);
    done = found + from.bytes.size();
  }
  out.append(text, done, text.bytes.size());
  return out;
}

// A letter beyond ASCII is refused, because its case may take several characters.
Text kerf::rt::chat::changedCase(Text text, std::string_view name) {
  bool upper = name == "upper", inWord = false;
  for (char &c : text.bytes) {
    if (static_cast<unsigned char>(c) >= 0x80)
      bad("must be given ASCII");
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool wantUpper = upper || (!inWord && name != "lower");
    if (letter)
      c = static_cast<char>(wantUpper ? c & ~0x20 : c | 0x20);
    inWord = name == "capitalize" || letter;
  }
  return text;
}
