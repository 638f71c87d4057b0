//===- Utf8.cpp - reading UTF-8 that may be broken ------------------------===//
#include "runtime/tokenizer/Utf8.h"

#include <utf8proc.h>

#include <cstring>

using namespace kerf::rt;

Utf8Unit kerf::rt::readUtf8(std::string_view bytes) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned lead = at(0);
  if (lead < 0x80)
    return {lead, 1, true, false};
  // The well-formed sequences of Unicode's table 3-7: only the second byte's range depends on the first.
  unsigned tail = 0, low = 0x80, high = 0xBF;
  char32_t codePoint = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    tail = 1;
    codePoint = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    tail = 2;
    codePoint = lead & 0x0F;
    if (lead == 0xE0)
      low = 0xA0;
    if (lead == 0xED)
      high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    tail = 3;
    codePoint = lead & 0x07;
    if (lead == 0xF0)
      low = 0x90;
    if (lead == 0xF4)
      high = 0x8F;
  } else {
    return {0xFFFD, 1, false, false};
  }
  for (unsigned i = 1; i <= tail; ++i) {
    if (i == bytes.size())
      return {0xFFFD, i, false, true};
    if (at(i) < low || at(i) > high)
      return {0xFFFD, i, false, false};
    codePoint = codePoint << 6 | (at(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {codePoint, tail + 1, true, false};
}

size_t kerf::rt::validUtf8Prefix(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    // Eight bytes of ASCII at a time.
    uint64_t word;
    if (i + sizeof(word) <= bytes.size()) {
      std::memcpy(&word, bytes.data() + i, sizeof(word));
      if (!(word & 0x8080808080808080ull)) {
        i += sizeof(word);
        continue;
      }
    }
    Utf8Unit unit = readUtf8(bytes.substr(i));
    if (!unit.valid)
      return i;
    i += unit.length;
  }
  return i;
}

size_t kerf::rt::appendReplaced(std::string_view bytes, bool last, std::string &out) {
  size_t i = 0;
  while (i < bytes.size()) {
    size_t good = validUtf8Prefix(bytes.substr(i));
    out.append(bytes, i, good);
    i += good;
    if (i == bytes.size())
      break;
    Utf8Unit unit = readUtf8(bytes.substr(i));
    if (unit.incomplete && !last)
      break;
    out.append("\xEF\xBF\xBD");
    i += unit.length;
  }
  return i;
}

void kerf::rt::appendUtf8(char32_t codePoint, std::string &out) {
  utf8proc_uint8_t buffer[4];
  utf8proc_ssize_t length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(codePoint), buffer);
  out.append(reinterpret_cast<char *>(buffer), static_cast<size_t>(length));
}

bool kerf::rt::isWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool kerf::rt::isWordCharacter(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    // Join_Control, and the symbols that PropList.txt lists under Other_Alphabetic.
    return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
           (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  }
}
