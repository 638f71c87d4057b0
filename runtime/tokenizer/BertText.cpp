//===- BertText.cpp - what BERT's normalizer does to characters -----------===//
#include "runtime/tokenizer/BertText.h"
#include "runtime/tokenizer/Utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

using namespace kerf::rt;

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Format characters and nonspacing marks of Unicode 15 that `tokenizers` 0.23.3 keeps: found by giving each code point
// to its BertNormalizer and comparing with utf8proc's categories.
constexpr Range kKeptFormats[] = {{0x890, 0x891}, {0x8E2, 0x8E2}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}};
constexpr Range kKeptMarks[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8E1},     {0x9FE, 0x9FE},     {0xAFA, 0xAFF},
    {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},     {0xD00, 0xD00},     {0xD3B, 0xD3C},
    {0xD81, 0xD81},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x180F, 0x180F},   {0x1885, 0x1886},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFB},   {0xA82C, 0xA82C},   {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},
    {0xA9BD, 0xA9BD},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50},
    {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074}, {0x110C2, 0x110C2}, {0x111C9, 0x111C9},
    {0x111CF, 0x111CF}, {0x1123E, 0x1123E}, {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x11438, 0x1143F},
    {0x11442, 0x11444}, {0x11446, 0x11446}, {0x1145E, 0x1145E}, {0x1182F, 0x11837}, {0x11839, 0x1183A},
    {0x1193B, 0x1193C}, {0x1193E, 0x1193E}, {0x11943, 0x11943}, {0x119D4, 0x119D7}, {0x119DA, 0x119DB},
    {0x119E0, 0x119E0}, {0x11A01, 0x11A0A}, {0x11A33, 0x11A38}, {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47},
    {0x11A51, 0x11A56}, {0x11A59, 0x11A5B}, {0x11A8A, 0x11A96}, {0x11A98, 0x11A99}, {0x11C30, 0x11C36},
    {0x11C38, 0x11C3D}, {0x11C3F, 0x11C3F}, {0x11C92, 0x11CA7}, {0x11CAA, 0x11CB0}, {0x11CB2, 0x11CB3},
    {0x11CB5, 0x11CB6}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D}, {0x11D3F, 0x11D45},
    {0x11D47, 0x11D47}, {0x11D90, 0x11D91}, {0x11D95, 0x11D95}, {0x11D97, 0x11D97}, {0x11EF3, 0x11EF4},
    {0x11F00, 0x11F01}, {0x11F36, 0x11F3A}, {0x11F40, 0x11F40}, {0x11F42, 0x11F42}, {0x13440, 0x13440},
    {0x13447, 0x13455}, {0x16F4F, 0x16F4F}, {0x16FE4, 0x16FE4}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46},
    {0x1E000, 0x1E006}, {0x1E008, 0x1E018}, {0x1E01B, 0x1E021}, {0x1E023, 0x1E024}, {0x1E026, 0x1E02A},
    {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1E944, 0x1E94A}};
// A nonspacing mark of Unicode 8 that is a spacing one now.
constexpr char32_t kFormerMark = 0x1734;

// The blocks of ideographs, compatibility ones included, up to extension E. The gap before the last extension is
// BERT's.
constexpr Range kIdeographs[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},  {0x20000, 0x2A6DF},
                                 {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};

template <size_t n> bool isIn(const Range (&ranges)[n], char32_t c) {
  const Range *range =
      std::lower_bound(std::begin(ranges), std::end(ranges), c, [](Range range, char32_t c) { return range.last < c; });
  return range != std::end(ranges) && range->first <= c;
}

utf8proc_category_t categoryOf(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool isDropped(char32_t c) {
  switch (categoryOf(c)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CO:
    return true;
  case UTF8PROC_CATEGORY_CF:
    return !isIn(kKeptFormats, c);
  default:
    return c == 0xFFFD;
  }
}

bool isMark(char32_t c) { return c == kFormerMark || (categoryOf(c) == UTF8PROC_CATEGORY_MN && !isIn(kKeptMarks, c)); }

// `change(c, out)` for each character of `text`.
template <typename Change> std::string mapped(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    Utf8Unit unit = readUtf8(text.substr(i));
    change(unit.codePoint, out);
    i += unit.length;
  }
  return out;
}

} // namespace

std::string kerf::rt::cleaned(std::string_view text) {
  return mapped(text, [](char32_t c, std::string &out) {
    if (c == '\t' || c == '\n' || c == '\r')
      out += ' ';
    else if (!isDropped(c))
      appendUtf8(isWhiteSpace(c) ? U' ' : c, out);
  });
}

std::string kerf::rt::ideographsSpaced(std::string_view text) {
  return mapped(text, [](char32_t c, std::string &out) {
    bool spaced = isIn(kIdeographs, c);
    if (spaced)
      out += ' ';
    appendUtf8(c, out);
    if (spaced)
      out += ' ';
  });
}

std::string kerf::rt::marksDropped(std::string_view text) {
  return mapped(text, [](char32_t c, std::string &out) {
    if (!isMark(c))
      appendUtf8(c, out);
  });
}

std::string kerf::rt::lowercased(std::string_view text) {
  return mapped(text, [](char32_t c, std::string &out) {
    appendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
    // The one letter whose lower case is two characters in every language and place.
    if (c == 0x130)
      appendUtf8(0x307, out);
  });
}
