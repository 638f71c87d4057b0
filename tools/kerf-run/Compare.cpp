// kerf-run compare: how far the predictions of one model are from those of another with the same tokens.
#include "tools/kerf-run/Commands.h"
#include "tools/kerf-run/Statistics.h"
#include "tools/kerf-run/Windows.h"
#include "tools/runtime-support/EventLog.h"
#include "tools/runtime-support/Progress.h"
#include "tools/runtime-support/Report.h"
#include "tools/runtime-support/Text.h"

#include <cmath>

using namespace kerf::tools;

namespace {

struct Options : TextOptions {
  std::string other, otherVariant;
};

struct Result {
  const std::vector<Runner> &models;
  const Options &options;
  Coverage read;
  BlockMean nll[2], ratio; // nats a token of A and B, and of B less A
  BlockMean kl, agreement;
  QuantileSketch quantiles;
  double largest = 0; // difference of two logits
  uint64_t largestToken = 0;

  double perplexity(int model) const { return std::exp(nll[model].mean()); }
  double perplexityError(int model) const { return perplexity(model) * nll[model].error(); }
  double perplexityRatio() const { return std::exp(ratio.mean()); }
  double perplexityRatioError() const { return perplexityRatio() * ratio.error(); }
};

void writeFields(JsonWriter &json, const Result &r) {
  for (int m = 0; m < 2; ++m) {
    json.beginObject(m ? "b" : "a");
    json.value("package", m ? r.options.other : r.options.model);
    json.value("model", r.models[m].info.name);
    json.value("variant", r.models[m].info.variant);
    json.value("perplexity", r.perplexity(m));
    json.value("perplexity_error", r.perplexityError(m));
    json.endObject();
  }
  r.read.writeFields(json, r.kl);
  json.value("kl_mean", r.kl.mean());
  json.value("kl_mean_error", r.kl.error());
  json.value("kl_median", r.quantiles.quantile(0.5));
  json.value("kl_p99", r.quantiles.quantile(0.99));
  json.value("kl_quantile_relative_error", QuantileSketch::kRelativeError);
  json.value("kl_max", r.quantiles.most());
  json.value("top1_agreement", r.agreement.mean());
  json.value("top1_agreement_error", r.agreement.error());
  json.value("max_logit_error", r.largest);
  json.value("max_logit_error_at_token", r.largestToken);
  json.value("perplexity_ratio", r.perplexityRatio());
  json.value("perplexity_ratio_error", r.perplexityRatioError());
}

void printTable(const Result &r) {
  for (int m = 0; m < 2; ++m)
    std::printf("%c: %s (%s, %s)\n", "AB"[m], (m ? r.options.other : r.options.model).c_str(), r.models[m].info.name,
                r.models[m].info.variant);
  std::printf("  method              %s\n", r.read.description.c_str());
  std::printf("  text                %s\n", r.read.describe(r.kl).c_str());
  std::printf("  KL(A||B), nats      mean %s\n", withError(r.kl.mean(), r.kl.error()).c_str());
  std::printf("                      median %s, 99th percentile %s (both within 0.1%%), maximum %s\n",
              significant(r.quantiles.quantile(0.5), 4).c_str(), significant(r.quantiles.quantile(0.99), 4).c_str(),
              significant(r.quantiles.most(), 4).c_str());
  std::printf("  same best token     %s %%\n", withError(100 * r.agreement.mean(), 100 * r.agreement.error()).c_str());
  std::printf("  logits differ by    %s at most, after token %llu\n", significant(r.largest, 4).c_str(),
              (unsigned long long)r.largestToken);
  std::printf("  perplexity          A %s, B %s\n", withError(r.perplexity(0), r.perplexityError(0)).c_str(),
              withError(r.perplexity(1), r.perplexityError(1)).c_str());
  std::printf("  perplexity B / A    %s\n", withError(r.perplexityRatio(), r.perplexityRatioError()).c_str());
}

void compare(const Options &options) {
  std::vector<Runner> models(2);
  models[0].model = openModel(options);
  RunOptions other = options;
  other.model = options.other;
  if (!options.otherVariant.empty())
    other.variant = options.otherVariant;
  models[1].model = openModel(other);
  for (Runner &runner : models)
    runner.info = infoOf(runner.model);
  needSameTokens(models[0], models[1]);
  // Windows that both can take.
  kerf_model_info least = models[0].info;
  least.context = std::min(least.context, models[1].info.context);
  const Method method = methodOf(options, models[0].model, least);
  TokenStream stream(models[0].model, options.text, options.plain ? KERF_PLAIN_TEXT : 0u);
  stream.compareWith(models[1].model);
  WindowRunner windows(models, options, method.window);
  WindowSource source(stream, method, options.maxTokens);
  Result result{models, options, {options, method, describe(method, models[0].model)}, {}, {}, {}, {}, {}};
  Progress progress(options.quiet);

  struct Scored {
    Divergence divergence;
    double nll[2];
  };
  std::vector<Scored> scores;
  forEachGroup(source, windows, [&](std::span<const Window> group, size_t targets) {
    scores.assign(targets, {});
    windows.run(group, [&](std::span<const float *const> logits, int32_t target, size_t index) {
      Scored &scored = scores[index];
      scored.divergence = divergence(logits[0], logits[1], models[0].info.vocabulary);
      scored.nll[0] = scored.divergence.logSumP - double(logits[0][target]);
      scored.nll[1] = scored.divergence.logSumQ - double(logits[1][target]);
    });
    const Scored *next = scores.data();
    for (const Window &window : group) {
      const size_t count = window.ids.size() - window.firstTarget;
      double kl = 0, agreed = 0, nll[2] = {};
      for (size_t i = 0; i < count; ++i, ++next) {
        const Divergence &d = next->divergence;
        for (int m = 0; m < 2; ++m)
          nll[m] += next->nll[m];
        kl += d.kl;
        agreed += d.bestP == d.bestQ;
        result.quantiles.add(d.kl);
        if (d.largest > result.largest) {
          result.largest = d.largest;
          result.largestToken = result.kl.tokens() + i;
        }
      }
      needFinite(nll[0], options.model, result.read.windows);
      needFinite(nll[1], options.other, result.read.windows);
      for (int m = 0; m < 2; ++m)
        result.nll[m].add(nll[m], count);
      result.ratio.add(nll[1] - nll[0], count);
      result.kl.add(kl, count);
      result.agreement.add(agreed, count);
      eventLog().write("window", [&](JsonWriter &json) {
        json.value("index", result.read.windows);
        json.value("scored_tokens", uint64_t(count));
        json.value("nats_a", nll[0]);
        json.value("nats_b", nll[1]);
        json.value("kl", kl);
      });
      ++result.read.windows;
    }
    progress.show(source.bytes(), double(stream.totalBytes()),
                  std::to_string(result.kl.tokens()) + " tokens, KL " + significant(result.kl.mean(), 3));
  });
  progress.clear();
  result.read.finish(source, result.kl);
  report(options.json, [&](JsonWriter &json) { writeFields(json, result); }, [&] { printTable(result); });
}

} // namespace

void kerf::tools::addCompare(CLI::App &app) {
  const auto options = std::make_shared<Options>();
  CLI::App *command =
      app.add_subcommand("compare", "How far the predictions of model B are from those of model A, on a text");
  addRunOptions(*command, *options, "Print one JSON object instead of a table");
  command->add_option("OTHER.kerf", options->other, "Package B, with the same tokenizer")->required();
  addTextOptions(*command, *options);
  command->add_option("--variant-b", options->otherVariant, "Variant of B; as for A where not given");
  command->final_callback([options] { compare(*options); });
}
