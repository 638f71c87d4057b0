//===- Sentence.h - how an encoder makes a vector of a text -----*- C++ -*-===//
//
// What the files of sentence-transformers say beside an encoder: modules.json, the configuration of its pooling module
// and sentence_bert_config.json.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_SENTENCE_H
#define KERF_DIALECTS_IMPORT_SENTENCE_H

#include "dialects/import/Checkpoint.h"

namespace kerf {

/// What of a text's rows its vector is: their mean, the first or last of them, or the maximum in each column.
enum class SentencePooling { Mean, First, Last, Max };

/// From the rows of a text to its vector.
struct SentenceConfig {
  /// How rows become one.
  SentencePooling pooling = SentencePooling::Mean;
  /// The vector is divided by its length.
  bool normalize = false;
  /// Longest text, in tokens, where that is stated.
  std::optional<int64_t> maxTokens;
};

/// Reads the files of sentence-transformers in the directory of `checkpoint`, whose rows have `hidden` columns; nothing
/// where there is no modules.json. Modules and keys that Kerf would have to compute and does not are refused by name.
llvm::Expected<std::optional<SentenceConfig>> readSentenceConfig(const Checkpoint &checkpoint, int64_t hidden,
                                                                 std::vector<IgnoredKey> &ignored);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_SENTENCE_H
