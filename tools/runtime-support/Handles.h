/// Owners of the C API's handles and the way the tools report errors.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_HANDLES_H
#define KERF_TOOLS_RUNTIMESUPPORT_HANDLES_H

#include "kerf/kerf.h"

#include <memory>
#include <stdexcept>
#include <string>

namespace kerf::tools {

/// Calls one of the API's closing functions.
struct Closer {
  void operator()(kerf_model *model) const { kerf_model_close(model); }
  void operator()(kerf_context *context) const { kerf_context_close(context); }
  void operator()(kerf_sequence *sequence) const { kerf_sequence_close(sequence); }
};
/// An owned model.
using Model = std::unique_ptr<kerf_model, Closer>;
/// An owned context.
using Context = std::unique_ptr<kerf_context, Closer>;
/// An owned sequence.
using Sequence = std::unique_ptr<kerf_sequence, Closer>;

/// Throws std::runtime_error with the API's message unless `code` is KERF_OK.
inline void check(kerf_code code, const kerf_error &error) {
  if (code != KERF_OK)
    throw std::runtime_error(error.message);
}

/// Facts about a model.
inline kerf_model_info infoOf(const Model &model) {
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  kerf_error error;
  check(kerf_model_get_info(model.get(), &info, &error), error);
  return info;
}

/// Log the events `open` and `plan`.
void logOpened(const std::string &path, const kerf_model_info &info);
void logPlanned(const kerf_plan_report &report);

/// "17.0 MiB", and for a GPU what of its memory.
std::string plannedText(const kerf_plan_report &report);

/// Makes a context; 0 threads means all that are usable.
inline Context makeContext(const Model &model, uint32_t threads) {
  kerf_context_options options = {};
  options.struct_size = sizeof options;
  options.threads = threads;
  kerf_error error;
  kerf_context *context = nullptr;
  check(kerf_context_create(model.get(), &options, &context, &error), error);
  return Context(context);
}

/// Plans a context.
inline kerf_plan_report plan(const Context &context, const kerf_plan_options &options) {
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  kerf_error error;
  check(kerf_context_plan(context.get(), &options, &report, &error), error);
  logPlanned(report);
  return report;
}

/// Opens a sequence.
inline Sequence makeSequence(const Context &context) {
  kerf_error error;
  kerf_sequence *sequence = nullptr;
  check(kerf_sequence_create(context.get(), &sequence, &error), error);
  return Sequence(sequence);
}

} // namespace kerf::tools

#endif
