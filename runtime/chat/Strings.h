//===- Strings.h - what templates do with text -------------------*- C++ -*-===//
//
// As Python's str does it, by character. Who wrote each byte goes with it. All take linear time and throw
// std::invalid_argument with what was expected; what makes more than it is given pays for that.
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

/// Where `part` is in `text`, from the byte `from` on; npos if nowhere.
size_t findText(const std::string &text, const std::string &part, size_t from = 0);

/// What an item of a list takes beside its text, in bytes.
inline constexpr size_t kItemBytes = 128;
/// Every character.
Value::List splitCharacters(const Text &text, Budget &budget);
/// At most `most` parts (all where negative) and the rest, between separators or, where that is null, white space.
Value::List splitString(const Text &text, const Text *separator, int64_t most, Budget &budget);
/// The lines, without their ends.
Value::List splitLines(const Text &text, Budget &budget);

/// Without the `characters` (white space where null) at its left and right.
Text stripped(const Text &text, const Text *characters, bool left, bool right);
/// With `to` in place of the first `most` (all where negative) `from`.
Text replaced(const Text &text, const Text &from, const Text &to, int64_t most, Budget &budget);
/// By "upper", "lower", "title" or "capitalize"; of ASCII alone.
Text changedCase(Text text, std::string_view name);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_STRINGS_H
