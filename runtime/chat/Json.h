//===- Json.h - values of a chat template as JSON ----------------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_JSON_H
#define KERF_RUNTIME_CHAT_JSON_H

#include "runtime/chat/Value.h"

namespace kerf::rt::chat {

/// Appends `value` as Python's json.dumps writes it with ensure_ascii=False: on one line, or, where `indent` is not
/// negative, a line for each item with `indent` spaces a level, from `level` on. Throws std::invalid_argument on what
/// JSON cannot say; pays for items, and for what it adds to the text of `value`.
void appendJson(const Value &value, int64_t indent, unsigned level, Text &out, Budget &budget);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_JSON_H
