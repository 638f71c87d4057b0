// kerf-run: runs a compiled model. Uses the C API alone.
#include "tools/runtime-support/Handles.h"
#include "tools/runtime-support/Json.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <vector>

using namespace kerf::tools;

namespace {

struct Options {
  std::string model, prompt, promptFile, variant;
  std::vector<int32_t> promptIds;
  std::vector<std::string> stops;
  uint32_t maxTokens = 128, topK = 0, threads = 0, context = 0, maxBatch = 0;
  float temperature = 0, topP = 0;
  uint64_t seed = 0, memoryLimit = 0;
  bool sample = false, ignoreEnd = false, keepSpecial = false, plain = false, noFrame = false, echo = false,
       json = false, quiet = false, verify = false;
};

kerf_context *running = nullptr;

// The first Ctrl-C ends the text, the second the program.
void onInterrupt(int) {
  kerf_context_cancel(running);
  std::signal(SIGINT, SIG_DFL);
}

std::string readPrompt(const Options &options) {
  if (options.promptFile.empty())
    return options.prompt;
  std::ostringstream text;
  if (options.promptFile == "-")
    text << std::cin.rdbuf();
  else {
    std::ifstream file(options.promptFile, std::ios::binary);
    if (!file)
      throw std::runtime_error("cannot open '" + options.promptFile + "'");
    text << file.rdbuf();
  }
  return text.str();
}

std::vector<int32_t> promptTokens(const Model &model, const Options &options, const std::string &text) {
  if (!options.promptIds.empty())
    return options.promptIds;
  const uint32_t flags = (options.plain ? KERF_PLAIN_TEXT : 0u) | (options.noFrame ? KERF_NO_FRAME : 0u);
  std::vector<int32_t> ids(text.size() + 16);
  size_t count = 0;
  kerf_error error;
  check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  if (count > ids.size()) {
    ids.resize(count);
    check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  }
  ids.resize(count);
  return ids;
}

int writeOut(void *, const char *text, size_t bytes) {
  std::fwrite(text, 1, bytes, stdout);
  std::fflush(stdout);
  return std::ferror(stdout) != 0; // the reader went away
}

double perSecond(double count, uint64_t nanoseconds) { return nanoseconds ? count * 1e9 / double(nanoseconds) : 0; }

void printJson(const kerf_model_info &info, const kerf_plan_report &report, const kerf_generate_result &result,
               const std::string &prompt) {
  JsonWriter json;
  json.beginObject();
  json.value("model", info.name);
  json.value("variant", info.variant);
  json.value("threads", report.threads);
  json.value("prompt", prompt);
  json.value("text", std::string_view(result.text, result.text_bytes));
  json.value("finish", kerf_finish_name(kerf_finish(result.finish)));
  json.beginArray("ids");
  for (uint32_t i = 0; i < result.id_count; ++i)
    json.value({}, result.ids[i]);
  json.endArray();
  json.value("prompt_tokens", result.prompt_tokens);
  json.value("new_tokens", result.id_count);
  json.value("prompt_seconds", double(result.prompt_ns) * 1e-9);
  json.value("first_token_seconds", double(result.first_ns) * 1e-9);
  json.value("decode_seconds", double(result.decode_ns) * 1e-9);
  json.value("decode_tokens_per_second", perSecond(result.decode_steps, result.decode_ns));
  json.value("planned_bytes", report.total);
  json.endObject();
  std::cout << json.text();
}

void generate(const Options &options) {
  const Model model = openModel(options.model, options.variant, options.verify);
  const kerf_model_info info = infoOf(model);
  const std::string text = options.promptIds.empty() ? readPrompt(options) : "";
  const std::vector<int32_t> prompt = promptTokens(model, options, text);

  kerf_plan_options planned = {};
  planned.struct_size = sizeof planned;
  // No more than this text needs, unless told.
  const uint64_t needed = prompt.size() + options.maxTokens;
  planned.context = options.context ? options.context : uint32_t(std::min<uint64_t>(info.context, needed));
  planned.max_tokens = options.maxBatch ? options.maxBatch : std::min(512u, std::max(1u, uint32_t(prompt.size())));
  planned.memory_limit = options.memoryLimit;
  const Context context = makeContext(model, options.threads);
  const kerf_plan_report report = plan(context, planned);

  kerf_error error;
  kerf_generate_options generation = {};
  generation.struct_size = sizeof generation;
  if (options.sample)
    check(kerf_generate_options_init(model.get(), &generation, &error), error);
  else {
    generation.temperature = options.temperature;
    generation.top_k = options.topK;
    generation.top_p = options.topP;
  }
  generation.prompt_ids = prompt.data();
  generation.prompt_id_count = uint32_t(prompt.size());
  generation.max_tokens = options.maxTokens;
  generation.seed = options.seed;
  generation.ignore_end = options.ignoreEnd;
  generation.keep_special = options.keepSpecial;
  std::vector<const char *> stops;
  for (const std::string &stop : options.stops)
    stops.push_back(stop.c_str());
  generation.stops = stops.data();
  generation.stop_count = uint32_t(stops.size());
  if (!options.json)
    generation.on_text = writeOut;

  if (options.echo && !options.json)
    writeOut(nullptr, text.data(), text.size());
  running = context.get();
  std::signal(SIGINT, onInterrupt);
  kerf_generate_result result = {};
  result.struct_size = sizeof result;
  check(kerf_generate(context.get(), &generation, &result, &error), error);
  std::signal(SIGINT, SIG_DFL);

  if (options.json)
    printJson(info, report, result, text);
  else {
    std::printf("\n");
    std::fflush(stdout);
    if (!options.quiet)
      std::fprintf(stderr,
                   "%s, %s, %u thread%s: %u prompt tokens in %.3f s (%.1f/s), %u new tokens (%.1f/s), end: %s, "
                   "planned %.1f MiB\n",
                   info.name, info.variant, report.threads, report.threads == 1 ? "" : "s", result.prompt_tokens,
                   double(result.prompt_ns) * 1e-9, perSecond(result.prompt_tokens, result.prompt_ns), result.id_count,
                   perSecond(result.decode_steps, result.decode_ns), kerf_finish_name(kerf_finish(result.finish)),
                   double(report.total) / 1048576);
  }
  kerf_generate_result_free(&result);
}

void addGenerate(CLI::App &app, Options &options) {
  CLI::App *sub = app.add_subcommand("generate", "Continue a prompt; the default when no command is given");
  sub->add_option("MODEL.kerf", options.model, "Package; libMODEL.so must lie beside it")->required();
  CLI::Option *prompt = sub->add_option("-p,--prompt", options.prompt, "Text to continue");
  CLI::Option *file =
      sub->add_option("-f,--prompt-file", options.promptFile, "File with the text; - for standard input");
  CLI::Option *ids = sub->add_option("--prompt-ids", options.promptIds, "Token ids, with commas")->delimiter(',');
  prompt->excludes(file)->excludes(ids);
  file->excludes(ids);
  sub->add_option("-n,--max-tokens", options.maxTokens, "Most new tokens")->capture_default_str();
  sub->add_option("-t,--temperature", options.temperature, "0: the likeliest token, always")->capture_default_str();
  sub->add_option("--top-k", options.topK, "Keep the k likeliest tokens; 0: all")->capture_default_str();
  sub->add_option("--top-p", options.topP, "Keep the likeliest tokens up to this probability; 0: all");
  sub->add_flag("--sample", options.sample, "Sample as the model's generation_config.json says");
  sub->add_option("--seed", options.seed, "Seed of the sampler")->capture_default_str();
  sub->add_option("--stop", options.stops, "End at this text; may be repeated")->allow_extra_args(false);
  sub->add_flag("--ignore-end", options.ignoreEnd, "Go on past end tokens");
  sub->add_flag("--keep-special", options.keepSpecial, "Print special tokens");
  sub->add_flag("--plain", options.plain, "Special tokens spelled in the prompt are text");
  sub->add_flag("--no-frame", options.noFrame, "Put no begin tokens before the prompt");
  sub->add_flag("--echo", options.echo, "Print the prompt first");
  sub->add_option("--threads", options.threads, "0: all that are usable")->capture_default_str();
  sub->add_option("--variant", options.variant, "CPU variant to force");
  sub->add_option("--context", options.context, "Longest sequence; 0: as long as this text can get");
  sub->add_option("--max-batch", options.maxBatch, "Most prompt tokens in a step; 0: 512, or the prompt's");
  sub->add_option("--memory-limit", options.memoryLimit, "Refuse to use more, e.g. 6GiB")
      ->transform(CLI::AsSizeValue(false));
  sub->add_flag("--verify", options.verify, "Check the weights' SHA-256 first");
  sub->add_flag("--json", options.json, "Print one JSON object at the end instead of text");
  sub->add_flag("-q,--quiet", options.quiet, "No summary on standard error");
  sub->final_callback([&options, prompt, file, ids] {
    if (!*prompt && !*file && !*ids)
      throw CLI::RequiredError("--prompt, --prompt-file or --prompt-ids");
    generate(options);
  });
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Runs a model compiled by kerf-compile", "kerf-run");
  app.set_version_flag("--version", std::string("kerf ") + kerf_version());
  app.require_subcommand(1);
  Options options;
  addGenerate(app, options);

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
  std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    return app.exit(error);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kerf-run: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
