/// Writes JSON for the --json and --log-jsonl options of the runtime's tools.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_JSON_H
#define KERF_TOOLS_RUNTIMESUPPORT_JSON_H

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace kerf::tools {

/// Builds one document. Keys are given in objects only.
class JsonWriter {
public:
  /// Indented by two spaces, or on one line.
  enum class Form { Indented, OneLine };
  explicit JsonWriter(Form form = Form::Indented) : form_(form) {}
  /// Opens an object; `key` is empty in arrays and at the top.
  void beginObject(std::string_view key = {}) { open(key, '{'); }
  /// Closes it.
  void endObject() { close('}'); }
  /// Opens an array.
  void beginArray(std::string_view key = {}) { open(key, '['); }
  /// Closes it.
  void endArray() { close(']'); }
  /// A text. Bytes that are not UTF-8 become U+FFFD.
  void value(std::string_view key, std::string_view text) {
    start(key);
    quote(text);
  }
  /// A text.
  void value(std::string_view key, const char *text) { value(key, std::string_view(text)); }
  /// A truth value.
  void value(std::string_view key, bool truth) {
    start(key);
    out_ += truth ? "true" : "false";
  }
  /// A whole number.
  void value(std::string_view key, uint64_t number) {
    start(key);
    out_ += std::to_string(number);
  }
  /// A whole number.
  void value(std::string_view key, int64_t number) {
    start(key);
    out_ += std::to_string(number);
  }
  /// A whole number.
  void value(std::string_view key, uint32_t number) { value(key, uint64_t(number)); }
  /// A whole number.
  void value(std::string_view key, int32_t number) { value(key, int64_t(number)); }
  /// A number; null when it is none.
  void value(std::string_view key, double number) {
    start(key);
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", number);
    out_ += std::isfinite(number) ? text : "null";
  }
  /// The document with a final line end.
  std::string text() const { return out_ + "\n"; }

private:
  void start(std::string_view key) {
    if (!first_)
      out_ += form_ == Form::OneLine ? ", " : ",";
    first_ = false;
    if (depth_)
      breakLine();
    if (key.data()) {
      quote(key);
      out_ += ": ";
    }
  }
  void open(std::string_view key, char bracket) {
    start(key);
    out_ += bracket;
    ++depth_;
    first_ = true;
  }
  void close(char bracket) {
    --depth_;
    if (!first_)
      breakLine();
    out_ += bracket;
    first_ = false;
  }
  void breakLine() {
    if (form_ == Form::Indented)
      out_ += '\n' + std::string(2 * depth_, ' ');
  }
  void quote(std::string_view text);

  const Form form_;
  std::string out_;
  size_t depth_ = 0;
  bool first_ = true;
};

} // namespace kerf::tools

#endif
