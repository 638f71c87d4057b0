/// Holds text back while it may still become a stop string.
#ifndef KERF_RUNTIME_GENERATE_STOPMATCHER_H
#define KERF_RUNTIME_GENERATE_STOPMATCHER_H

#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// Finds the earliest stop string in text that comes in pieces.
class StopMatcher {
public:
  /// Throws KERF_BAD_ARGUMENT on an empty stop string.
  explicit StopMatcher(std::vector<std::string> stops);

  /// Appends text and returns what can be given out: all up to the first stop string, or else all but the longest tail
  /// that begins one. stopped() then says which. A piece that is given out ends at a character's end when `text` does.
  std::string put(std::string_view text);
  /// What is still held back, when no more text comes.
  std::string flush();
  /// Whether a stop string was found; text after it is dropped.
  bool stopped() const { return stopped_; }

private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

} // namespace kerf::rt

#endif
