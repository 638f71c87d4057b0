//===- BertText.h - what BERT's normalizer does to characters ----*- C++ -*-===//
//
// The classes of characters are those of Hugging Face `tokenizers`, which are Unicode 8's: code points that came later
// are neither control characters nor marks.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_RUNTIME_TOKENIZER_BERTTEXT_H
#define KERF_RUNTIME_TOKENIZER_BERTTEXT_H

#include <string>
#include <string_view>

namespace kerf::rt {

/// `text` without control, format and private characters, U+0000 and U+FFFD; white space, the tab and line ends among
/// it, is a space each. Here and below `text` must be valid UTF-8.
std::string cleaned(std::string_view text);

/// `text` with a space before and after each ideograph of the blocks that BERT knows.
std::string ideographsSpaced(std::string_view text);

/// `text` without nonspacing marks.
std::string marksDropped(std::string_view text);

/// `text` with each character's lower case, whatever stands beside it. Letters assigned after Unicode 15 stay.
std::string lowercased(std::string_view text);

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_BERTTEXT_H
