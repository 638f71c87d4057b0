/// The runtime's own check of a tokenizer, for the compiler.
#ifndef KERF_CODEGEN_PACKAGE_TOKENIZERCHECK_H
#define KERF_CODEGEN_PACKAGE_TOKENIZERCHECK_H

#include "runtime/schema/tokenizer_generated.h"

#include <string>

namespace kerf {

/// What the runtime would refuse `table` for when its package is opened; empty if it would not. Only the runtime knows
/// what PCRE2 takes for a pattern, and a model that compiles must open.
std::string checkTokenizer(const schema::Tokenizer &table);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_TOKENIZERCHECK_H
