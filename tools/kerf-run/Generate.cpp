// kerf-run generate: continues a prompt.
#include "tools/kerf-run/Commands.h"
#include "tools/kerf-run/Sampling.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Interrupt.h"
#include "tools/runtime-support/Report.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cstdio>
#include <memory>

using namespace kerf::tools;

namespace {

struct Options : SamplingOptions {
  Options() { maxTokens = 128; }
  std::string prompt, promptFile;
  std::vector<int32_t> promptIds;
  std::vector<std::string> stops;
  uint32_t maxBatch = 0;
  bool ignoreEnd = false, keepSpecial = false, plain = false, noFrame = false, echo = false;
};

double perSecond(double count, uint64_t nanoseconds) { return nanoseconds ? count * 1e9 / double(nanoseconds) : 0; }

void writeFields(JsonWriter &json, const kerf_model_info &info, const kerf_plan_report &report,
                 const kerf_generate_result &result, const std::string &prompt) {
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
  json.value("planned_device_bytes", report.device);
}

void printSummary(const kerf_model_info &info, const kerf_plan_report &report, const kerf_generate_result &result) {
  std::fprintf(stderr,
               "%s, %s, %u thread%s: %u prompt tokens in %.3f s (%.1f/s), %u new tokens (%.1f/s), end: %s, "
               "planned %s\n",
               info.name, info.variant, report.threads, report.threads == 1 ? "" : "s", result.prompt_tokens,
               double(result.prompt_ns) * 1e-9, perSecond(result.prompt_tokens, result.prompt_ns), result.id_count,
               perSecond(result.decode_steps, result.decode_ns), kerf_finish_name(kerf_finish(result.finish)),
               plannedText(report).c_str());
}

void generate(const Options &options) {
  const Model model = openModel(options);
  const kerf_model_info info = infoOf(model);
  std::string text = options.prompt;
  std::vector<int32_t> prompt = options.promptIds;
  if (!options.promptFile.empty())
    text = readText(options.promptFile);
  if (prompt.empty())
    prompt = tokenize(model, text, (options.plain ? KERF_PLAIN_TEXT : 0u) | (options.noFrame ? KERF_NO_FRAME : 0u));

  kerf_plan_options planned = {};
  planned.struct_size = sizeof planned;
  // No more than this text needs, unless told.
  const uint64_t needed = prompt.size() + options.maxTokens;
  planned.context = options.context ? options.context : uint32_t(std::min<uint64_t>(info.context, needed));
  planned.max_tokens = options.maxBatch ? options.maxBatch : std::min(512u, std::max(1u, uint32_t(prompt.size())));
  planned.memory_limit = options.memoryLimit;
  const Context context = makeContext(model, options);
  const kerf_plan_report planReport = plan(context, planned);

  kerf_error error;
  kerf_generate_options generation = samplingOf(model, options);
  generation.prompt_ids = prompt.data();
  generation.prompt_id_count = uint32_t(prompt.size());
  generation.ignore_end = options.ignoreEnd;
  generation.keep_special = options.keepSpecial;
  std::vector<const char *> stops;
  for (const std::string &stop : options.stops)
    stops.push_back(stop.c_str());
  generation.stops = stops.data();
  generation.stop_count = uint32_t(stops.size());
  if (!options.json)
    generation.on_text = [](void *, const char *part, size_t bytes) { return int(!writeOut({part, bytes})); };

  if (options.echo && !options.json)
    writeOut(text);
  kerf_generate_result result = {};
  result.struct_size = sizeof result;
  {
    const CancelOnInterrupt interrupt(context);
    check(kerf_generate(context.get(), &generation, &result, &error), error);
  }
  report(
      options.json, [&](JsonWriter &json) { writeFields(json, info, planReport, result, text); },
      [&] {
        writeOut("\n");
        if (!options.quiet)
          printSummary(info, planReport, result);
      });
  kerf_generate_result_free(&result);
}

} // namespace

void kerf::tools::addGenerate(CLI::App &app) {
  const auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("generate", "Continue a prompt; the default when no command is given");
  addRunOptions(*command, *options, "Print one JSON object at the end instead of text");
  CLI::Option *prompt = command->add_option("-p,--prompt", options->prompt, "Text to continue");
  CLI::Option *file =
      command->add_option("-f,--prompt-file", options->promptFile, "File with the text; - for standard input");
  CLI::Option *ids = command->add_option("--prompt-ids", options->promptIds, "Token ids, with commas")->delimiter(',');
  prompt->excludes(file)->excludes(ids);
  file->excludes(ids);
  addSamplingOptions(*command, *options, "Most new tokens");
  command->add_option("--stop", options->stops, "End at this text; may be repeated")->allow_extra_args(false);
  command->add_flag("--ignore-end", options->ignoreEnd, "Go on past end tokens");
  command->add_flag("--keep-special", options->keepSpecial, "Print special tokens");
  command->add_flag("--plain", options->plain, "Special tokens spelled in the prompt are text");
  command->add_flag("--no-frame", options->noFrame, "Put no begin tokens before the prompt");
  command->add_flag("--echo", options->echo, "Print the prompt first");
  command->add_option("--context", options->context, "Longest sequence; 0: as long as this text can get");
  command->add_option("--max-batch", options->maxBatch, "Most prompt tokens in a step; 0: 512, or the prompt's");
  command->final_callback([options, prompt, file, ids] {
    if (!*prompt && !*file && !*ids)
      throw CLI::RequiredError("--prompt, --prompt-file or --prompt-ids");
    generate(*options);
  });
}
