// Split patterns: an Oniguruma pattern is refused, or becomes one that PCRE2 compiles, or refuses with a reason; and
// its matches and gaps are the text.
// Input: the pattern, a zero, the text.
#include "runtime/tokenizer/Pattern.h"
#include "codegen/package/RegexDialect.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/fuzz/Fuzz.h"

using namespace kerf;
using kerf::fuzz::must;
using rt::TokenizerError;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto [pattern, bytes] = llvm::StringRef(reinterpret_cast<const char *>(data), size).split('\0');
  if (rt::validUtf8Prefix(pattern) != pattern.size()) // no string out of JSON
    return -1;
  std::string text;
  rt::appendReplaced(bytes, /*last=*/true, text);
  llvm::Expected<std::string> translated = translateOnigurumaPattern(pattern);
  // What no compiler of Kerf made may still be in a package.
  std::string used = translated ? *translated : pattern.str();
  if (!translated)
    must(!llvm::toString(translated.takeError()).empty(), "a refusal says why");
  try {
    const rt::Pattern compiled(used);
    rt::MatchScratch scratch;
    size_t at = 0;
    for (const rt::Pattern::Part &part : compiled.parts(text, scratch)) {
      must(part.begin == at && part.end >= at && part.end <= text.size(), "matches and gaps lie side by side");
      must(rt::validUtf8Prefix(std::string_view(text).substr(at, part.end - at)) == part.end - at,
           "no character is cut");
      at = part.end;
    }
    must(at == text.size(), "matches and gaps are the whole text");
    const rt::Pattern escaped(escapePattern(pattern));
    if (!pattern.empty() && pattern.size() < 1000) {
      auto parts = escaped.parts(pattern, scratch);
      must(parts.size() == 1 && parts[0].match, "an escaped text matches itself");
    }
  } catch (const TokenizerError &error) {
    must(error.cause() != TokenizerError::Cause::BadArgument, "a pattern or its limits are at fault");
  }
  return 0;
}
