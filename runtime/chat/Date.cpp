//===- Date.cpp - dates as chat templates print them ----------------------===//
#include "runtime/chat/Date.h"
#include "runtime/chat/Value.h"

#include <ctime>

using namespace kerf::rt::chat;

std::string kerf::rt::chat::formatDate(int64_t time, const std::string &format, uint32_t line) {
  tm parts;
  const time_t seconds = static_cast<time_t>(time);
  if (!gmtime_r(&seconds, &parts))
    throw ChatError(ChatError::Cause::Conversation, line, "the conversation's time must be a date");
  static const char *const kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  static const char *const kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
  auto two = [](int number) { return std::string(number < 10 ? "0" : "") + std::to_string(number); };
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    switch (++i < format.size() ? format[i] : ' ') {
    case 'Y':
      out += std::to_string(parts.tm_year + 1900);
      break;
    case 'm':
      out += two(parts.tm_mon + 1);
      break;
    case 'd':
      out += two(parts.tm_mday);
      break;
    case 'b':
      out += std::string(kMonths[parts.tm_mon]).substr(0, 3);
      break;
    case 'B':
      out += kMonths[parts.tm_mon];
      break;
    case 'a':
      out += std::string(kDays[parts.tm_wday]).substr(0, 3);
      break;
    case 'A':
      out += kDays[parts.tm_wday];
      break;
    case 'H':
      out += two(parts.tm_hour);
      break;
    case 'M':
      out += two(parts.tm_min);
      break;
    case 'S':
      out += two(parts.tm_sec);
      break;
    case '%':
      out += '%';
      break;
    default:
      throw ChatError(ChatError::Cause::Template, line,
                      "a date must be of %Y %m %d %b %B %a %A %H %M %S, got '" + format + "'");
    }
  }
  return out;
}
