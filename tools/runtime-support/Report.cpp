#include "tools/runtime-support/Report.h"

#include "tools/runtime-support/EventLog.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kerf::tools {

std::string significant(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string withError(double value, double error) {
  if (!std::isfinite(error))
    return significant(value, 6) + " (too little text for an error)";
  const auto magnitude = [](double x) { return x != 0 ? int(std::floor(std::log10(std::abs(x)))) : 0; };
  // Two digits of the error, and at least four of the value: a paired difference may be far smaller than the error.
  const int decimals = std::max(1 - (error > 0 ? magnitude(error) : 0), 3 - magnitude(value));
  if (decimals > 7 || magnitude(value) > 6)
    return significant(value, 4) + " ± " + significant(error, 2);
  char text[96];
  std::snprintf(text, sizeof text, "%.*f ± %.*f", std::max(0, decimals), value, std::max(0, decimals), error);
  return text;
}

void report(bool asJson, const std::function<void(JsonWriter &)> &fields, const std::function<void()> &table) {
  eventLog().write("result", fields);
  if (!asJson)
    return table();
  JsonWriter json;
  json.beginObject();
  fields(json);
  json.endObject();
  writeOut(json.text());
}

} // namespace kerf::tools
