#include "codegen/driver/EventLog.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace kerf;

EventLog::EventLog() : start(std::chrono::steady_clock::now()) {}
EventLog::~EventLog() {
  // A stream destroyed with an error in it ends the process.
  if (stream)
    stream->clear_error();
}

llvm::Error EventLog::open(llvm::StringRef newPath) {
  std::error_code error;
  path = newPath.str();
  stream = std::make_unique<llvm::raw_fd_ostream>(path, error, llvm::sys::fs::OF_Text);
  if (error)
    return llvm::createStringError(error, "cannot write the log %s: %s; choose another with --log-jsonl", path.c_str(),
                                   error.message().c_str());
  return llvm::Error::success();
}

void EventLog::write(llvm::StringRef event, Fields fields) {
  if (!stream)
    return;
  llvm::json::OStream json(*stream);
  json.object([&] {
    json.attribute("time", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    json.attribute("event", event);
    fields(json);
  });
  *stream << '\n';
  // Whoever follows the file sees each event when it happens, and what came before a crash.
  stream->flush();
}

void EventLog::message(llvm::StringRef event, llvm::StringRef text) {
  write(event, [&](llvm::json::OStream &json) { json.attribute("message", llvm::json::fixUTF8(text)); });
}

void EventLog::file(llvm::StringRef result) {
  uint64_t bytes = 0;
  if (llvm::sys::fs::file_size(result, bytes))
    return;
  write("file", [&](llvm::json::OStream &json) {
    json.attribute("path", llvm::json::fixUTF8(result));
    json.attribute("bytes", bytes);
  });
}

llvm::Error EventLog::finish(int status) {
  write("exit", [&](llvm::json::OStream &json) { json.attribute("status", status); });
  if (!stream || !stream->has_error())
    return llvm::Error::success();
  std::error_code error = stream->error();
  stream->clear_error();
  return llvm::createStringError(error, "cannot write the log %s: %s", path.c_str(), error.message().c_str());
}
