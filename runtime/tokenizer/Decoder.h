//===- Decoder.h - contents of tokens to text --------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_DECODER_H
#define KERF_RUNTIME_TOKENIZER_DECODER_H

#include "runtime/schema/tokenizer_generated.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// Joins the contents of tokens, one after the other, into text. Immutable.
class Decoder {
public:
  /// What a text under way has to remember.
  class State {
    friend class Decoder;
    /// The head of a character (byte-level, at most three bytes), or the run of bytes that tokens have spelled.
    std::string pending;
    /// Bytes dropped at the head of the text by Strip.
    uint32_t stripped = 0;
    /// No token, or no byte of text, has come yet.
    bool firstToken = true, head = true;
  };

  /// Verifies every decoding step of `table`. Throws TokenizerError.
  explicit Decoder(const schema::Tokenizer &table);

  /// Appends to `out` the text that a token of this content makes certain: whole characters only. A run of tokens that
  /// spell bytes comes out when it ends, because its last byte decides whether it is text.
  void put(State &state, std::string_view content, std::string &out) const;

  /// Appends what is left and begins a new text.
  void finish(State &state, std::string &out) const;

private:
  std::string changed(std::string_view content, bool first) const;
  void emit(State &state, std::string_view text, std::string &out) const;
  void endBytes(State &state, std::string &out) const;

  bool byteLevel;
  /// Steps that change each token by itself.
  std::vector<const schema::DecoderStep *> tokenSteps;
  bool byteFallback = false;
  /// Strip's character and how often it goes.
  std::string_view strip;
  uint32_t stripCount = 0;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_DECODER_H
