#include "tools/runtime-support/CommandLine.h"

#include "kerf/kerf.h"

#include <algorithm>
#include <cstdio>

namespace kerf::tools {

void addModelOptions(CLI::App &command, RunOptions &options) {
  command.add_option("MODEL.kerf", options.model, "Package; libMODEL.so must lie beside it")->required();
  command.add_option("--variant", options.variant, "CPU variant to force");
  command.add_option("--memory-limit", options.memoryLimit, "Refuse to use more, e.g. 6GiB")
      ->transform(CLI::AsSizeValue(false));
}

void addRunOptions(CLI::App &command, RunOptions &options, const char *json) {
  addModelOptions(command, options);
  command.add_option("--threads", options.threads, "0: all that are usable")->capture_default_str();
  command.add_flag("--verify", options.verify, "Check the weights' SHA-256 first");
  command.add_flag("--json", options.json, json);
  command.add_flag("-q,--quiet", options.quiet, "No summary on standard error");
}

int runTool(CLI::App &app, std::vector<std::string> arguments) {
  app.set_version_flag("--version", std::string("kerf ") + kerf_version());
  std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    return app.exit(error);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s: error: %s\n", app.get_name().c_str(), error.what());
    return 1;
  }
  return 0;
}

} // namespace kerf::tools
