// What a compilation tells its user while it runs.
#ifndef KERF_CODEGEN_DRIVER_PROGRESS_H
#define KERF_CODEGEN_DRIVER_PROGRESS_H

#include "codegen/driver/Phases.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <cstdint>

namespace kerf {

/// Reports phases with their counts and elapsed time: on a terminal one line that is rewritten while a phase runs,
/// elsewhere a plain line for each finished phase.
class Progress {
public:
  /// Writes to `stream`; nothing at all if `quiet`.
  Progress(llvm::raw_fd_ostream &stream, bool quiet);

  /// A phase starts.
  void begin(Phase phase);
  /// `done` of `total` pieces of the phase are finished; `unit` names them.
  void update(uint64_t done, uint64_t total, llvm::StringRef unit);
  /// The phase is finished; `summary` says what came of it.
  void end(llvm::StringRef summary);
  /// Takes the unfinished line away, so that something else can be printed there.
  void clearLine();
  /// A line of its own between phases.
  void note(const llvm::Twine &text);

private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  llvm::raw_fd_ostream &stream;
  bool quiet, terminal;
  Phase phase = Phase::Import;
  Clock::time_point start, lastUpdate;
};

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_PROGRESS_H
