/// The commands of kerf-run, one file each. They use the C API alone.
#ifndef KERF_TOOLS_KERFRUN_COMMANDS_H
#define KERF_TOOLS_KERFRUN_COMMANDS_H

#include <CLI/CLI.hpp>

namespace kerf::tools {

/// Adds `embed`: a vector for each text.
void addEmbed(CLI::App &app);

/// Adds `chat`: a conversation, line by line.
void addChat(CLI::App &app);
/// Adds `generate`: continues a prompt.
void addGenerate(CLI::App &app);
/// Adds `tokenize`: text to ids and back.
void addTokenize(CLI::App &app);
/// Adds `perplexity`: how well a model predicts a text.
void addPerplexity(CLI::App &app);
/// Adds `compare`: how far one model's predictions are from another's.
void addCompare(CLI::App &app);

} // namespace kerf::tools

#endif
