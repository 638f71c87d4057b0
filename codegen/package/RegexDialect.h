//===- RegexDialect.h - Oniguruma patterns as PCRE2 patterns -----*- C++ -*-===//
//
// Hugging Face `tokenizers` reads split patterns with Oniguruma, the runtime with PCRE2. They differ in what \s, \w, \h
// and `.` mean, in anchors, in classes inside classes, in \p{Han}, in possessive intervals and in caseless matching of
// one character against several. A pattern is rewritten where PCRE2 can say the same, and refused where it cannot.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_PACKAGE_REGEXDIALECT_H
#define KERF_CODEGEN_PACKAGE_REGEXDIALECT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace kerf {

/// The PCRE2 pattern (options UTF and UCP) that matches what `pattern` (valid UTF-8) matches in Oniguruma. Fails on
/// what has no sure equivalent, naming it and its byte.
llvm::Expected<std::string> translateOnigurumaPattern(llvm::StringRef pattern);

/// The PCRE2 pattern that matches `text` itself.
std::string escapePattern(llvm::StringRef text);

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_REGEXDIALECT_H
