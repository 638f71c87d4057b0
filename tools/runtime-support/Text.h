/// Text in and out of the runtime's tools.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_TEXT_H
#define KERF_TOOLS_RUNTIMESUPPORT_TEXT_H

#include "tools/runtime-support/Handles.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::tools {

/// The whole of a file, or of standard input for "-". Throws std::runtime_error when it cannot be read.
std::string readText(const std::string &path);

/// The ids of `text`; `flags` are those of kerf_tokenize. Throws std::runtime_error.
std::vector<int32_t> tokenize(const Model &model, std::string_view text, uint32_t flags);

/// The text of `ids`; `flags` are those of kerf_detokenize. Throws std::runtime_error.
std::string detokenize(const Model &model, const std::vector<int32_t> &ids, uint32_t flags);

/// The bytes of one token, not always whole characters. Throws std::runtime_error.
std::string tokenBytes(const Model &model, int32_t id);

/// Whether a token is left out by KERF_SKIP_SPECIAL. Throws std::runtime_error.
bool isSpecial(const Model &model, int32_t id);

/// On one line, with control characters and bytes that are not UTF-8 as \n, \xNN …: what comes out of a file must not
/// command a terminal.
std::string printable(std::string_view bytes);

/// The same between double quotes, with quotes and backslashes as \" and \\.
std::string escaped(std::string_view bytes);

/// Bytes of the character at the start of `bytes`, which must not be empty; 0 if that is not UTF-8, or is a control
/// character (U+0000 to U+001F, U+007F to U+009F).
size_t characterBytes(std::string_view bytes);

/// Writes to standard output at once. False when the reader went away.
bool writeOut(std::string_view text);

} // namespace kerf::tools

#endif
