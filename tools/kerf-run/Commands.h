/// The commands of kerf-run, one file each. They use the C API alone.
#ifndef KERF_TOOLS_KERFRUN_COMMANDS_H
#define KERF_TOOLS_KERFRUN_COMMANDS_H

#include <CLI/CLI.hpp>

namespace kerf::tools {

/// Adds `generate`: continues a prompt.
void addGenerate(CLI::App &app);

} // namespace kerf::tools

#endif
