//===- AddedTokens.h - tokens found in the text itself -----------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_ADDEDTOKENS_H
#define KERF_RUNTIME_TOKENIZER_ADDEDTOKENS_H

#include "runtime/schema/tokenizer_generated.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerf::rt {

/// A set of added tokens that is looked for in one kind of text. Immutable once filled.
class AddedTokens {
public:
  /// A part of a text: an added token, or (null) text between.
  struct Part {
    std::string_view text;
    const schema::AddedToken *token;
  };

  AddedTokens();

  /// Adds `token`, which stays referenced, found where the text says `content`. Of two with one content the first
  /// counts.
  void add(const schema::AddedToken &token, std::string_view content);

  /// Cuts `text` (valid UTF-8) at the added tokens: leftmost first, of several there the longest. The text of special
  /// tokens remains text unless `special`.
  std::vector<Part> split(std::string_view text, bool special) const;

  /// The same, where a special token is found only in bytes that are 0 in `user`, which is as long as `text`: no byte
  /// of it may come from a user. Other added tokens are found everywhere.
  std::vector<Part> splitMarked(std::string_view text, std::string_view user) const;

private:
  // A trie over bytes. Children are sorted by byte.
  struct Node {
    std::vector<std::pair<unsigned char, uint32_t>> children;
    const schema::AddedToken *token = nullptr;
  };
  uint32_t child(uint32_t node, unsigned char byte) const;
  // The longest token at the head of `text`; a special one, only if it is at most `special` bytes long.
  const schema::AddedToken *longestAt(std::string_view text, size_t special, size_t &length) const;
  template <typename Find> std::vector<Part> splitWith(std::string_view text, Find find) const;

  std::vector<Node> nodes;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_ADDEDTOKENS_H
