#include "tools/runtime-support/CommandLine.h"

#include "tools/runtime-support/EventLog.h"
#include "tools/runtime-support/Progress.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <sched.h>

namespace kerf::tools {
namespace {

std::string toolName = "kerf";

// "0-3,6" as a set.
cpu_set_t parseCpus(const std::string &text) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const char *at = text.data(), *const end = at + text.size();
  const auto refuse = [&] {
    throw CLI::ValidationError("--cpus", "must be numbers below " + std::to_string(CPU_SETSIZE) +
                                             " and ranges with commas, such as 0-3,6; got '" + text + "'");
  };
  const auto number = [&] {
    unsigned cpu = 0;
    const auto [stop, error] = std::from_chars(at, end, cpu);
    if (error != std::errc() || cpu >= CPU_SETSIZE)
      refuse();
    at = stop;
    return cpu;
  };
  for (;; ++at) {
    const unsigned first = number();
    unsigned last = first;
    if (at != end && *at == '-') {
      ++at;
      last = number();
    }
    if (last < first)
      refuse();
    for (unsigned cpu = first; cpu <= last; ++cpu)
      CPU_SET(cpu, &set);
    if (at == end)
      return set;
    if (*at != ',')
      refuse();
  }
}

void bindTo(const std::string &text) {
  const cpu_set_t wanted = parseCpus(text);
  cpu_set_t usable, both;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0)
    throw std::runtime_error(std::string("cannot read the CPUs that may be used: ") + std::strerror(errno));
  CPU_AND(&both, &wanted, &usable);
  if (!CPU_EQUAL(&both, &wanted) || CPU_COUNT(&wanted) == 0) {
    std::string list;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &usable))
        list += (list.empty() ? "" : ",") + std::to_string(cpu);
    throw CLI::ValidationError("--cpus",
                               "must be among those that this program may use, " + list + "; got '" + text + "'");
  }
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0)
    throw std::runtime_error(std::string("cannot bind to CPUs ") + text + ": " + std::strerror(errno));
}

} // namespace

void addLogOption(CLI::App &command) {
  command
      .add_option_function<std::string>(
          "--log-jsonl", [](const std::string &path) { eventLog().open(path); },
          "Log events to this file, one JSON object a line; -: standard output")
      ->type_name("FILE")
      ->envname("KERF_LOG_JSONL");
}

void addCpusOption(CLI::App &command) {
  command.add_option_function<std::string>("--cpus", bindTo, "Run on these CPUs only, e.g. 0-3,6")
      ->type_name("LIST")
      ->envname("KERF_CPUS");
}

void addModelOptions(CLI::App &command, RunOptions &options) {
  command.add_option("MODEL.kerf", options.model, "Package; libMODEL.so must lie beside it")
      ->required()
      ->type_name("FILE");
  command.add_option("--variant", options.variant, "Variant to force")->type_name("NAME");
  command.add_option("--device", options.device, "GPU to run a model for GPUs on")->capture_default_str();
  command.add_option("--driver", options.driver, "CUDA driver to load; default: KERF_CUDA_DRIVER, else libcuda.so.1")
      ->type_name("FILE"); // the library reads KERF_CUDA_DRIVER
  command.add_option("--memory-limit", options.memoryLimit, "Refuse to use more, e.g. 6GiB")
      ->transform(CLI::AsSizeValue(false))
      ->envname("KERF_MEMORY_LIMIT");
  addLogOption(command);
}

void addRunOptions(CLI::App &command, RunOptions &options, const char *json) {
  addModelOptions(command, options);
  command.add_option("-j,--threads", options.threads, "0: all that affinity and CPU quota allow")
      ->capture_default_str()
      ->envname("KERF_THREADS");
  addCpusOption(command);
  command.add_flag("--verify", options.verify, "Check the weights' SHA-256 first");
  if (json)
    command.add_flag("--json", options.json, json);
  command.add_flag("-q,--quiet", options.quiet, "Nothing on standard error but errors");
}

Model openModel(const RunOptions &options) {
  Progress progress(options.quiet);
  kerf_model_options read = {};
  read.struct_size = sizeof read;
  read.variant = options.variant.empty() ? nullptr : options.variant.c_str();
  read.verify_checksums = options.verify;
  read.driver = options.driver.empty() ? nullptr : options.driver.c_str();
  read.device = options.device;
  read.user = &progress;
  read.on_progress = [](void *user, uint64_t done, uint64_t total) {
    char text[64];
    std::snprintf(text, sizeof text, "weights to the GPU: %.0f of %.0f MiB", double(done) / 1048576,
                  double(total) / 1048576);
    static_cast<Progress *>(user)->show(double(done), double(total), text);
    return 0;
  };
  kerf_error error;
  kerf_model *model = nullptr;
  check(kerf_model_open_files(options.model.c_str(), &read, &model, &error), error);
  Model opened(model);
  logOpened(options.model, infoOf(opened));
  return opened;
}

Context makeContext(const Model &model, const RunOptions &options) {
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  kerf_error error;
  check(kerf_model_certificate(model.get(), 0, nullptr, &report, &error), error);
  if (report.device && options.threads > 1 && !options.quiet)
    warn("--threads has no effect on a model that runs on a GPU");
  else if (options.threads > report.threads && !options.quiet)
    warn("--threads asks for " + std::to_string(options.threads) + ", but only " + std::to_string(report.threads) +
         (report.threads == 1 ? " CPU" : " CPUs") + " may be used; more threads than CPUs are slower");
  return makeContext(model, options.threads);
}

void warn(const std::string &message) {
  std::fprintf(stderr, "%s: warning: %s\n", toolName.c_str(), printable(message).c_str());
  eventLog().write("warning", [&](JsonWriter &json) { json.value("message", message); });
}

int runTool(CLI::App &app, std::vector<std::string> arguments) {
  toolName = app.get_name();
  app.set_version_flag("--version", std::string("kerf ") + kerf_version());
  app.set_config("--config", "", "Read options from this TOML file")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.fallthrough(); // --config may stand behind a command
  for (CLI::App *command : app.get_subcommands([](CLI::App *) { return true; }))
    command->fallthrough()->allow_config_extras(CLI::config_extras_mode::error);
  eventLog().describe(toolName, arguments);
  std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
  int status = 0;
  std::string message;
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    status = app.exit(error);
    message = error.what();
  } catch (const std::exception &error) {
    status = 1;
    message = error.what();
    std::fprintf(stderr, "%s: error: %s\n", toolName.c_str(), printable(error.what()).c_str());
  }
  try {
    if (status != 0)
      eventLog().write("error", [&](JsonWriter &json) { json.value("message", message); });
    eventLog().write("exit", [&](JsonWriter &json) { json.value("status", status); });
  } catch (const std::exception &error) {
    status = 1;
    std::fprintf(stderr, "%s: error: %s\n", toolName.c_str(), printable(error.what()).c_str());
  }
  return status;
}

} // namespace kerf::tools
