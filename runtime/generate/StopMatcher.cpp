#include "runtime/generate/StopMatcher.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace kerf::rt {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string &stop : stops_)
    if (stop.empty())
      fail(KERF_BAD_ARGUMENT, "a stop string must not be empty");
}

std::string StopMatcher::put(std::string_view text) {
  if (stopped_)
    return "";
  held_ += text;
  size_t found = std::string::npos;
  for (const std::string &stop : stops_)
    found = std::min(found, held_.find(stop));
  if (found != std::string::npos) {
    stopped_ = true;
    std::string out = held_.substr(0, found);
    held_.clear();
    return out;
  }
  // The tail that may go on to a stop string is shorter than the longest one.
  size_t keep = 0;
  for (const std::string &stop : stops_)
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length)
      if (held_.compare(held_.size() - length, length, stop, 0, length) == 0) {
        keep = length;
        break;
      }
  // Stop strings that are no UTF-8 could cut a character: hold it back as a whole.
  while (keep < held_.size() && keep > 0 && (uint8_t(held_[held_.size() - keep]) & 0xc0) == 0x80)
    ++keep;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::flush() {
  std::string out;
  out.swap(held_);
  return out;
}

} // namespace kerf::rt
