//===- WordPiece.h - longest pieces first ------------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_WORDPIECE_H
#define KERF_RUNTIME_TOKENIZER_WORDPIECE_H

#include "runtime/tokenizer/Vocabulary.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// BERT's model: a word is its longest token, then the longest continuation of it, and so on (Song et al., "Fast
/// WordPiece Tokenization", 2021, section 3). Immutable.
class WordPiece {
public:
  /// Reads `model`, whose ids are those of `vocabulary`, and verifies every entry of it. Throws TokenizerError.
  WordPiece(const Vocabulary &vocabulary, const schema::WordPieceModel &model);

  /// Appends the tokens of `word` (valid UTF-8), or the unknown token, to `out`. Takes time in proportion to the word
  /// times the longest token.
  void encode(std::string_view word, std::vector<int32_t> &out) const;

private:
  const schema::WordPieceModel &model;
  PieceTable pieces;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_WORDPIECE_H
