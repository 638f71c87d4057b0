#include "codegen/driver/Progress.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace kerf;

Progress::Progress(llvm::raw_fd_ostream &stream, bool quiet, EventLog &log, std::chrono::milliseconds first)
    : stream(stream), quiet(quiet), terminal(stream.is_displayed()), log(log), first(first) {
  if (!quiet)
    heart = std::thread([this] { beat(); });
}

Progress::~Progress() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopped = true;
  }
  changed.notify_all();
  if (heart.joinable())
    heart.join();
}

void Progress::clearLine() {
  if (!quiet && terminal && phase)
    stream << "\r\x1b[K";
}

// The line of the phase that runs: on a terminal the cursor stays behind it, elsewhere it is a line of its own.
void Progress::showLine(bool whole) {
  clearLine();
  stream << '[' << static_cast<unsigned>(*phase) + 1 << '/' << phaseCount << "] ";
  if (whole)
    stream << llvm::format("%-8s %7.2f s", getPhaseName(*phase).data(), seconds());
  else
    stream << getPhaseName(*phase) << (pieces.empty() ? "" : " " + pieces) << llvm::format("  %.1f s", seconds());
}

void Progress::beat() {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stopped) {
    if (!phase) {
      changed.wait(lock);
      continue;
    }
    if (changed.wait_until(lock, nextBeat) != std::cv_status::timeout || !phase || Clock::now() < nextBeat)
      continue;
    showLine(/*whole=*/false);
    if (!terminal)
      stream << " …\n";
    stream.flush();
    nextBeat = terminal ? Clock::now() + std::chrono::seconds(1) : start + 2 * (nextBeat - start);
  }
}

void Progress::begin(Phase newPhase) {
  std::lock_guard<std::mutex> lock(mutex);
  phase = newPhase;
  pieces.clear();
  start = lastUpdate = Clock::now();
  nextBeat = start + first;
  changed.notify_all();
  log.write("begin", [&](llvm::json::OStream &json) { json.attribute("phase", getPhaseName(newPhase)); });
  if (quiet || !terminal)
    return;
  stream << '[' << static_cast<unsigned>(newPhase) + 1 << '/' << phaseCount << "] " << getPhaseName(newPhase);
  stream.flush();
}

void Progress::update(uint64_t done, uint64_t total, llvm::StringRef unit) {
  std::lock_guard<std::mutex> lock(mutex);
  // Ten times a second is as much as anyone reads.
  if (quiet || !phase || Clock::now() - lastUpdate < std::chrono::milliseconds(100))
    return;
  lastUpdate = Clock::now();
  pieces = llvm::formatv("{0}/{1} {2}", done, total, unit);
  if (!terminal)
    return;
  showLine(/*whole=*/false);
  stream.flush();
}

void Progress::end(const PhaseSummary &summary) {
  std::lock_guard<std::mutex> lock(mutex);
  log.write("end", [&](llvm::json::OStream &json) {
    json.attribute("phase", getPhaseName(*phase));
    json.attribute("seconds", seconds());
    for (auto [name, count] : summary.counts)
      json.attribute(name, count);
  });
  if (!quiet) {
    showLine(/*whole=*/true);
    if (!summary.text.empty())
      stream << "  " << summary.text;
    stream << '\n';
    stream.flush();
  }
  phase.reset();
}

void Progress::interrupt(llvm::StringRef event, const llvm::Twine &text, llvm::function_ref<void()> print) {
  std::lock_guard<std::mutex> lock(mutex);
  log.message(event, text.str());
  clearLine();
  print();
}

void Progress::note(const llvm::Twine &text) {
  std::lock_guard<std::mutex> lock(mutex);
  log.message("note", text.str());
  if (quiet)
    return;
  clearLine();
  stream << "      " << text << '\n';
}

void Progress::file(llvm::StringRef path) {
  std::lock_guard<std::mutex> lock(mutex);
  log.file(path);
}
