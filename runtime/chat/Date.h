//===- Date.h - dates as chat templates print them ---------------*- C++ -*-===//
#ifndef KERF_RUNTIME_CHAT_DATE_H
#define KERF_RUNTIME_CHAT_DATE_H

#include <cstdint>
#include <string>

namespace kerf::rt::chat {

/// `time`, in seconds since 1970 (UTC), by a format of strftime; names are English, whatever the locale of the program.
/// Throws ChatError, with `line`, on a directive outside the subset and on a time that is no date.
std::string formatDate(int64_t time, const std::string &format, uint32_t line);

} // namespace kerf::rt::chat

#endif // KERF_RUNTIME_CHAT_DATE_H
