#include "tools/runtime-support/Progress.h"

#include "tools/runtime-support/EventLog.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace kerf::tools {
namespace {

using namespace std::chrono_literals;
constexpr auto kShowEvery = 200ms, kLogEvery = 1000ms;

std::string duration(double seconds) {
  const unsigned long whole = static_cast<unsigned long>(seconds + 0.5);
  char text[48];
  if (whole < 60)
    std::snprintf(text, sizeof text, "%lu s", whole);
  else if (whole < 3600)
    std::snprintf(text, sizeof text, "%lu min %02lu s", whole / 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%lu h %02lu min", whole / 3600, whole / 60 % 60);
  return text;
}

} // namespace

Progress::Progress(bool quiet) : visible_(!quiet && isatty(STDERR_FILENO)) {}

void Progress::clear() {
  if (shown_)
    std::fputs("\r\033[K", stderr);
  shown_ = false;
}

void Progress::show(double done, double total, const std::string &text) {
  const Clock::time_point now = Clock::now();
  const double share = total > 0 ? std::min(1.0, done / total) : 0;
  const double left = share > 0 ? std::chrono::duration<double>(now - begin_).count() * (1 - share) / share : 0;
  if (visible_ && now - lastShown_ >= kShowEvery) {
    lastShown_ = now;
    shown_ = true;
    std::string line = "\r\033[K";
    if (share > 0) {
      char percent[16];
      std::snprintf(percent, sizeof percent, "%3.0f%%  ", 100 * share);
      line += percent;
    }
    line += text;
    if (share > 0)
      line += "  " + duration(left) + " left";
    std::fputs(line.c_str(), stderr);
  }
  if (eventLog().isOpen() && now - lastLogged_ >= kLogEvery) {
    lastLogged_ = now;
    eventLog().write("progress", [&](JsonWriter &json) {
      json.value("done", done);
      json.value("total", total);
      if (share > 0)
        json.value("seconds_left", left);
      json.value("text", text);
    });
  }
}

} // namespace kerf::tools
