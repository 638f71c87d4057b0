#include "tools/cli-docs/HelpText.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <sstream>
#include <stdexcept>

namespace kerf::docs {
namespace {

// CLI11 puts descriptions here, and what is longer on the next line.
constexpr size_t kColumn = 30;

std::string trimmed(const std::string &text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') + 1 - first);
}

bool startsWith(const std::string &text, const std::string &start) { return text.rfind(start, 0) == 0; }

void append(std::string &text, const std::string &more) { text += (text.empty() || more.empty() ? "" : " ") + more; }

// "-p,--prompt TEXT Excludes: …", "--threads UINT=0 (Env:KERF_THREADS)".
Argument parseEntry(const std::string &head) {
  Argument argument;
  std::istringstream words(head);
  std::string word;
  words >> word;
  std::istringstream names(word);
  for (std::string name; std::getline(names, name, ',');)
    argument.names.push_back(name);
  while (words >> word && word != "Excludes:" && word != "Needs:")
    if (startsWith(word, "(Env:"))
      argument.text = "(variable " + word.substr(5);
    else if (argument.value.empty() && std::isupper(static_cast<unsigned char>(word[0])) && word != "REQUIRED")
      argument.value = word.substr(0, word.find_first_of("=:"));
  return argument;
}

void parseCli11(std::istringstream &lines, Command &command) {
  std::string section, line;
  std::string *text = &command.summary, note;
  const auto finish = [&] { append(*text, note), note.clear(); };
  while (std::getline(lines, line)) {
    if (startsWith(line, "Usage: ")) {
      command.usage = line.substr(7);
    } else if (!line.empty() && line[0] != ' ' && line.back() == ':') {
      section = line;
    } else if (section.empty()) {
      append(command.summary, trimmed(line));
    } else if (line.size() > 2 && startsWith(line, "  ") && line[2] != ' ') {
      finish();
      const bool sameLine = line.size() > kColumn && line[kColumn - 1] == ' ';
      const std::string head = trimmed(sameLine ? line.substr(0, kColumn) : line);
      if (section == "Subcommands:") {
        command.commands.emplace_back().name = head;
        text = &command.commands.back().summary;
      } else {
        Argument argument = parseEntry(head);
        note = argument.text;
        argument.text.clear();
        std::vector<Argument> &into = section == "Positionals:" ? command.positionals : command.options;
        into.push_back(argument);
        text = &into.back().text;
      }
      if (sameLine)
        *text = trimmed(line.substr(kColumn));
    } else
      append(*text, trimmed(line));
  }
  finish();
}

void parseLlvm(std::istringstream &lines, Command &command) {
  bool inOptions = false, inChoices = false;
  for (std::string line; std::getline(lines, line);) {
    const std::string text = trimmed(line);
    if (startsWith(line, "OVERVIEW: "))
      command.summary = trimmed(line.substr(10));
    else if (startsWith(line, "USAGE: "))
      command.usage = trimmed(line.substr(7));
    else if (startsWith(line, "OPTIONS:"))
      inOptions = true;
    else if (!inOptions || text.empty())
      continue;
    else if (text[0] == '-' && text.size() > 1 && text[1] != ' ') {
      const size_t between = text.find(" - ");
      const std::string head = trimmed(text.substr(0, between));
      Argument &option = command.options.emplace_back();
      const size_t end = std::min(head.find_first_of("=< "), head.size());
      option.names = {head.substr(0, end)};
      const size_t open = head.find('<'), close = head.rfind('>');
      if (open != std::string::npos && close != std::string::npos && close > open)
        option.value = head.substr(open + 1, close - open - 1);
      if (between != std::string::npos)
        option.text = trimmed(text.substr(between + 3));
      inChoices = false;
    } else if (text[0] == '=' && !command.options.empty()) {
      const size_t between = text.find(" - ");
      command.options.back().choices.push_back(
          trimmed(text.substr(1, between == std::string::npos ? between : between - 1)));
      inChoices = true;
    } else if (startsWith(line, "      ") && !inChoices && !command.options.empty())
      append(command.options.back().text, text);
  }
}

std::string outputOf(const std::string &command) {
  std::FILE *pipe = popen(command.c_str(), "r");
  if (!pipe)
    throw std::runtime_error("cannot run " + command);
  std::string text;
  char buffer[4096];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, got);
  if (pclose(pipe) != 0)
    throw std::runtime_error(command + " failed");
  return text;
}

} // namespace

Command parseHelp(const std::string &help, const std::string &name) {
  Command command;
  command.name = name;
  std::istringstream lines(help);
  if (help.find("\nOPTIONS:") != std::string::npos)
    parseLlvm(lines, command);
  else
    parseCli11(lines, command);
  if (command.options.empty())
    throw std::runtime_error("the help of " + name + " must list options, got: " + help.substr(0, 200));
  return command;
}

Command readHelp(const std::string &path, const std::string &name) {
  const std::string quoted = "'" + path + "'";
  Command tool = parseHelp(outputOf(quoted + " --help"), name);
  for (Command &command : tool.commands) {
    const std::string summary = command.summary;
    command = parseHelp(outputOf(quoted + " " + command.name + " --help"), command.name);
    command.summary = summary;
  }
  return tool;
}

} // namespace kerf::docs
