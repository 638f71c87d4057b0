//===- Normalize.cpp - Unicode normal forms -------------------------------===//
//
// utf8proc decomposes and composes. The canonical ordering between the two is our own, because utf8proc's moves one
// mark at a time: quadratic on a long run of marks, which a hostile text would have.
//
//===----------------------------------------------------------------------===//
#include "runtime/tokenizer/Normalize.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <vector>

using namespace kerf::rt;
using kerf::schema::NormalForm;

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// What Unicode 10 to 15 gave a combining class or a decomposition, and U+11935, which composes with what follows it.
// Made from utf8proc's properties and Perl's \p{Present_In: 9.0}.
constexpr Range kLaterThanUnicode9[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785},
    {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9},
};

bool isLaterThanUnicode9(char32_t c) {
  const Range *end = std::end(kLaterThanUnicode9);
  const Range *range =
      std::lower_bound(std::begin(kLaterThanUnicode9), end, c, [](Range range, char32_t c) { return range.last < c; });
  return range != end && range->first <= c;
}

// Text below the first code point that a form can change is in that form already.
char32_t firstAffected(NormalForm form) {
  switch (form) {
  case NormalForm::NFC:
    return 0x300;
  case NormalForm::NFD:
    return 0xC0;
  case NormalForm::NFKC:
  case NormalForm::NFKD:
    return 0xA0;
  }
  return 0;
}

int optionsOf(NormalForm form) {
  switch (form) {
  case NormalForm::NFC:
    return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  case NormalForm::NFD:
    return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  case NormalForm::NFKC:
    return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
  case NormalForm::NFKD:
    return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

utf8proc_propval_t combiningClass(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// One stretch without later code points: decomposed on `add`, ordered and composed on `finish`.
class Stretch {
public:
  explicit Stretch(int options) : options(options) {}

  void add(char32_t c) {
    // The longest decomposition, of U+FDFA, has 18 code points.
    utf8proc_int32_t parts[32];
    int boundClass = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(c), parts, std::size(parts),
        static_cast<utf8proc_option_t>((options & ~UTF8PROC_COMPOSE) | UTF8PROC_DECOMPOSE), &boundClass);
    if (count < 0 || static_cast<size_t>(count) > std::size(parts))
      throw TokenizerError(TokenizerError::Cause::BadArgument, "text must be valid Unicode to be normalized");
    buffer.insert(buffer.end(), parts, parts + count);
  }

  void finish(std::string &out) {
    for (size_t begin = 0; begin < buffer.size();) {
      if (!combiningClass(buffer[begin])) {
        ++begin;
        continue;
      }
      size_t end = begin + 1;
      while (end < buffer.size() && combiningClass(buffer[end]))
        ++end;
      order(begin, end);
      begin = end;
    }
    utf8proc_ssize_t length = utf8proc_normalize_utf32(buffer.data(), static_cast<utf8proc_ssize_t>(buffer.size()),
                                                       static_cast<utf8proc_option_t>(options));
    for (utf8proc_ssize_t i = 0; i < length; ++i)
      appendUtf8(static_cast<char32_t>(buffer[i]), out);
    buffer.clear();
  }

private:
  // Sorts a run of marks by class, those of one class as they stood: class in the high bits, then place, then the 21
  // bits of the code point.
  void order(size_t begin, size_t end) {
    keys.clear();
    for (size_t i = begin; i < end; ++i)
      keys.push_back(uint64_t(combiningClass(buffer[i])) << 53 | uint64_t(i - begin) << 21 | uint64_t(buffer[i]));
    std::sort(keys.begin(), keys.end());
    for (size_t i = begin; i < end; ++i)
      buffer[i] = static_cast<utf8proc_int32_t>(keys[i - begin] & 0x1FFFFF);
  }

  int options;
  std::vector<utf8proc_int32_t> buffer;
  std::vector<uint64_t> keys;
};

} // namespace

std::string kerf::rt::normalize(std::string_view text, NormalForm form) {
  std::string out;
  out.reserve(text.size());
  const char32_t affected = firstAffected(form);
  Stretch stretch(optionsOf(form));
  // The last code point below `affected` may still compose with what follows it: it waits here.
  size_t copied = 0, pending = 0, i = 0;
  bool open = false;
  while (i < text.size()) {
    Utf8Unit unit = readUtf8(text.substr(i));
    if (unit.codePoint < affected) {
      if (open) {
        stretch.finish(out);
        open = false;
        copied = i;
      }
      pending = i;
    } else {
      bool later = isLaterThanUnicode9(unit.codePoint);
      if (!open && !later) {
        out.append(text, copied, pending - copied);
        if (pending < i)
          stretch.add(readUtf8(text.substr(pending)).codePoint);
        open = true;
      }
      if (later) {
        if (open) {
          stretch.finish(out);
          open = false;
          copied = i;
        }
        // What follows must not compose with anything before it.
        pending = i + unit.length;
      } else {
        stretch.add(unit.codePoint);
      }
    }
    i += unit.length;
  }
  if (open)
    stretch.finish(out);
  else
    out.append(text, copied);
  return out;
}
