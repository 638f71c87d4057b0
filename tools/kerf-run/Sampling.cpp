#include "tools/kerf-run/Sampling.h"

void kerf::tools::addSamplingOptions(CLI::App &command, SamplingOptions &options, const char *most) {
  command.add_option("-n,--max-tokens", options.maxTokens, most)->capture_default_str();
  command.add_option("-t,--temperature", options.temperature, "0: the likeliest token, always")->capture_default_str();
  command.add_option("--top-k", options.topK, "Keep the k likeliest tokens; 0: all")->capture_default_str();
  command.add_option("--top-p", options.topP, "Keep the likeliest tokens up to this probability; 0: all");
  command.add_flag("--sample", options.sample, "Sample as the model's generation_config.json says");
  command.add_option("--seed", options.seed, "Seed of the sampler")->capture_default_str();
}

kerf_generate_options kerf::tools::samplingOf(const Model &model, const SamplingOptions &options) {
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
  generation.max_tokens = options.maxTokens;
  generation.seed = options.seed;
  return generation;
}
