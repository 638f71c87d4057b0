//===- Bpe.h - byte pair encoding of one piece -------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_BPE_H
#define KERF_RUNTIME_TOKENIZER_BPE_H

#include "runtime/tokenizer/Vocabulary.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// The merges of a vocabulary (Sennrich, Haddow and Birch, 2016), read where the package is mapped. Immutable.
class Bpe {
public:
  /// What encoding works in; keeps its memory from piece to piece.
  class Scratch {
    friend class Bpe;
    struct Symbol {
      uint32_t token;
      /// Neighbours by index; a symbol that was merged into its left neighbour has no token.
      uint32_t left;
      uint32_t right;
    };
    struct Candidate {
      uint32_t rank;
      /// Index of the left symbol.
      uint32_t position;
      /// What the two become; tells a candidate that is out of date.
      uint32_t result;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  /// Reads `model`, whose ids are those of `vocabulary`, and verifies every entry of it. Throws TokenizerError.
  Bpe(const Vocabulary &vocabulary, const schema::BpeModel &model);

  /// Appends the tokens of `piece` (valid UTF-8) to `out`, in O(n log n). Pairs of lower rank merge first, of equal
  /// ranks the leftmost. Throws TokenizerError on a piece of 4 GiB or more.
  void encode(std::string_view piece, Scratch &scratch, std::vector<int32_t> &out) const;

private:
  const schema::MergeSlot *findMerge(uint32_t left, uint32_t right) const;
  void verifyBytes() const;
  void verifyMerges() const;
  void splitCharacters(std::string_view piece, std::vector<Scratch::Symbol> &symbols) const;
  void push(Scratch &scratch, uint32_t position) const;

  const Vocabulary &vocabulary;
  const schema::BpeModel &model;
  PieceTable pieces;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_BPE_H
