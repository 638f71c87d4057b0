/// How far a long job is.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_PROGRESS_H
#define KERF_TOOLS_RUNTIMESUPPORT_PROGRESS_H

#include <chrono>
#include <string>

namespace kerf::tools {

/// One line on standard error, if that is a terminal, and `progress` events in the log, each at most every so often.
class Progress {
public:
  /// With `quiet` nothing is shown.
  explicit Progress(bool quiet);
  ~Progress() { clear(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  /// `done` of `total` in any unit; `total` 0: unknown, so no share and no time left. `text` stands beside it.
  void show(double done, double total, const std::string &text);

  /// Takes the line away, so that other text can be printed.
  void clear();

private:
  using Clock = std::chrono::steady_clock;
  const bool visible_;
  bool shown_ = false;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point lastShown_{}, lastLogged_{};
};

} // namespace kerf::tools

#endif
