//===- Render.h - a conversation as the text a model expects -----*- C++ -*-===//
//
// The subset of Jinja2 that published chat templates use, in the dialect that transformers gives them. A template comes
// from strangers: parsing is bounded in depth, rendering in steps and in bytes.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_RUNTIME_CHAT_RENDER_H
#define KERF_RUNTIME_CHAT_RENDER_H

#include "runtime/chat/Value.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerf::rt::chat {

/// What somebody says. Bytes that are not UTF-8 count as U+FFFD.
struct Message {
  std::string_view role;
  std::string_view content;
};

/// What a template is rendered with.
struct Conversation {
  std::span<const Message> messages;
  /// The text ends where the model is to speak.
  bool generationPrompt = false;
  /// "bos_token" and its like, with their text.
  std::vector<std::pair<std::string, std::string>> tokens;
  /// Seconds since 1970 (UTC), for templates that print the date.
  std::optional<int64_t> time;
};

/// What `source` makes of `conversation`; roles and contents are marked as written by the user. Throws ChatError.
Text render(std::string_view source, const Conversation &conversation);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_RENDER_H
