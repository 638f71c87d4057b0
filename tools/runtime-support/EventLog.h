/// --log-jsonl: what a tool did, for programs to read (docs/log.md).
#ifndef KERF_TOOLS_RUNTIMESUPPORT_EVENTLOG_H
#define KERF_TOOLS_RUNTIMESUPPORT_EVENTLOG_H

#include "tools/runtime-support/Json.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::tools {

/// One JSON object a line for each event, written at once. Closed, it takes events and does nothing.
class EventLog {
public:
  /// Of what the first event will tell.
  void describe(const std::string &tool, const std::vector<std::string> &arguments);
  /// Starts a new file, or writes to standard output for "-", with the event `start`. Throws std::runtime_error.
  void open(const std::string &path);
  /// Whether there is a file.
  bool isOpen() const { return file_ != nullptr; }
  /// Writes {"time": seconds since the program began, "event": …, fields…}. Throws std::runtime_error when that fails.
  void write(std::string_view event, const std::function<void(JsonWriter &)> &fields = {});

private:
  struct Closer {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  std::string path_, tool_;
  std::vector<std::string> arguments_;
  std::unique_ptr<std::FILE, Closer> file_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// The log of this program.
EventLog &eventLog();

} // namespace kerf::tools

#endif
