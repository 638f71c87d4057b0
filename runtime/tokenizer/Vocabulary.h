//===- Vocabulary.h - ids and what they stand for ----------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_VOCABULARY_H
#define KERF_RUNTIME_TOKENIZER_VOCABULARY_H

#include "runtime/schema/TokenizerHash.h"
#include "runtime/schema/tokenizer_generated.h"
#include "runtime/tokenizer/TokenizerError.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace kerf::rt {

/// The contents of all tokens, read where the package is mapped. Immutable.
class Vocabulary {
public:
  /// Verifies the offsets of `table`. Throws TokenizerError.
  explicit Vocabulary(const schema::Tokenizer &table);

  /// One more than the largest id.
  uint32_t size() const { return count; }
  /// The content of `id`, which must be below size().
  std::string_view operator[](uint32_t id) const {
    return {bytes + table.token_offsets()->Get(id),
            table.token_offsets()->Get(id + 1) - table.token_offsets()->Get(id)};
  }

private:
  const schema::Tokenizer &table;
  const char *bytes;
  uint32_t count;
};

/// The model's own tokens by their content: an open-addressed table in the package.
class PieceTable {
public:
  /// An id for each slot; null for an empty table.
  using Slots = flatbuffers::Vector<uint32_t>;

  /// Verifies every slot. Throws TokenizerError.
  PieceTable(const Vocabulary &vocabulary, const Slots *slots);

  bool empty() const { return !slots; }
  /// The token with the content `bytes`, or kNoToken. The table must not be empty.
  uint32_t find(std::string_view bytes) const { return find(bytes, schema::pieceHash(bytes)); }
  /// The same where the hash, which must be `bytes`'s, is at hand.
  uint32_t find(std::string_view bytes, uint64_t hash) const;
  /// Bytes of the longest content.
  uint32_t longest() const { return longest_; }

private:
  const Vocabulary &vocabulary;
  const Slots *slots;
  uint32_t longest_ = 0;
};

/// Throws TokenizerError, with `name`, unless `slots` is a power of two and no more than schema::kMostFullSlots of them
/// in a row are full: `isFull(i)` says whether slot i is.
template <typename IsFull> void verifyTableShape(const char *name, uint32_t slots, IsFull isFull) {
  if (slots & (slots - 1))
    badTable(std::string("the tokenizer's ") + name + " must have a power of two of slots, got " +
             std::to_string(slots));
  uint32_t row = 0;
  // Around the end, as searches go.
  for (uint64_t i = 0; slots && i <= uint64_t(slots) + schema::kMostFullSlots; ++i) {
    row = isFull(static_cast<uint32_t>(i) & (slots - 1)) ? row + 1 : 0;
    if (row > schema::kMostFullSlots)
      badTable(std::string("the tokenizer's ") + name + " must have an empty slot after at most " +
               std::to_string(schema::kMostFullSlots) + " full ones, got more");
  }
}

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_VOCABULARY_H
