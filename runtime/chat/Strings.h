//===- Strings.h - what templates do with text -------------------*- C++ -*-===//
//
// As Python's str does it, by character. Who wrote each byte goes with it. All throw std::invalid_argument with what
// was expected.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_RUNTIME_CHAT_STRINGS_H
#define KERF_RUNTIME_CHAT_STRINGS_H

#include "runtime/chat/Value.h"

#include <string_view>
#include <vector>

namespace kerf::rt::chat {

/// Bytes where the characters of `text` begin, and its length.
std::vector<size_t> characterStarts(std::string_view text);

/// Every character.
Value::List splitCharacters(const Text &text);
/// At most `most` parts (all where negative) and the rest, between separators or, where that is null, white space.
Value::List splitString(const Text &text, const Text *separator, int64_t most);
/// The lines, without their ends.
Value::List splitLines(const Text &text);

/// Without the `characters` (white space where null) at its left and right.
Text stripped(const Text &text, const Text *characters, bool left, bool right);
/// With `to` in place of the first `most` (all where negative) `from`.
Text replaced(const Text &text, const Text &from, const Text &to, int64_t most);
/// By "upper", "lower", "title" or "capitalize"; of ASCII alone.
Text changedCase(Text text, std::string_view name);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_STRINGS_H
