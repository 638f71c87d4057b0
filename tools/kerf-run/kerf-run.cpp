// kerf-run: runs a compiled model.
#include "tools/kerf-run/Commands.h"
#include "tools/runtime-support/CommandLine.h"

#include <algorithm>

using namespace kerf::tools;

int main(int argc, char **argv) {
  CLI::App app("Runs a model compiled by kerf-compile", "kerf-run");
  app.require_subcommand(1);
  addGenerate(app);

  // "kerf-run MODEL.kerf …" is "kerf-run generate MODEL.kerf …".
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty()) {
    const std::string &first = arguments.front();
    const bool own = first == "-h" || first == "--help" || first == "--version";
    const std::vector<CLI::App *> commands = app.get_subcommands([](CLI::App *) { return true; });
    const bool named = std::any_of(commands.begin(), commands.end(),
                                   [&](const CLI::App *command) { return command->get_name() == first; });
    if (!own && !named)
      arguments.insert(arguments.begin(), "generate");
  }
  return runTool(app, std::move(arguments));
}
