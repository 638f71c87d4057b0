//===- Utf8.h - reading UTF-8 that may be broken -----------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_UTF8_H
#define KERF_RUNTIME_TOKENIZER_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kerf::rt {

/// What stands at the head of a byte string.
struct Utf8Unit {
  /// The code point, U+FFFD if the bytes are not one.
  char32_t codePoint = 0xFFFD;
  /// Bytes it takes: of the character, or of the maximal subpart (Unicode 15, section 3.9) that one replacement
  /// character stands for.
  uint32_t length = 0;
  /// False if the bytes are no character.
  bool valid = false;
  /// True if the bytes end before the character does and more bytes could complete it.
  bool incomplete = false;
};

/// Reads the first unit of `bytes`, which must not be empty.
Utf8Unit readUtf8(std::string_view bytes);

/// Length of the longest prefix of `bytes` that is valid UTF-8.
size_t validUtf8Prefix(std::string_view bytes);

/// Appends `bytes` to `out` with one U+FFFD for each maximal subpart that is no character, as Python's
/// `bytes.decode("utf-8", "replace")` does. Unless `last`, stops before an incomplete character at the end.
/// Returns the number of bytes consumed.
size_t appendReplaced(std::string_view bytes, bool last, std::string &out);

/// Appends `codePoint`, which must be a Unicode scalar value.
void appendUtf8(char32_t codePoint, std::string &out);

/// True if `codePoint` has the property White_Space (Unicode 15, PropList.txt).
bool isWhiteSpace(char32_t codePoint);

/// True if `codePoint` is a word character in the sense of UTS 18, annex C: alphabetic, mark, decimal digit,
/// connector punctuation or join control.
bool isWordCharacter(char32_t codePoint);

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_UTF8_H
