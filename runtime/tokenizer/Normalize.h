//===- Normalize.h - Unicode normal forms ------------------------*- C++ -*-===//
#ifndef KERF_RUNTIME_TOKENIZER_NORMALIZE_H
#define KERF_RUNTIME_TOKENIZER_NORMALIZE_H

#include "runtime/schema/tokenizer_generated.h"

#include <string>
#include <string_view>

namespace kerf::rt {

/// `text`, which must be valid UTF-8, in normal form `form`, in O(n log n) whatever the text.
///
/// The form is that of Unicode 9: code points assigned later stand for themselves and take no part in reordering or
/// composition. That is what Hugging Face `tokenizers` does, and so what models were trained on.
std::string normalize(std::string_view text, schema::NormalForm form);

} // namespace kerf::rt

#endif // KERF_RUNTIME_TOKENIZER_NORMALIZE_H
