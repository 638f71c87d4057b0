// kerf-run embed: a vector for each text.
#include "tools/kerf-run/Commands.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Interrupt.h"
#include "tools/runtime-support/Json.h"
#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

using namespace kerf::tools;

namespace {

struct Options : RunOptions {
  std::vector<std::string> texts;
  std::string file;
  uint32_t context = 0, maxBatch = 0, maxSequences = 32;
  bool similarity = false, plain = false, refuseLong = false;
};

/// What came out: one row of `columns` numbers for each text.
struct Vectors {
  size_t columns;
  std::vector<float> values;
  std::vector<uint32_t> tokens;

  const float *row(size_t index) const { return values.data() + index * columns; }
  size_t rows() const { return tokens.size(); }
};

double dot(const Vectors &vectors, size_t a, size_t b) {
  double sum = 0;
  for (size_t i = 0; i < vectors.columns; ++i)
    sum += double(vectors.row(a)[i]) * vectors.row(b)[i];
  return sum;
}

/// Cosine of two rows; 0 where one of them is zero.
double cosine(const Vectors &vectors, size_t a, size_t b) {
  const double lengths = std::sqrt(dot(vectors, a, a) * dot(vectors, b, b));
  return lengths > 0 ? dot(vectors, a, b) / lengths : 0;
}

std::vector<std::string> textsOf(const Options &options) {
  std::vector<std::string> texts = options.texts;
  if (options.file.empty())
    return texts;
  const std::string text = readText(options.file);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
    texts.push_back(std::move(line));
    begin = end + 1;
  }
  return texts;
}

void printJson(const kerf_model_info &info, const kerf_plan_report &report, const kerf_embed_result &result,
               const std::vector<std::string> &texts, const Vectors &vectors, bool similarity) {
  JsonWriter json;
  json.beginObject();
  json.value("model", info.name);
  json.value("variant", info.variant);
  json.value("threads", report.threads);
  json.beginArray("texts");
  for (size_t row = 0; row < vectors.rows(); ++row) {
    json.beginObject();
    json.value("text", texts[row]);
    json.value("tokens", vectors.tokens[row]);
    json.beginArray(similarity ? "similarity" : "vector");
    for (size_t i = 0; i < (similarity ? vectors.rows() : vectors.columns); ++i)
      json.value({}, similarity ? cosine(vectors, row, i) : double(vectors.row(row)[i]));
    json.endArray();
    json.endObject();
  }
  json.endArray();
  json.value("steps", result.steps);
  json.value("tokens", result.tokens);
  json.value("cut", result.cut);
  json.value("seconds", double(result.nanoseconds) * 1e-9);
  json.value("planned_bytes", report.total);
  json.value("planned_device_bytes", report.device);
  json.endObject();
  writeOut(json.text());
}

/// A line for each text, numbers with tabs between them.
void printTable(const Vectors &vectors, bool similarity) {
  for (size_t row = 0; row < vectors.rows(); ++row) {
    std::string line;
    for (size_t i = 0; i < (similarity ? vectors.rows() : vectors.columns); ++i) {
      char number[40];
      std::snprintf(number, sizeof number, similarity ? "%.6f" : "%.9g",
                    similarity ? cosine(vectors, row, i) : double(vectors.row(row)[i]));
      line += (i ? "\t" : "") + std::string(number);
    }
    writeOut(line + "\n");
  }
}

void embed(const Options &options) {
  const Model model = openModel(options);
  const kerf_model_info info = infoOf(model);
  if (!info.vector)
    throw std::runtime_error("'" + options.model + "' must be a model that gives vectors to be used by embed, but " +
                             info.architecture + " generates text; use generate");
  const std::vector<std::string> texts = textsOf(options);

  kerf_plan_options planned = {};
  planned.struct_size = sizeof planned;
  planned.context = options.context;
  const uint32_t context = options.context ? options.context : info.context;
  planned.max_tokens = options.maxBatch ? options.maxBatch : std::max(context, 2048u);
  planned.max_sequences = uint32_t(std::clamp<size_t>(texts.size(), 1, options.maxSequences));
  planned.memory_limit = options.memoryLimit;
  const Context owner = makeContext(model, options);
  const kerf_plan_report report = plan(owner, planned);

  std::vector<kerf_embed_input> inputs;
  for (const std::string &text : texts)
    inputs.push_back({text.c_str(), text.size(), nullptr, 0, options.plain ? uint32_t(KERF_PLAIN_TEXT) : 0u});
  Vectors vectors{info.vector, std::vector<float>(texts.size() * info.vector), std::vector<uint32_t>(texts.size())};
  kerf_embed_options embedding = {};
  embedding.struct_size = sizeof embedding;
  embedding.input_size = sizeof(kerf_embed_input);
  embedding.input_count = inputs.size();
  embedding.inputs = inputs.data();
  embedding.vectors = vectors.values.data();
  embedding.tokens = vectors.tokens.data();
  embedding.refuse_long = options.refuseLong;
  kerf_embed_result result = {};
  result.struct_size = sizeof result;
  kerf_error error;
  {
    const CancelOnInterrupt interrupt(owner);
    check(kerf_context_embed(owner.get(), &embedding, &result, &error), error);
  }
  if (options.json)
    printJson(info, report, result, texts, vectors, options.similarity);
  else
    printTable(vectors, options.similarity);
  if (options.json || options.quiet)
    return;
  const double seconds = double(result.nanoseconds) * 1e-9;
  std::fprintf(stderr, "%s, %s, %u thread%s: %zu text%s of %llu tokens in %u step%s, %.3f s (%.1f tokens/s)", info.name,
               info.variant, report.threads, report.threads == 1 ? "" : "s", texts.size(), texts.size() == 1 ? "" : "s",
               static_cast<unsigned long long>(result.tokens), result.steps, result.steps == 1 ? "" : "s", seconds,
               seconds > 0 ? double(result.tokens) / seconds : 0);
  if (result.cut)
    std::fprintf(stderr, ", %llu cut to %u tokens", static_cast<unsigned long long>(result.cut), report.context);
  std::fprintf(stderr, ", planned %s\n", plannedText(report).c_str());
}

} // namespace

void kerf::tools::addEmbed(CLI::App &app) {
  const auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("embed", "Print a vector for each text, or how similar the texts are");
  addRunOptions(*command, *options, "Print one JSON object instead of lines of numbers with tabs between them");
  command->add_option("texts", options->texts, "Texts");
  command->add_option("-f,--file", options->file, "File with one text a line, after those; - for standard input");
  command->add_flag("--similarity", options->similarity, "Print the cosine of each pair of texts in place of vectors");
  command->add_flag("--plain", options->plain, "Special tokens spelled in a text are text");
  command->add_flag("--refuse-long", options->refuseLong,
                    "Fail on a text that is longer than the context; else it is cut");
  command->add_option("--context", options->context, "Longest text, in tokens; 0: the model's");
  command->add_option("--max-batch", options->maxBatch, "Most tokens in a step; 0: 2048, or the context");
  command->add_option("--max-sequences", options->maxSequences, "Most texts in a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->final_callback([options] {
    if (options->texts.empty() && options->file.empty())
      throw CLI::RequiredError("texts or --file");
    embed(*options);
  });
}
