//===- Tokenizer.h - text to token ids and back ------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_TOKENIZER_H
#define KERF_RUNTIME_TOKENIZER_TOKENIZER_H

#include "runtime/schema/tokenizer_generated.h"
#include "runtime/tokenizer/AddedTokens.h"
#include "runtime/tokenizer/Bpe.h"
#include "runtime/tokenizer/Pattern.h"

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

  /// The text of `ids`, valid UTF-8; `skipSpecial` leaves special tokens out. Throws TokenizerError on an id outside
  /// the vocabulary.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial) const;

  /// The bytes of one token, not always whole characters. Throws TokenizerError on an id outside the vocabulary.
  std::string_view tokenBytes(int32_t id) const;

  /// True if `id` is a special token. Throws TokenizerError on an id outside the vocabulary.
  bool isSpecial(int32_t id) const;

  /// One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(specials.size()); }

private:
  struct Step {
    schema::PreTokenizerKind kind;
    std::optional<Pattern> pattern;
    schema::SplitBehavior behavior;
    bool invert;
  };
  struct Scratch {
    MatchScratch match;
    Bpe::Scratch bpe;
  };
  void verifyVocabulary() const;
  void readAddedTokens();
  void readSteps();
  std::string normalized(std::string_view text) const;
  void encodePiece(std::string_view piece, size_t step, Scratch &scratch, std::vector<int32_t> &out) const;

  const schema::Tokenizer &table;
  std::vector<bool> specials;
  /// Looked for in the text as it is, and in normalized text.
  AddedTokens plainTokens, normalizedTokens;
  /// Added tokens that normal forms change decode to what they were changed to.
  std::map<int32_t, std::string> changedTexts;
  std::vector<Step> steps;
  /// Set by the constructor once the vocabulary has been verified.
  std::optional<Bpe> bpe;
};

/// Decodes ids one by one into whole characters: what it has given out, joined, is what `Tokenizer::decode` gives.
class StreamingDecoder {
public:
  /// `tokenizer` must outlive this.
  StreamingDecoder(const Tokenizer &tokenizer, bool skipSpecial) : tokenizer(tokenizer), skipSpecial(skipSpecial) {}

  /// The text that `id` completes; may be empty. Throws TokenizerError on an id outside the vocabulary, and then stays
  /// as it was.
  std::string put(int32_t id);

  /// What is left at the end: one replacement character if a character was left incomplete, else nothing. Another
  /// text may follow.
  std::string flush();

private:
  const Tokenizer &tokenizer;
  bool skipSpecial;
  /// The head of a character; at most three bytes.
  std::string pending;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_TOKENIZER_H
