// kerf-run tokenize: text to ids and back.
#include "tools/kerf-run/Commands.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Json.h"
#include "tools/runtime-support/Text.h"

#include <charconv>
#include <memory>

using namespace kerf::tools;

namespace {

struct Options : RunOptions {
  std::string text, file;
  bool decode = false, count = false, ids = false, plain = false, noFrame = false, skipSpecial = false;
};

// Numbers between white space, commas and brackets, as --ids, --json and Python write them.
std::vector<int32_t> parseIds(const std::string &text) {
  constexpr const char *kBetween = " \t\r\n,[]";
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(kBetween); at < text.size(); at = text.find_first_not_of(kBetween, at)) {
    const size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end)
      throw std::runtime_error("ids must be whole numbers, got '" + text.substr(at, end - at) + "'");
    ids.push_back(id);
    at = end;
  }
  return ids;
}

std::string hex(const std::string &bytes) {
  constexpr const char *kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[uint8_t(c) >> 4];
    text += kDigits[uint8_t(c) & 15];
  }
  return text;
}

void printJson(const Model &model, const std::vector<int32_t> &ids) {
  JsonWriter json;
  json.beginObject();
  json.value("model", infoOf(model).name);
  json.value("count", uint64_t(ids.size()));
  json.beginArray("tokens");
  for (const int32_t id : ids) {
    json.beginObject();
    json.value("id", id);
    json.value("text", detokenize(model, {id}, 0));
    json.value("hex", hex(tokenBytes(model, id)));
    json.value("special", isSpecial(model, id));
    json.endObject();
  }
  json.endArray();
  json.endObject();
  writeOut(json.text());
}

void run(const Options &options) {
  const Model model = openModel(options);
  const std::string given = options.file.empty() ? options.text : readText(options.file);
  if (options.decode) {
    const std::string text = detokenize(model, parseIds(given), options.skipSpecial ? KERF_SKIP_SPECIAL : 0u);
    if (options.json) {
      JsonWriter json;
      json.beginObject();
      json.value("model", infoOf(model).name);
      json.value("text", text);
      json.endObject();
      writeOut(json.text());
    } else
      writeOut(text + "\n");
    return;
  }
  const std::vector<int32_t> ids =
      tokenize(model, given, (options.plain ? KERF_PLAIN_TEXT : 0u) | (options.noFrame ? KERF_NO_FRAME : 0u));
  if (options.json)
    return printJson(model, ids);
  std::string out;
  if (options.count)
    out = std::to_string(ids.size()) + "\n";
  else if (options.ids) {
    for (const int32_t id : ids)
      out += (out.empty() ? "" : " ") + std::to_string(id);
    out += "\n";
  } else
    for (const int32_t id : ids)
      out +=
          std::to_string(id) + "\t" + escaped(tokenBytes(model, id)) + (isSpecial(model, id) ? "\tspecial" : "") + "\n";
  writeOut(out);
}

} // namespace

void kerf::tools::addTokenize(CLI::App &app) {
  const auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("tokenize", "Text to token ids, or ids to text");
  addModelOptions(*command, *options);
  CLI::Option *text = command->add_option("TEXT", options->text, "Text, or ids with --decode");
  CLI::Option *file = command->add_option("-f,--file", options->file,
                                          "File with the text or the ids; - for standard input, which is also read "
                                          "when neither is given");
  text->excludes(file);
  CLI::Option *decode = command->add_flag("--decode", options->decode, "Ids to text");
  CLI::Option *count = command->add_flag("--count", options->count, "Print the number of tokens only");
  CLI::Option *ids = command->add_flag("--ids", options->ids, "Print the ids only, on one line");
  CLI::Option *plain = command->add_flag("--plain", options->plain, "Special tokens spelled in the text are text");
  CLI::Option *noFrame =
      command->add_flag("--no-frame", options->noFrame, "Put no begin or end tokens around the text");
  command->add_flag("--skip-special", options->skipSpecial, "Leave special tokens out of the text")->needs(decode);
  CLI::Option *json = command->add_flag("--json", options->json, "Print one JSON object");
  decode->excludes(count)->excludes(ids)->excludes(plain)->excludes(noFrame);
  count->excludes(ids)->excludes(json);
  ids->excludes(json);
  command->final_callback([options, text, file] {
    if (!*text && !*file)
      options->file = "-";
    run(*options);
  });
}
