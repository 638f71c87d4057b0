/// The runtime's one exception type and the catch block that turns it into a kerf_error at the C boundary.
#ifndef KERF_RUNTIME_SUPPORT_ERROR_H
#define KERF_RUNTIME_SUPPORT_ERROR_H

#include "kerf/kerf.h"

#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <utility>

namespace kerf::rt {

/// What the runtime throws inside. Never crosses the C API.
class Error : public std::exception {
public:
  /// An error with a code that is not KERF_OK.
  Error(kerf_code code, std::string message) : code_(code), message_(std::move(message)) {}
  /// The code for kerf_error.
  kerf_code code() const noexcept { return code_; }
  const char *what() const noexcept override { return message_.c_str(); }

private:
  kerf_code code_;
  std::string message_;
};

/// Throws Error with the parts joined as by operator<<.
template <typename... Parts> [[noreturn]] void fail(kerf_code code, const Parts &...parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(code, text.str());
}

/// Fills in `*error` (which may be NULL), cutting the text to fit; returns `code`. Control characters, which a name out
/// of a file may hold, become '?': a terminal must not take them for commands.
inline kerf_code report(kerf_error *error, kerf_code code, const char *message) noexcept {
  if (error) {
    error->code = code;
    std::strncpy(error->message, message, sizeof error->message - 1);
    error->message[sizeof error->message - 1] = '\0';
    for (char *c = error->message; *c; ++c)
      if ((*c > 0 && *c < ' ') || *c == 0x7f)
        *c = '?';
      else if (*c == '\xc2' && c[1] < '\xa0') // U+0080 to U+009F
        c[0] = c[1] = '?';
  }
  return code;
}

/// Runs `body` and turns whatever it throws into a code and a message.
template <typename Body> kerf_code guarded(kerf_error *error, Body &&body) noexcept {
  try {
    body();
    return report(error, KERF_OK, "");
  } catch (const Error &e) {
    return report(error, e.code(), e.what());
  } catch (const std::bad_alloc &) {
    return report(error, KERF_OUT_OF_MEMORY, "the system gave no memory");
  } catch (const std::exception &e) {
    return report(error, KERF_FAILED, e.what());
  } catch (...) {
    return report(error, KERF_FAILED, "an exception of unknown type");
  }
}

} // namespace kerf::rt

#endif
