// kerf-cli-docs: writes a tool's man page and its completion for bash and zsh from what its --help says. Runs while
// Kerf is built and is not installed.
#include "tools/cli-docs/HelpText.h"

#include <cstdio>
#include <fstream>
#include <stdexcept>

using namespace kerf::docs;

namespace {

void write(const std::string &path, const std::string &text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file)
    throw std::runtime_error("cannot write '" + path + "'");
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: kerf-cli-docs PROGRAM NAME VERSION NAME.1 BASH-SCRIPT ZSH-FUNCTION\n");
    return 2;
  }
  try {
    const Command tool = readHelp(argv[1], argv[2]);
    write(argv[4], manPage(tool, argv[3]));
    write(argv[5], bashCompletion(tool));
    write(argv[6], zshCompletion(tool));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kerf-cli-docs: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
