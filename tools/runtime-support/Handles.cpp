#include "tools/runtime-support/Handles.h"

#include "tools/runtime-support/EventLog.h"

#include <cstdio>

namespace kerf::tools {

void logOpened(const std::string &path, const kerf_model_info &info) {
  eventLog().write("open", [&](JsonWriter &json) {
    json.value("package", path);
    json.value("model", info.name);
    json.value("architecture", info.architecture);
    json.value("variant", info.variant);
    json.value("device", info.device);
    json.value("weight_bytes", info.weight_bytes);
  });
}

void logPlanned(const kerf_plan_report &report) {
  eventLog().write("plan", [&](JsonWriter &json) {
    json.value("threads", report.threads);
    json.value("max_tokens", report.max_tokens);
    json.value("max_sequences", report.max_sequences);
    json.value("context", report.context);
    json.value("planned_bytes", report.total);
    json.value("available_bytes", report.available);
    json.value("planned_device_bytes", report.device);
    json.value("available_device_bytes", report.device_available);
  });
}

std::string plannedText(const kerf_plan_report &report) {
  char text[96];
  std::snprintf(text, sizeof text, "%.1f MiB", double(report.total) / 1048576);
  std::string all = text;
  if (report.device) {
    std::snprintf(text, sizeof text, " and %.1f MiB of the GPU", double(report.device) / 1048576);
    all += text;
  }
  return all;
}

} // namespace kerf::tools
