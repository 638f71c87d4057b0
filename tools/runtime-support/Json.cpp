#include "tools/runtime-support/Json.h"

#include "tools/runtime-support/Text.h"

namespace kerf::tools {

void JsonWriter::quote(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    const unsigned char c = static_cast<unsigned char>(text[0]);
    size_t bytes = characterBytes(text);
    if (bytes) {
      if (c == '"' || c == '\\')
        out_ += '\\';
      out_ += text.substr(0, bytes);
    } else {
      // What is no character of its own is a control character, of two bytes from U+0080 on, or not UTF-8.
      const bool two = c == 0xc2 && text.size() > 1 && (static_cast<unsigned char>(text[1]) & 0xc0) == 0x80;
      bytes = two ? 2 : 1;
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x",
                    two        ? static_cast<unsigned char>(text[1])
                    : c < 0x80 ? c
                               : 0xfffd);
      out_ += escape;
    }
    text.remove_prefix(bytes);
  }
  out_ += '"';
}

} // namespace kerf::tools
