// kerf-run perplexity: how well a model predicts a text.
#include "tools/kerf-run/Commands.h"
#include "tools/kerf-run/Statistics.h"
#include "tools/kerf-run/Windows.h"
#include "tools/runtime-support/EventLog.h"
#include "tools/runtime-support/Progress.h"
#include "tools/runtime-support/Report.h"

#include <cmath>
#include <numbers>

using namespace kerf::tools;

namespace {

struct Result {
  const Runner &runner;
  Coverage read;
  BlockMean nll; // nats a token

  double perplexity() const { return std::exp(nll.mean()); }
  // To first order, exp(x) moves by exp(x) times what x moves by.
  double perplexityError() const { return perplexity() * nll.error(); }
  // Of one nat a token.
  double bitsPerByte() const { return double(read.tokens) / (read.bytes * std::numbers::ln2); }
};

void writeFields(JsonWriter &json, const Result &r) {
  json.value("model", r.runner.info.name);
  json.value("variant", r.runner.info.variant);
  json.value("threads", r.runner.report.threads);
  r.read.writeFields(json, r.nll);
  json.value("perplexity", r.perplexity());
  json.value("perplexity_error", r.perplexityError());
  json.value("nats_per_token", r.nll.mean());
  json.value("nats_per_token_error", r.nll.error());
  json.value("bits_per_byte", r.nll.mean() * r.bitsPerByte());
  json.value("bits_per_byte_error", r.nll.error() * r.bitsPerByte());
}

void printTable(const Result &r) {
  std::printf("%s, %s, %u thread%s\n", r.runner.info.name, r.runner.info.variant, r.runner.report.threads,
              r.runner.report.threads == 1 ? "" : "s");
  std::printf("  method          %s\n", r.read.description.c_str());
  std::printf("  text            %s\n", r.read.describe(r.nll).c_str());
  std::printf("  perplexity      %s\n", withError(r.perplexity(), r.perplexityError()).c_str());
  std::printf("  nats a token    %s\n", withError(r.nll.mean(), r.nll.error()).c_str());
  std::printf("  bits per byte   %s\n",
              withError(r.nll.mean() * r.bitsPerByte(), r.nll.error() * r.bitsPerByte()).c_str());
}

void run(const TextOptions &options) {
  std::vector<Runner> models(1);
  Runner &runner = models.front();
  runner.model = openModel(options);
  runner.info = infoOf(runner.model);
  const Method method = methodOf(options, runner.model, runner.info);
  TokenStream stream(runner.model, options.text, options.plain ? KERF_PLAIN_TEXT : 0u);
  WindowRunner windows(models, options, method.window);
  WindowSource source(stream, method, options.maxTokens);
  Result result{runner, {options, method, describe(method, runner.model)}, {}};
  Progress progress(options.quiet);

  std::vector<double> nlls;
  forEachGroup(source, windows, [&](std::span<const Window> group, size_t targets) {
    nlls.assign(targets, 0);
    windows.run(group, [&](std::span<const float *const> logits, int32_t target, size_t index) {
      nlls[index] = logSumExp(logits[0], runner.info.vocabulary) - double(logits[0][target]);
    });
    const double *nll = nlls.data();
    for (const Window &window : group) {
      const size_t count = window.ids.size() - window.firstTarget;
      double sum = 0;
      for (size_t i = 0; i < count; ++i)
        sum += *nll++;
      needFinite(sum, options.model, result.read.windows);
      result.nll.add(sum, count);
      eventLog().write("window", [&](JsonWriter &json) {
        json.value("index", result.read.windows);
        json.value("scored_tokens", uint64_t(count));
        json.value("nats", sum);
      });
      ++result.read.windows;
    }
    progress.show(source.bytes(), double(stream.totalBytes()),
                  std::to_string(result.nll.tokens()) + " tokens, perplexity " + significant(result.perplexity(), 5));
  });
  progress.clear();
  result.read.finish(source, result.nll);
  report(options.json, [&](JsonWriter &json) { writeFields(json, result); }, [&] { printTable(result); });
}

} // namespace

void kerf::tools::addPerplexity(CLI::App &app) {
  const auto options = std::make_shared<TextOptions>();
  CLI::App *command = app.add_subcommand("perplexity", "How well a model predicts a text: perplexity, bits per byte");
  addRunOptions(*command, *options, "Print one JSON object instead of a table");
  addTextOptions(*command, *options);
  command->final_callback([options] { run(*options); });
}
