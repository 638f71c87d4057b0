// kerf-bench: measures prompt and decode speed, and where the time goes. Uses the C API alone.
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Handles.h"
#include "tools/runtime-support/Report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <vector>

using namespace kerf::tools;

namespace {

struct Options : RunOptions {
  uint32_t promptTokens = 512, genTokens = 64, sequences = 1, repeat = 5, maxBatch = 0;
  std::vector<uint32_t> threadCounts = {0};
  bool perKernel = false;
};

// What one kernel cost in one phase, over all its dispatches.
struct KernelCost {
  std::string kernel;
  uint64_t dispatches = 0, calls = 0, nanoseconds = 0;
  double bytes = 0, operations = 0;
};

// Seconds of each repetition, and what was done in each.
struct Phase {
  uint64_t tokens = 0;
  std::vector<double> seconds;
  std::vector<KernelCost> kernels;

  double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    const size_t half = sorted.size() / 2;
    return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  double least() const { return *std::min_element(seconds.begin(), seconds.end()); }
  double most() const { return *std::max_element(seconds.begin(), seconds.end()); }
};

struct Run {
  uint32_t threads = 0;
  kerf_plan_report report = {};
  Phase prefill, decode;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void step(const Context &context, const std::vector<kerf_step_entry> &entries) {
  kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(entries.size()), entries.data()};
  kerf_error error;
  check(kerf_context_step(context.get(), &step, &error), error);
}

// Of the tokens that steps draw, as a generation does by default: the likeliest.
const kerf_sampling kGreedy = {};

// One repetition: a prompt for every sequence, then tokens for all of them together.
void repetition(const Context &context, const Options &options, uint32_t batch, const std::vector<int32_t> &ids,
                double &prefill, double &decode) {
  std::vector<Sequence> sequences;
  for (uint32_t s = 0; s < options.sequences; ++s)
    sequences.push_back(makeSequence(context));
  const double begin = now();
  for (const Sequence &sequence : sequences)
    for (uint32_t at = 0; at < options.promptTokens; at += batch) {
      const uint32_t count = std::min(batch, options.promptTokens - at);
      const bool last = at + count == options.promptTokens;
      step(context, {{sequence.get(), ids.data() + at, count, uint32_t(last ? KERF_LOGITS_LAST : KERF_LOGITS_NONE),
                      last ? &kGreedy : nullptr}});
    }
  const double middle = now();
  std::vector<kerf_step_entry> entries;
  for (uint32_t token = 0; token < options.genTokens; ++token) {
    entries.clear();
    for (const Sequence &sequence : sequences)
      entries.push_back({sequence.get(), ids.data() + token % ids.size(), 1, KERF_LOGITS_LAST, &kGreedy});
    step(context, entries);
  }
  prefill = middle - begin;
  decode = now() - middle;
}

std::vector<KernelCost> readProfile(const Context &context) {
  std::map<std::string, KernelCost> byName;
  kerf_profile_row row = {};
  row.struct_size = sizeof row;
  for (uint32_t i = 0; kerf_context_profile_row(context.get(), i, &row, nullptr) == KERF_OK; ++i) {
    KernelCost &cost = byName[row.kernel];
    cost.kernel = row.kernel;
    ++cost.dispatches;
    cost.calls += row.calls;
    cost.nanoseconds += row.nanoseconds;
    cost.bytes += row.bytes;
    cost.operations += row.operations;
  }
  std::vector<KernelCost> costs;
  for (auto &[name, cost] : byName)
    if (cost.calls)
      costs.push_back(cost);
  std::sort(costs.begin(), costs.end(),
            [](const KernelCost &a, const KernelCost &b) { return a.nanoseconds > b.nanoseconds; });
  return costs;
}

// Profiled apart from the timed repetitions, which the clock readings would disturb.
void profile(const Context &context, const Options &options, uint32_t batch, const std::vector<int32_t> &ids,
             Run &run) {
  Options phase = options;
  double prefill, decode;
  phase.genTokens = 0;
  kerf_error error;
  check(kerf_context_profile(context.get(), 1, &error), error);
  repetition(context, phase, batch, ids, prefill, decode);
  run.prefill.kernels = readProfile(context);
  if (options.genTokens) {
    std::vector<Sequence> sequences;
    std::vector<kerf_step_entry> entries;
    for (uint32_t s = 0; s < options.sequences; ++s) {
      sequences.push_back(makeSequence(context));
      for (uint32_t at = 0; at < options.promptTokens; at += batch)
        step(context, {{sequences.back().get(), ids.data() + at, std::min(batch, options.promptTokens - at),
                        uint32_t(KERF_LOGITS_NONE), nullptr}});
      entries.push_back({sequences.back().get(), ids.data(), 1, KERF_LOGITS_LAST, &kGreedy});
    }
    check(kerf_context_profile(context.get(), 1, &error), error);
    for (uint32_t token = 0; token < options.genTokens; ++token)
      step(context, entries);
    run.decode.kernels = readProfile(context);
  }
  check(kerf_context_profile(context.get(), 0, &error), error);
}

Run measure(const Model &model, const kerf_model_info &info, const Options &options, uint32_t threads) {
  const Context context = makeContext(model, threads);
  kerf_plan_options planned = {};
  planned.struct_size = sizeof planned;
  const uint32_t batch = options.maxBatch ? options.maxBatch : options.promptTokens;
  planned.max_tokens = std::max(batch, options.sequences);
  planned.max_sequences = options.sequences;
  planned.context = options.promptTokens + options.genTokens;
  planned.memory_limit = options.memoryLimit;
  Run run;
  run.report = plan(context, planned);
  run.threads = run.report.threads;
  // Ids spread over the vocabulary: embedding rows are read as a text's would be.
  std::vector<int32_t> ids;
  for (uint32_t i = 0; i < options.promptTokens; ++i)
    ids.push_back(int32_t((uint64_t(i) * 2654435761u + 12345) % info.vocabulary));

  double prefill, decode;
  repetition(context, options, batch, ids, prefill, decode); // warms caches and maps the weights
  run.prefill.tokens = uint64_t(options.promptTokens) * options.sequences;
  run.decode.tokens = uint64_t(options.genTokens) * options.sequences;
  for (uint32_t i = 0; i < options.repeat; ++i) {
    repetition(context, options, batch, ids, prefill, decode);
    run.prefill.seconds.push_back(prefill);
    run.decode.seconds.push_back(decode);
  }
  if (options.perKernel)
    profile(context, options, batch, ids, run);
  return run;
}

void printPhase(const char *name, const Phase &phase) {
  if (phase.tokens)
    std::printf("  %-8s %10.1f tokens/s  (%.1f to %.1f, %zu runs; %.3f ms a token)\n", name,
                double(phase.tokens) / phase.median(), double(phase.tokens) / phase.most(),
                double(phase.tokens) / phase.least(), phase.seconds.size(),
                1e3 * phase.median() / double(phase.tokens));
}

void printKernels(const char *name, const Phase &phase) {
  uint64_t total = 0;
  for (const KernelCost &cost : phase.kernels)
    total += cost.nanoseconds;
  if (!total)
    return;
  std::printf("\n  %s, by kernel\n  %-40s %6s %8s %12s %7s %9s %9s\n", name, "kernel", "calls", "us/call", "ms",
              "share", "GB/s", "GFLOP/s");
  for (const KernelCost &cost : phase.kernels)
    std::printf("  %-40s %6llu %8.1f %12.3f %6.1f%% %9.2f %9.2f\n", cost.kernel.c_str(), (unsigned long long)cost.calls,
                double(cost.nanoseconds) / 1e3 / double(cost.calls), double(cost.nanoseconds) / 1e6,
                100.0 * double(cost.nanoseconds) / double(total), cost.bytes / double(cost.nanoseconds),
                cost.operations / double(cost.nanoseconds));
}

void writePhase(JsonWriter &json, const char *name, const Phase &phase) {
  if (!phase.tokens)
    return;
  json.beginObject(name);
  json.value("tokens", phase.tokens);
  json.value("tokens_per_second", double(phase.tokens) / phase.median());
  json.value("tokens_per_second_least", double(phase.tokens) / phase.most());
  json.value("tokens_per_second_most", double(phase.tokens) / phase.least());
  json.beginArray("seconds");
  for (const double seconds : phase.seconds)
    json.value({}, seconds);
  json.endArray();
  if (!phase.kernels.empty()) {
    json.beginArray("kernels");
    for (const KernelCost &cost : phase.kernels) {
      json.beginObject();
      json.value("kernel", cost.kernel);
      json.value("dispatches", cost.dispatches);
      json.value("calls", cost.calls);
      json.value("nanoseconds", cost.nanoseconds);
      json.value("bytes", cost.bytes);
      json.value("operations", cost.operations);
      json.endObject();
    }
    json.endArray();
  }
  json.endObject();
}

void writeFields(JsonWriter &json, const kerf_model_info &info, const Options &options, const std::vector<Run> &runs) {
  json.value("model", info.name);
  json.value("variant", info.variant);
  json.value("device", info.device);
  json.value("weight_bytes", info.weight_bytes);
  json.value("prompt_tokens", options.promptTokens);
  json.value("gen_tokens", options.genTokens);
  json.value("sequences", options.sequences);
  json.beginArray("runs");
  for (const Run &run : runs) {
    json.beginObject();
    json.value("threads", run.threads);
    json.value("planned_bytes", run.report.total);
    json.value("planned_device_bytes", run.report.device);
    writePhase(json, "prefill", run.prefill);
    writePhase(json, "decode", run.decode);
    json.endObject();
  }
  json.endArray();
}

void printTable(const kerf_model_info &info, const Options &options, const std::vector<Run> &runs) {
  std::printf("%s, variant %s, weights %.1f MiB\nprompt %u, new %u, sequences %u\n", info.name, info.variant,
              double(info.weight_bytes) / 1048576, options.promptTokens, options.genTokens, options.sequences);
  for (const Run &run : runs) {
    std::printf("\n%u thread%s, planned %s\n", run.threads, run.threads == 1 ? "" : "s",
                plannedText(run.report).c_str());
    printPhase("prefill", run.prefill);
    printPhase("decode", run.decode);
    printKernels("prefill", run.prefill);
    printKernels("decode", run.decode);
  }
}

void bench(const Options &options) {
  const Model model = openModel(options);
  const kerf_model_info info = infoOf(model);
  if (uint64_t(options.promptTokens) + options.genTokens > info.context)
    throw std::runtime_error("prompt and new tokens must fit the model's context of " + std::to_string(info.context) +
                             ", got " + std::to_string(uint64_t(options.promptTokens) + options.genTokens) +
                             "; lower --prompt-tokens or --gen-tokens");
  std::vector<Run> runs;
  for (const uint32_t threads : options.threadCounts)
    runs.push_back(measure(model, info, options, threads));

  report(
      options.json, [&](JsonWriter &json) { writeFields(json, info, options, runs); },
      [&] { printTable(info, options, runs); });
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Measures the speed of a model compiled by kerf-compile", "kerf-bench");
  Options options;
  addModelOptions(app, options);
  app.add_option("--prompt-tokens", options.promptTokens, "Tokens of a prompt")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str();
  app.add_option("--gen-tokens", options.genTokens, "Tokens to make after it")
      ->check(CLI::Range(0u, 1u << 24))
      ->capture_default_str();
  app.add_option("--sequences", options.sequences, "Sequences that decode together")
      ->check(CLI::Range(1u, 1u << 16))
      ->capture_default_str();
  app.add_option("-j,--threads", options.threadCounts, "Thread counts to measure, with commas; 0: all usable")
      ->delimiter(',')
      ->capture_default_str()
      ->envname("KERF_THREADS");
  addCpusOption(app);
  app.add_option("--repeat", options.repeat, "Timed runs; one more warms up")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  app.add_option("--max-batch", options.maxBatch, "Most prompt tokens in a step; 0: the whole prompt");
  app.add_flag("--per-kernel", options.perKernel, "Show where the time goes");
  app.add_flag("--json", options.json, "Print JSON");
  app.final_callback([&] { bench(options); });
  return runTool(app, {argv + 1, argv + argc});
}
