#include "tools/runtime-support/EventLog.h"

#include "kerf/kerf.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <unistd.h>

namespace kerf::tools {

void EventLog::describe(const std::string &tool, const std::vector<std::string> &arguments) {
  tool_ = tool;
  arguments_ = arguments;
}

void EventLog::open(const std::string &path) {
  path_ = path;
  file_.reset(path == "-" ? fdopen(dup(STDOUT_FILENO), "w") : std::fopen(path.c_str(), "we"));
  if (!file_)
    throw std::runtime_error("cannot write the log '" + path + "': " + std::strerror(errno));
  write("start", [&](JsonWriter &json) {
    json.value("tool", tool_);
    json.value("version", kerf_version());
    json.beginArray("arguments");
    for (const std::string &argument : arguments_)
      json.value({}, argument);
    json.endArray();
  });
}

void EventLog::write(std::string_view event, const std::function<void(JsonWriter &)> &fields) {
  if (!file_)
    return;
  JsonWriter json(JsonWriter::Form::OneLine);
  json.beginObject();
  json.value("time", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count());
  json.value("event", event);
  if (fields)
    fields(json);
  json.endObject();
  const std::string line = json.text();
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0) {
    const int code = errno;
    file_.reset(); // the error is not logged too
    throw std::runtime_error("cannot write the log '" + path_ + "': " + std::strerror(code));
  }
}

EventLog &eventLog() {
  static EventLog log;
  return log;
}

} // namespace kerf::tools
