/// What a tool's --help says, as data. Man pages and shell completion come from it, so they cannot fall behind.
#ifndef KERF_TOOLS_CLIDOCS_HELPTEXT_H
#define KERF_TOOLS_CLIDOCS_HELPTEXT_H

#include <string>
#include <vector>

namespace kerf::docs {

/// An option or a positional argument.
struct Argument {
  std::vector<std::string> names;   ///< "-p", "--prompt"; of a positional its one name
  std::string value;                ///< what stands for its value; empty: a flag
  std::vector<std::string> choices; ///< all the values there are; empty: any
  std::string text;                 ///< what it does
};

/// A tool or one of its commands.
struct Command {
  std::string name, summary, usage;
  std::vector<Argument> positionals, options;
  std::vector<Command> commands;
};

/// Runs `path` --help, and the same of its commands. Understands the help of CLI11 and of llvm::cl. Throws
/// std::runtime_error when it cannot be run or shows no options.
Command readHelp(const std::string &path, const std::string &name);

/// Reads one help text; commands have only their names and summaries.
Command parseHelp(const std::string &help, const std::string &name);

/// A page for man(1), section 1.
std::string manPage(const Command &tool, const std::string &version);
/// A completion script for bash.
std::string bashCompletion(const Command &tool);
/// A completion function for zsh.
std::string zshCompletion(const Command &tool);

} // namespace kerf::docs

#endif
