//===- Pattern.h - cutting text with a regular expression --------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_PATTERN_H
#define KERF_RUNTIME_TOKENIZER_PATTERN_H

#include "runtime/schema/tokenizer_generated.h"

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// What matching needs beside the pattern: one for each thread that matches, used with any number of patterns. It also
/// counts the steps that its patterns may take together, so it is made anew for each text.
class MatchScratch {
public:
  /// Throws `std::bad_alloc` if there is no memory.
  MatchScratch();
  ~MatchScratch();
  MatchScratch(const MatchScratch &) = delete;
  MatchScratch &operator=(const MatchScratch &) = delete;

private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state;
};

/// A compiled pattern. Immutable: any number of threads may use it at once.
class Pattern {
public:
  /// A part of a text, in bytes.
  struct Part {
    size_t begin;
    size_t end;
    bool match;
  };

  /// Compiles `pattern` (PCRE2 syntax). Throws TokenizerError, with the offset of the fault, if it is invalid or too
  /// large.
  explicit Pattern(std::string_view pattern);
  ~Pattern();
  Pattern(Pattern &&) noexcept;
  Pattern &operator=(Pattern &&) noexcept;

  /// Matches and gaps of `text` (valid UTF-8), in order; together they are `text`. A match may be empty, but not right
  /// after another match. Throws TokenizerError if the pattern needs too many steps or too much memory.
  std::vector<Part> parts(std::string_view text, MatchScratch &scratch) const;

  /// The pieces that `behavior` makes of `parts(text)`; none is empty. `invert` swaps matches and gaps.
  std::vector<std::string_view> split(std::string_view text, schema::SplitBehavior behavior, bool invert,
                                      MatchScratch &scratch) const;

private:
  int find(std::string_view text, size_t from, MatchScratch &scratch) const;

  struct Code;
  std::unique_ptr<Code> code;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_PATTERN_H
