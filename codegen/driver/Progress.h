// What a compilation tells its user while it runs.
#ifndef KERF_CODEGEN_DRIVER_PROGRESS_H
#define KERF_CODEGEN_DRIVER_PROGRESS_H

#include "codegen/driver/EventLog.h"
#include "codegen/driver/Phases.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace kerf {

/// What came of a phase: in words for people, as named counts for the log.
struct PhaseSummary {
  std::string text;
  llvm::SmallVector<std::pair<llvm::StringRef, int64_t>> counts;
};

/// Reports phases with their counts and elapsed time. On a terminal one line is rewritten while a phase runs;
/// elsewhere a finished phase is a plain line, and a long one also gives signs of life. Everything goes to the log too.
/// Any thread may call it.
class Progress {
public:
  /// How often a phase shows that it still runs. Elsewhere than on a terminal each sign comes after twice the time of
  /// the one before.
  static constexpr std::chrono::milliseconds heartbeat{5000};

  /// Writes to `stream`; nothing at all if `quiet`. `log` takes every event, quiet or not.
  Progress(llvm::raw_fd_ostream &stream, bool quiet, EventLog &log, std::chrono::milliseconds first = heartbeat);
  ~Progress();

  /// A phase starts.
  void begin(Phase phase);
  /// `done` of `total` pieces of the phase are finished; `unit` names them.
  void update(uint64_t done, uint64_t total, llvm::StringRef unit);
  /// The phase is finished; `summary` says what came of it.
  void end(const PhaseSummary &summary);
  /// Something happened that `print` writes to the stream itself, where no line is then unfinished, also if `quiet`.
  /// The log has it as `event` ("warning", "error", …) with `text`.
  void interrupt(llvm::StringRef event, const llvm::Twine &text, llvm::function_ref<void()> print);
  /// A line of its own between phases.
  void note(const llvm::Twine &text);
  /// A result that is whole.
  void file(llvm::StringRef path);

private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }
  void clearLine();
  void showLine(bool whole);
  void beat();

  llvm::raw_fd_ostream &stream;
  const bool quiet, terminal;
  EventLog &log;
  const std::chrono::milliseconds first;
  /// Guards all below, and the stream and the log.
  std::mutex mutex;
  std::condition_variable changed;
  /// The phase that runs.
  std::optional<Phase> phase;
  bool stopped = false;
  /// What update said last.
  std::string pieces;
  Clock::time_point start, lastUpdate, nextBeat;
  std::thread heart;
};

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_PROGRESS_H
