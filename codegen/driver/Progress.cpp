#include "codegen/driver/Progress.h"

#include "llvm/Support/Format.h"

using namespace kerf;

Progress::Progress(llvm::raw_fd_ostream &stream, bool quiet)
    : stream(stream), quiet(quiet), terminal(stream.is_displayed()) {}

void Progress::clearLine() {
  if (!quiet && terminal)
    stream << "\r\x1b[K";
}

void Progress::begin(Phase newPhase) {
  phase = newPhase;
  start = lastUpdate = Clock::now();
  if (quiet || !terminal)
    return;
  stream << '[' << static_cast<unsigned>(phase) + 1 << '/' << phaseCount << "] " << getPhaseName(phase);
  stream.flush();
}

void Progress::update(uint64_t done, uint64_t total, llvm::StringRef unit) {
  // Ten times a second is as much as anyone reads.
  if (quiet || !terminal || Clock::now() - lastUpdate < std::chrono::milliseconds(100))
    return;
  lastUpdate = Clock::now();
  clearLine();
  stream << '[' << static_cast<unsigned>(phase) + 1 << '/' << phaseCount << "] " << getPhaseName(phase) << ' ' << done
         << '/' << total << ' ' << unit << llvm::format("  %.1f s", seconds());
  stream.flush();
}

void Progress::end(llvm::StringRef summary) {
  if (quiet)
    return;
  clearLine();
  stream << '[' << static_cast<unsigned>(phase) + 1 << '/' << phaseCount << "] "
         << llvm::format("%-8s %7.2f s", getPhaseName(phase).data(), seconds());
  if (!summary.empty())
    stream << "  " << summary;
  stream << '\n';
  stream.flush();
}

void Progress::note(const llvm::Twine &text) {
  if (!quiet)
    stream << "      " << text << '\n';
}
