/// What the command lines of the runtime's tools have in common.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_COMMANDLINE_H
#define KERF_TOOLS_RUNTIMESUPPORT_COMMANDLINE_H

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace kerf::tools {

/// Which model a command runs, and on what.
struct RunOptions {
  std::string model, variant;
  uint32_t threads = 0;
  uint64_t memoryLimit = 0;
  bool verify = false, json = false, quiet = false;
};

/// Adds MODEL.kerf, which is required, --variant and --memory-limit.
void addModelOptions(CLI::App &command, RunOptions &options);

/// Adds those and --threads, --verify, --json and --quiet; `json` says what --json prints.
void addRunOptions(CLI::App &command, RunOptions &options, const char *json);

/// Adds --version, parses `arguments` (without the program's name) and so runs what the callbacks do. Whatever they
/// throw is printed as "NAME: error: …". Returns the exit status.
int runTool(CLI::App &app, std::vector<std::string> arguments);

} // namespace kerf::tools

#endif
