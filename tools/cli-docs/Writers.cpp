#include "tools/cli-docs/HelpText.h"

#include <algorithm>
#include <cctype>

namespace kerf::docs {
namespace {

// Roff reads a backslash as an escape, a hyphen as a place to break, and a dot or quote at a line's start as a request.
std::string roff(const std::string &text) {
  std::string out = !text.empty() && (text[0] == '.' || text[0] == '\'') ? "\\&" : "";
  for (const char c : text)
    out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  return out;
}

std::string manEntries(const std::vector<Argument> &arguments) {
  std::string page;
  for (const Argument &argument : arguments) {
    std::string head;
    for (const std::string &name : argument.names)
      head += (head.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
    if (!argument.value.empty())
      head += " \\fI" + roff(argument.value) + "\\fR";
    page += ".TP\n" + head + "\n" + roff(argument.text.empty() ? "No description." : argument.text) + "\n";
    if (!argument.choices.empty()) {
      std::string list;
      for (const std::string &choice : argument.choices)
        list += (list.empty() ? "" : ", ") + choice;
      page += roff("One of " + list + ".") + "\n";
    }
  }
  return page;
}

std::string upper(std::string text) {
  for (char &c : text)
    c = char(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string identifier(std::string text) {
  std::replace(text.begin(), text.end(), '-', '_');
  return "_" + text;
}

// In single quotes for a shell.
std::string single(const std::string &text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string names(const std::vector<Argument> &options) {
  std::string list;
  for (const Argument &option : options)
    for (const std::string &name : option.names)
      list += (list.empty() ? "" : " ") + name;
  return list;
}

// Options of the tool and of all its commands.
std::vector<Argument> allOptions(const Command &tool) {
  std::vector<Argument> all = tool.options;
  for (const Command &command : tool.commands)
    all.insert(all.end(), command.options.begin(), command.options.end());
  return all;
}

// Without what ends a part of a zsh specification.
std::string zshText(const std::string &text) {
  std::string out;
  for (const char c : text)
    out += c == ':' || c == '[' || c == ']' || c == '\\' ? "\\" + std::string(1, c) : std::string(1, c);
  return out;
}

std::string zshValue(const Argument &option) {
  if (option.value.empty())
    return "";
  if (option.choices.empty())
    return ":" + zshText(option.value) + ":_files";
  std::string list;
  for (const std::string &choice : option.choices)
    list += (list.empty() ? "" : " ") + choice;
  return ":" + zshText(option.value) + ":(" + list + ")";
}

// The specifications of one command, a line each.
std::string zshArguments(const std::vector<Argument> &options, const std::string &indent) {
  std::string lines;
  for (const Argument &option : options)
    for (const std::string &name : option.names)
      // "=" : the value may stand in the same word, as in "--name=value".
      lines += " \\\n" + indent +
               single(name + (option.value.empty() || name.rfind("--", 0) != 0 ? "" : "=") + "[" +
                      zshText(option.text) + "]" + zshValue(option));
  return lines;
}

} // namespace

std::string manPage(const Command &tool, const std::string &version) {
  std::string page = ".TH " + upper(roff(tool.name)) + " 1 \"\" \"Kerf " + roff(version) + "\" \"User Commands\"\n";
  page += ".SH NAME\n" + roff(tool.name) + " \\- " + roff(tool.summary) + "\n";
  page += ".SH SYNOPSIS\n" + roff(tool.usage) + "\n";
  if (!tool.positionals.empty())
    page += ".SH ARGUMENTS\n" + manEntries(tool.positionals);
  page += ".SH OPTIONS\n" + manEntries(tool.options);
  for (const Command &command : tool.commands)
    page += ".SH " + upper(roff(command.name)) + "\n" + roff(command.summary) + "\n.PP\n" + roff(command.usage) + "\n" +
            manEntries(command.positionals) + manEntries(command.options);
  return page;
}

std::string bashCompletion(const Command &tool) {
  const std::string function = identifier(tool.name);
  std::string commands, cases, values, choices;
  for (const Command &command : tool.commands) {
    commands += (commands.empty() ? "" : " ") + command.name;
    cases += "  " + command.name + ") options=" + single(names(command.options)) + " ;;\n";
  }
  for (const Argument &option : allOptions(tool)) {
    std::string pattern;
    for (const std::string &name : option.names)
      pattern += (pattern.empty() ? "" : "|") + name;
    if (!option.choices.empty()) {
      std::string list;
      for (const std::string &choice : option.choices)
        list += (list.empty() ? "" : " ") + choice;
      choices += "  " + pattern + ") COMPREPLY=($(compgen -W " + single(list) + " -- \"$current\")); return ;;\n";
    } else if (!option.value.empty())
      values += (values.empty() ? "" : "|") + pattern;
  }
  std::string script = "# bash completion of " + tool.name + "\n" + function + "() {\n";
  script += "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n";
  script += "  local options=" + single(names(tool.options)) + " commands=" + single(commands) + " command= word\n";
  // bash takes "--name=value" for three words.
  script += "  if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then "
            "previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n";
  if (!tool.commands.empty()) {
    script += "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    [[ \" $commands \" == *\" $word \"* ]] && "
              "command=$word && break\n  done\n";
    script += "  [[ $command ]] && commands=\n  case $command in\n" + cases + "  esac\n";
  }
  script += "  case $previous in\n" + choices;
  if (!values.empty())
    script += "  " + values + ") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n";
  script += "  esac\n";
  script += "  if [[ $current == -* ]]; then\n    COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n  else\n"
            "    COMPREPLY=($(compgen -W \"$commands\" -- \"$current\") $(compgen -f -- \"$current\"))\n  fi\n}\n";
  return script + "complete -o filenames -F " + function + " " + tool.name + "\n";
}

std::string zshCompletion(const Command &tool) {
  std::string script = "#compdef " + tool.name + "\n" + identifier(tool.name) + "() {\n";
  if (tool.commands.empty()) {
    script += "  _arguments" + zshArguments(tool.options, "    ") + " \\\n    '*:file:_files'\n}\n";
    return script + identifier(tool.name) + " \"$@\"\n";
  }
  std::string commands, cases;
  for (const Command &command : tool.commands) {
    commands += (commands.empty() ? "" : " ") + single(command.name + ":" + zshText(command.summary));
    cases += "  " + command.name + ")\n    _arguments" + zshArguments(command.options, "      ") +
             " \\\n      '*:file:_files' ;;\n";
  }
  script += "  local -a commands=(" + commands +
            ")\n  if (( CURRENT == 2 )); then\n    _describe command commands\n"
            "    _arguments" +
            zshArguments(tool.options, "      ") + " \\\n      '*:file:_files'\n    return\n  fi\n";
  script += "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n" + cases + "  esac\n}\n";
  return script + identifier(tool.name) + " \"$@\"\n";
}

} // namespace kerf::docs
