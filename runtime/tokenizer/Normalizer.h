//===- Normalizer.h - what changes text before it is cut ---------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_NORMALIZER_H
#define KERF_RUNTIME_TOKENIZER_NORMALIZER_H

#include "runtime/schema/tokenizer_generated.h"
#include "runtime/tokenizer/Pattern.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// The normalizing steps of a tokenizer. Immutable.
class Normalizer {
public:
  /// Verifies every step of `table` and compiles its patterns. Throws TokenizerError.
  explicit Normalizer(const schema::Tokenizer &table);

  /// True if there is nothing to do.
  bool empty() const { return steps.empty(); }

  /// `text`, which must be valid UTF-8, after all steps. Throws TokenizerError if a pattern exceeds its limits.
  std::string operator()(std::string_view text, MatchScratch &scratch) const;

private:
  struct Step {
    const schema::NormalizerStep *table;
    /// Of a Replace.
    std::optional<Pattern> pattern;
  };
  std::vector<Step> steps;
};

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_NORMALIZER_H
