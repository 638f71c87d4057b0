//===- Json.h - strict reading of JSON files from outside -------*- C++ -*-===//
//
// Checkpoint files come from strangers: sizes and depths are bounded, a key may not be given twice, and every key of
// an object must be read, ignored for a stated reason, or refused by name.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_JSON_H
#define KERF_DIALECTS_IMPORT_JSON_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

#include <simdjson.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kerf {

/// An error that carries `message` and nothing else: its control characters as \xNN, and no more than 16 KiB of it.
llvm::Error importError(const llvm::Twine &message);

/// True if `head`, the first bytes of a file, are those of a Git LFS pointer instead of the file's own content.
bool isGitLfsPointer(llvm::StringRef head);

/// The error for a Git LFS pointer found at `path`; says how to get the real file.
llvm::Error gitLfsPointerError(const llvm::Twine &path);

/// What a JSON text may cost.
struct JsonLimits {
  /// Longest accepted text, in bytes.
  uint64_t maxBytes = 64u << 20;
  /// Deepest accepted nesting of objects and arrays.
  unsigned maxDepth = 32;
};

/// One parsed JSON text. Owns everything that elements reached from `root()` point to. Moving it keeps them valid.
class JsonDocument {
public:
  /// Parses `text`; `name` stands for it in messages. Fails on invalid JSON or UTF-8, on a text beyond `limits`, and
  /// on a key given twice in any object.
  static llvm::Expected<JsonDocument> parse(llvm::StringRef name, llvm::StringRef text, const JsonLimits &limits = {});

  /// Reads and parses the file at `path`; messages call it by the file's own name.
  static llvm::Expected<JsonDocument> readFile(llvm::StringRef path, const JsonLimits &limits = {});

  /// The name that messages use.
  llvm::StringRef name() const { return name_; }
  /// The topmost value.
  simdjson::dom::element root() const { return document_->root(); }

private:
  JsonDocument() = default;
  std::string name_;
  std::unique_ptr<simdjson::dom::document> document_;
};

/// Reads a whole regular file of at most `maxBytes` into memory. Fails with a reason, also for a Git LFS pointer.
llvm::Expected<std::string> readSmallFile(llvm::StringRef path, uint64_t maxBytes);

/// How messages name the type of `value`, with the value itself where that is short: `string "silu"`, `array`.
std::string describe(simdjson::dom::element value);

/// The shortest text that reads back as `value`.
std::string formatNumber(double value);

/// Gathers everything wrong with an input, so that a user sees it at once and not one thing for each attempt.
class Problems {
public:
  /// Adds one sentence.
  void add(const llvm::Twine &message) { messages.push_back(message.str()); }
  /// True if nothing was added.
  bool empty() const { return messages.empty(); }
  /// One error with the first `kShown` messages, one a line, and the number of the others; success if there are none.
  llvm::Error take();

private:
  static constexpr size_t kShown = 8;
  std::vector<std::string> messages;
};

/// A key that was present and has no effect, and why.
struct IgnoredKey {
  /// File and key: `config.json: use_cache`.
  std::string key;
  /// Why it has no effect.
  std::string reason;
};

/// Bounds of an integer, both allowed.
struct IntRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

/// Bounds of a real number. `min` is allowed unless `minExclusive`.
struct NumberRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool minExclusive = false;
};

/// Reads the members of one object and remembers which were read. Getters never fail: a wrong or missing value is
/// added to the `Problems` and some harmless value returned. A `null` member counts as absent, as it does in
/// transformers. Keeps references to the `Problems` and to the document, which must outlive it.
class ObjectReader {
public:
  /// Reads `value`, which must be an object; `where` names it in messages.
  ObjectReader(const llvm::Twine &where, simdjson::dom::element value, Problems &problems,
               std::vector<IgnoredKey> &ignored);

  /// True if `key` is present and not null. Does not count as reading it.
  bool has(llvm::StringRef key) const;
  /// True if `key` is present, be it null. Does not count as reading it.
  bool states(llvm::StringRef key) const { return index.contains(key); }

  /// The integer at `key`, which must be present and in `range`.
  int64_t integer(llvm::StringRef key, IntRange range);
  /// The same; `fallback`, unchecked, where `key` is absent.
  int64_t integerOr(llvm::StringRef key, int64_t fallback, IntRange range);
  /// The number (integer or real) at `key`, which must be present and in `range`.
  double number(llvm::StringRef key, NumberRange range);
  /// The same; `fallback` where `key` is absent.
  double numberOr(llvm::StringRef key, double fallback, NumberRange range);
  /// The same; nothing where `key` is absent.
  std::optional<double> optionalNumber(llvm::StringRef key, NumberRange range);
  /// The boolean at `key`, `fallback` where absent.
  bool booleanOr(llvm::StringRef key, bool fallback);
  /// The string at `key`, which must be present.
  std::string string(llvm::StringRef key);
  /// The same; `fallback` where `key` is absent.
  std::string stringOr(llvm::StringRef key, llvm::StringRef fallback);
  /// The array of strings at `key`, empty where absent.
  std::vector<std::string> strings(llvm::StringRef key);
  /// One integer or an array of them at `key`, each in `range`; empty where absent.
  std::vector<int64_t> integerOrList(llvm::StringRef key, IntRange range);
  /// A reader of the object at `key`; empty where absent. The caller finishes it.
  ObjectReader object(llvm::StringRef key);

  /// The value at `key`, marked as read; null where `key` is absent or null.
  const simdjson::dom::element *take(llvm::StringRef key);

  /// Marks `key`, if present, as read and without effect, for `reason`.
  void ignore(llvm::StringRef key, llvm::StringRef reason);
  /// If `key` is present, its value must be `allowed` (then it is ignored for `reason`), else it is refused with
  /// `advice`.
  void allowOnly(llvm::StringRef key, bool allowed, llvm::StringRef reason, llvm::StringRef advice);
  /// The same for a number.
  void allowOnly(llvm::StringRef key, double allowed, llvm::StringRef reason, llvm::StringRef advice);
  /// If `key` is present and not null, refuses it with `advice`.
  void refuse(llvm::StringRef key, llvm::StringRef advice);
  /// Adds the problem that the value at `key` must be something other than it is: `key must <expected>, got <value>`.
  void wrong(llvm::StringRef key, const llvm::Twine &expected);
  /// Adds a problem of this object, prefixed with where it is.
  void problem(const llvm::Twine &message);
  /// Refuses every member that was neither read nor ignored, by name. `advice` follows the name.
  void finish(llvm::StringRef advice);
  /// Calls `visit` on each member, in file order, and marks it as read.
  void forEach(llvm::function_ref<void(llvm::StringRef key, simdjson::dom::element value)> visit);

  /// How messages name the object.
  llvm::StringRef where() const { return where_; }

private:
  void missing(llvm::StringRef key, llvm::StringRef expected);
  bool toInteger(llvm::StringRef key, simdjson::dom::element value, IntRange range, int64_t &out);

  struct Member {
    std::string key;
    simdjson::dom::element value;
    bool read = false;
  };
  std::string where_;
  std::vector<Member> members;
  llvm::StringMap<size_t> index;
  Problems *problems;
  std::vector<IgnoredKey> *ignored;
};

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_JSON_H
