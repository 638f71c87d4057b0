//===- Build.h - tokenizer.json texts as tables, for tests -------*- C++ -*-===//
//
// The compiler's side, kept behind plain types: it is built without exceptions, the tests with.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_TEST_RUNTIME_TOKENIZER_BUILD_H
#define KERF_TEST_RUNTIME_TOKENIZER_BUILD_H

#include <string>
#include <utility>
#include <vector>

namespace kerf::test {

/// A finished buffer whose root is a schema::Tokenizer, or why there is none.
struct Built {
  std::vector<uint8_t> buffer;
  std::string error;
  /// "key: reason" of each.
  std::vector<std::string> ignored;
};

/// Builds from the text of a tokenizer.json.
Built build(const std::string &json);

/// The bundled model's tokenizer.json, or test/goldens/tokenizer/BASE.json where `changes` has a "base", with
/// `changes`: a JSON object from (dotted) keys to new values, null for none.
std::string changed(const std::string &changes);

/// `text` with the pairs of strings in the "swap" of `changes` swapped, one pair after the other.
std::string swapped(const std::string &changes, std::string text);

/// Name and changes of each variant in test/goldens/tokenizer/variants.json.
std::vector<std::pair<std::string, std::string>> variants();

/// The PCRE2 pattern for an Oniguruma one, or "error: " and why there is none.
std::string translated(const std::string &pattern);

} // namespace kerf::test

#endif // KERF_TEST_RUNTIME_TOKENIZER_BUILD_H
