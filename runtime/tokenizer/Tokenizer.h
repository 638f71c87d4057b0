//===- Tokenizer.h - text to token ids and back ------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_TOKENIZER_H
#define KERF_RUNTIME_TOKENIZER_TOKENIZER_H

#include "runtime/schema/tokenizer_generated.h"
#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/Bpe.h"
#include "runtime/tokenizer/Decoder.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/Pattern.h"
#include "runtime/tokenizer/Vocabulary.h"
#include "runtime/tokenizer/WordPiece.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// A package's tokenizer. Immutable: any number of threads may use one at once.
class Tokenizer {
public:
  /// Reads `table`, which a flatbuffers verifier has passed and which stays mapped as long as this lives, and verifies
  /// all that it says. Throws TokenizerError if anything in it could not come from Kerf's own compiler.
  explicit Tokenizer(const schema::Tokenizer &table);

  /// The ids of `text`. Bytes that are not UTF-8 count as replacement characters. `addSpecial` puts the tokens around
  /// it that the model expects; `parseSpecial` makes special tokens of text that spells them (leave it off for text
  /// from users). Throws TokenizerError if a split pattern exceeds its limits.
  std::vector<int32_t> encode(std::string_view text, bool addSpecial, bool parseSpecial) const;

  /// How many ids encode() puts behind a text with `addSpecial`.
  size_t suffixSize() const;

  /// The ids of `text`, which must be valid UTF-8, without the tokens around it. Special tokens are made only of text
  /// that has 0 in all of its bytes of `user`, which is as long: where it has 1, special tokens stay text. A special
  /// token that is looked for in normalized text is looked for as it is written. Throws as `encode`.
  std::vector<int32_t> encodeMarked(std::string_view text, std::string_view user) const;

  /// The text of `ids`, valid UTF-8; `skipSpecial` leaves special tokens out. Throws TokenizerError on an id outside
  /// the vocabulary.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial) const;

  /// What the vocabulary has for one token, before decoding: bytes that are not always whole characters, or text with
  /// the vocabulary's own marks (▁, ##, <0x0A>). Throws TokenizerError on an id outside the vocabulary.
  std::string_view contentOf(int32_t id) const;

  /// True if `id` is a special token. Throws TokenizerError on an id outside the vocabulary.
  bool isSpecial(int32_t id) const;

  /// One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(specials.size()); }

private:
  friend class StreamingDecoder;
  struct Step {
    const schema::PreTokenizerStep *table;
    /// Of a Split.
    std::optional<Pattern> pattern;
  };
  struct Scratch {
    MatchScratch match;
    /// How many pieces may still be made.
    uint64_t pieces = 0;
    Bpe::Scratch bpe;
  };
  void readAddedTokens();
  void encodePart(std::string_view part, bool first, bool special, Scratch &scratch, std::vector<int32_t> &out) const;
  void readSteps();
  void encodePiece(std::string_view piece, bool first, size_t step, Scratch &scratch, std::vector<int32_t> &out) const;

  const schema::Tokenizer &table;
  Vocabulary vocabulary;
  Normalizer normalizer;
  Decoder decoder;
  std::vector<bool> specials;
  /// Looked for in the text as it is, and in normalized text.
  AddedTokens plainTokens, normalizedTokens;
  /// Plain ones, and all that are special as they are written.
  AddedTokens markedTokens;
  /// Added tokens that the normalizer changes decode to what they were changed to.
  std::map<int32_t, std::string> changedTexts;
  std::vector<Step> steps;
  /// Just one of the two is there.
  std::optional<Bpe> bpe;
  std::optional<WordPiece> wordPiece;
};

/// Decodes ids one by one into whole characters: what it has given out, joined, is what `Tokenizer::decode` gives.
class StreamingDecoder {
public:
  /// `tokenizer` must outlive this.
  StreamingDecoder(const Tokenizer &tokenizer, bool skipSpecial) : tokenizer(tokenizer), skipSpecial(skipSpecial) {}

  /// The text that `id` makes certain; may be empty. Throws TokenizerError on an id outside the vocabulary, and then
  /// stays as it was.
  std::string put(int32_t id);

  /// What is left at the end: what waited for tokens that could have followed. Another text may follow.
  std::string flush();

private:
  const Tokenizer &tokenizer;
  bool skipSpecial;
  Decoder::State state;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_TOKENIZER_H
