//===- Value.h - what a chat template computes with --------------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_VALUE_H
#define KERF_RUNTIME_CHAT_VALUE_H

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerf::rt::chat {

/// Thrown by everything that reads or renders a template; never crosses the C API.
class ChatError : public std::runtime_error {
public:
  /// Who has to act.
  enum class Cause {
    /// The template is wrong, outside the subset or needs too much.
    Template,
    /// The template refuses the conversation, or the caller left out what it asks for.
    Conversation,
  };
  /// An error at `line` of the template, counted from 1.
  ChatError(Cause cause, uint32_t line, const std::string &message)
      : std::runtime_error("chat template, line " + std::to_string(line) + ": " + message), cause_(cause) {}
  /// Who has to act.
  Cause cause() const { return cause_; }

private:
  Cause cause_;
};

/// UTF-8 text that knows of each byte whether the conversation or the template wrote it.
struct Text {
  std::string bytes;
  /// As long as `bytes`: 1 where the conversation wrote the byte, else 0.
  std::string user;

  Text() = default;
  /// All of one origin.
  Text(std::string_view bytes, bool fromUser) : bytes(bytes), user(bytes.size(), char(fromUser)) {}
  void append(const Text &other) { append(other, 0, other.bytes.size()); }
  /// All of one origin.
  void append(std::string_view more, bool fromUser) {
    bytes.append(more);
    user.append(more.size(), char(fromUser));
  }
  /// Bytes [begin, end) of `other`.
  void append(const Text &other, size_t begin, size_t end) {
    bytes.append(other.bytes, begin, end - begin);
    user.append(other.user, begin, end - begin);
  }
  /// Bytes [begin, end).
  Text slice(size_t begin, size_t end) const {
    Text part;
    part.append(*this, begin, end);
    return part;
  }
  /// True if the conversation wrote any of it.
  bool anyUser() const { return user.find('\1') != std::string::npos; }
};

/// Bytes that may still be made and read, so that a template ends while there are time and memory.
class Budget {
public:
  explicit Budget(uint64_t bytes) : left(bytes) {}
  /// Throws std::length_error where that is too much.
  void spend(uint64_t bytes) {
    if (bytes > left)
      throw std::length_error("rendering must make and read at most 64 MiB, and 64 bytes for each of the conversation");
    left -= bytes;
  }

private:
  uint64_t left;
};

/// An immutable value, except for namespaces.
class Value {
public:
  enum class Kind : uint8_t { Undefined, None, Bool, Int, String, List, Dict, Namespace };
  using List = std::vector<Value>;
  /// In order of insertion.
  using Dict = std::vector<std::pair<std::string, Value>>;
  /// Deepest nesting of lists and dictionaries: what is built is also walked and freed recursively.
  static constexpr uint32_t kMaxDepth = 64;
  /// Most keys of a dictionary or a namespace, which are searched one by one.
  static constexpr size_t kMaxKeys = 256;

  Value() = default;
  static Value none() { return Value(Kind::None); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value string(Text value);
  /// Template text.
  static Value string(std::string_view value) { return string(Text(value, false)); }
  /// Throws std::length_error where that is too deep or has too many keys, as do the next two.
  static Value list(List items);
  static Value dict(Dict items);
  static Value makeNamespace(Dict items);

  Kind kind() const { return kind_; }
  bool isUndefined() const { return kind_ == Kind::Undefined; }
  bool isString() const { return kind_ == Kind::String; }
  /// A dictionary or a namespace.
  bool isMapping() const { return kind_ == Kind::Dict || kind_ == Kind::Namespace; }
  /// Of a Bool or an Int.
  int64_t integer() const { return integer_; }
  const Text &text() const { return *text_; }
  const List &items() const { return *list_; }
  const Dict &entries() const { return *dict_; }
  /// The entry `key` of a mapping, or null.
  const Value *find(std::string_view key) const;
  /// Sets `key` of a namespace.
  void set(const std::string &key, Value value) const;

  /// Bytes and items of it and of all that it holds, so often as it holds them: what walking it costs. A namespace
  /// counts for nothing, because nothing walks it.
  uint64_t size() const { return size_; }
  bool truth() const;
  bool operator==(const Value &other) const;
  /// "a string", for messages.
  const char *kindName() const;

private:
  explicit Value(Kind kind) : kind_(kind) {}
  void holds(const Value &item, uint64_t extra);

  Kind kind_ = Kind::Undefined;
  /// It is a namespace or holds one.
  bool reachesNamespace_ = false;
  uint32_t depth_ = 0;
  uint64_t size_ = 1;
  int64_t integer_ = 0;
  std::shared_ptr<const Text> text_;
  std::shared_ptr<const List> list_;
  std::shared_ptr<Dict> dict_;
};

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_VALUE_H
