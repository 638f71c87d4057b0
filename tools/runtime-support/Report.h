/// Results as tables and as JSON.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_REPORT_H
#define KERF_TOOLS_RUNTIMESUPPORT_REPORT_H

#include "tools/runtime-support/Json.h"

#include <functional>
#include <string>

namespace kerf::tools {

/// `digits` significant digits, without an exponent where that is short.
std::string significant(double value, int digits);

/// "19.78 ± 0.25": at least two digits of the error and four of the value. Without an error (NaN), six digits.
std::string withError(double value, double error);

/// A result's fields: prints them as one JSON object with `json`, else has `table` print, and logs them as the `result`
/// event.
void report(bool json, const std::function<void(JsonWriter &)> &fields, const std::function<void()> &table);

} // namespace kerf::tools

#endif
