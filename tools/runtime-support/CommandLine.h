/// What the command lines of the runtime's tools have in common.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_COMMANDLINE_H
#define KERF_TOOLS_RUNTIMESUPPORT_COMMANDLINE_H

#include "tools/runtime-support/Handles.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace kerf::tools {

/// Which model a command runs, and on what.
struct RunOptions {
  std::string model, variant, driver;
  uint32_t device = 0;
  uint32_t threads = 0;
  uint64_t memoryLimit = 0;
  bool verify = false, json = false, quiet = false;
};

/// Adds MODEL.kerf, which is required, --variant, --device, --driver, --memory-limit and --log-jsonl.
void addModelOptions(CLI::App &command, RunOptions &options);

/// Adds --log-jsonl, which opens the program's log.
void addLogOption(CLI::App &command);

/// Adds --cpus, which binds the program to CPUs as soon as it is parsed.
void addCpusOption(CLI::App &command);

/// Adds those and --threads, --verify, --json and --quiet; `json` says what --json prints, and is null for
/// commands without it.
void addRunOptions(CLI::App &command, RunOptions &options, const char *json);

/// Opens the package and the library beside it. Shows how far its weights are on their way to a GPU.
Model openModel(const RunOptions &options);

/// Makes a context with the threads asked for, and warns if they are more than the CPUs that may be used, or of no use.
Context makeContext(const Model &model, const RunOptions &options);

/// Prints "NAME: warning: …" on standard error and logs it.
void warn(const std::string &message);

/// Adds --version and --config, parses `arguments` (without the program's name) and so runs what the callbacks do.
/// Whatever they throw is printed as "NAME: error: …" and logged. Returns the exit status.
int runTool(CLI::App &app, std::vector<std::string> arguments);

} // namespace kerf::tools

#endif
