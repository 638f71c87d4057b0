// kerf-run: runs a compiled model.
#include "tools/kerf-run/Commands.h"
#include "tools/runtime-support/CommandLine.h"

#include <algorithm>

using namespace kerf::tools;

int main(int argc, char **argv) {
  CLI::App app("Runs a model compiled by kerf-compile", "kerf-run");
  app.require_subcommand(1);
  addEmbed(app);
  addGenerate(app);
  addChat(app);
  addTokenize(app);
  addPerplexity(app);
  addCompare(app);

  // "kerf-run MODEL.kerf …" is "kerf-run generate MODEL.kerf …"; --config may stand before it.
  std::vector<std::string> arguments(argv + 1, argv + argc);
  size_t at = 0;
  if (!arguments.empty() && arguments[0].rfind("--config", 0) == 0)
    at = arguments[0] == "--config" ? 2 : 1;
  if (at < arguments.size()) {
    const std::string &first = arguments[at];
    const bool own = first == "-h" || first == "--help" || first == "--version";
    const std::vector<CLI::App *> commands = app.get_subcommands([](CLI::App *) { return true; });
    const bool named = std::any_of(commands.begin(), commands.end(),
                                   [&](const CLI::App *command) { return command->get_name() == first; });
    if (!own && !named)
      arguments.insert(arguments.begin() + std::ptrdiff_t(at), "generate");
  }
  return runTool(app, std::move(arguments));
}
