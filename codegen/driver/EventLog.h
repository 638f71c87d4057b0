// A log of what a tool does, for programs: one JSON object a line.
#ifndef KERF_CODEGEN_DRIVER_EVENTLOG_H
#define KERF_CODEGEN_DRIVER_EVENTLOG_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <chrono>
#include <memory>

namespace llvm {
class raw_fd_ostream;
namespace json {
class OStream;
} // namespace json
} // namespace llvm

namespace kerf {

/// The file of --log-jsonl. Events and their fields: docs/log.md. Not for several threads at once.
class EventLog {
public:
  /// Takes every event and writes nothing.
  EventLog();
  ~EventLog();
  /// Writes events to the file `path` from now on, in place of what it held ("-": standard output).
  llvm::Error open(llvm::StringRef path);

  using Fields = llvm::function_ref<void(llvm::json::OStream &)>;
  /// Writes one line, at once: {"time": seconds since the log was made, "event": event, fields…}.
  void write(llvm::StringRef event, Fields fields);
  /// An event with a "message": "note", "warning" or "error".
  void message(llvm::StringRef event, llvm::StringRef text);
  /// A result that is whole: its "path" and "bytes".
  void file(llvm::StringRef path);
  /// The last event: the "status" that the program ends with. Fails if a line could not be written.
  llvm::Error finish(int status);

private:
  std::chrono::steady_clock::time_point start;
  std::unique_ptr<llvm::raw_fd_ostream> stream;
  std::string path;
};

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_EVENTLOG_H
