//===- AddedTokens.cpp - tokens found in the text itself ------------------===//
#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>

using namespace kerf::rt;

// First byte of the last character of `text`, which must not be empty.
static size_t lastCharacter(std::string_view text) {
  size_t i = text.size() - 1;
  while (i && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80)
    --i;
  return i;
}

AddedTokens::AddedTokens() : nodes(1) {}

static bool byByte(const std::pair<unsigned char, uint32_t> &edge, unsigned char byte) { return edge.first < byte; }

uint32_t AddedTokens::child(uint32_t node, unsigned char byte) const {
  const auto &children = nodes[node].children;
  auto edge = std::lower_bound(children.begin(), children.end(), byte, byByte);
  return edge != children.end() && edge->first == byte ? edge->second : 0;
}

void AddedTokens::add(const schema::AddedToken &token, std::string_view content) {
  uint32_t node = 0;
  for (unsigned char byte : content) {
    uint32_t next = child(node, byte);
    if (!next) {
      next = static_cast<uint32_t>(nodes.size());
      auto &children = nodes[node].children;
      children.insert(std::lower_bound(children.begin(), children.end(), byte, byByte), {byte, next});
      nodes.emplace_back();
    }
    node = next;
  }
  if (!nodes[node].token)
    nodes[node].token = &token;
}

const kerf::schema::AddedToken *AddedTokens::longestAt(std::string_view text, size_t special, size_t &length) const {
  const schema::AddedToken *found = nullptr;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (!node)
      break;
    if (nodes[node].token && (!nodes[node].token->special() || i < special)) {
      found = nodes[node].token;
      length = i + 1;
    }
  }
  return found;
}

// `find` gives the token at a byte, with its length; null where there is none. A length without a token says how far no
// other may begin.
template <typename Find> std::vector<AddedTokens::Part> AddedTokens::splitWith(std::string_view text, Find find) const {
  std::vector<Part> parts;
  size_t done = 0, i = 0;
  while (!nodes[0].children.empty() && i < text.size()) {
    size_t length = 0;
    const schema::AddedToken *token = find(i, length);
    if (!token) {
      i += std::max<size_t>(length, 1);
      continue;
    }
    size_t begin = i, end = i + length;
    // Whether or not this match counts, none that overlaps it does.
    i = end;
    if (token->single_word()) {
      bool wordBefore = begin && isWordCharacter(readUtf8(text.substr(lastCharacter(text.substr(0, begin)))).codePoint);
      bool wordAfter = end < text.size() && isWordCharacter(readUtf8(text.substr(end)).codePoint);
      if (wordBefore || wordAfter)
        continue;
    }
    if (token->lstrip())
      while (begin > done) {
        size_t before = lastCharacter(text.substr(0, begin));
        if (!isWhiteSpace(readUtf8(text.substr(before)).codePoint))
          break;
        begin = before;
      }
    if (token->rstrip())
      while (end < text.size()) {
        Utf8Unit unit = readUtf8(text.substr(end));
        if (!isWhiteSpace(unit.codePoint))
          break;
        end += unit.length;
      }
    // A token that took white space with it may have taken this one's own characters, if those are white space.
    begin = std::max(begin, done);
    end = std::max(end, begin);
    if (done < begin)
      parts.push_back({text.substr(done, begin - done), nullptr});
    parts.push_back({text.substr(begin, end - begin), token});
    done = end;
  }
  if (done < text.size())
    parts.push_back({text.substr(done), nullptr});
  return parts;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool special) const {
  return splitWith(text, [&](size_t at, size_t &length) {
    const schema::AddedToken *token = longestAt(text.substr(at), text.size(), length);
    return token && token->special() && !special ? nullptr : token;
  });
}

std::vector<AddedTokens::Part> AddedTokens::splitMarked(std::string_view text, std::string_view user) const {
  // Where the run of template bytes that was looked at last ends.
  size_t end = 0;
  return splitWith(text, [&](size_t at, size_t &length) {
    if (end <= at)
      end = user[at] ? at : std::min(user.find('\1', at), text.size());
    return longestAt(text.substr(at), end - at, length);
  });
}
