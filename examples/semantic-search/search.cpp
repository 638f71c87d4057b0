// Searches the lines of a text file by meaning: those whose vectors point most nearly where the query's does.
//
//   search MODEL.kerf FILE QUERY [number of lines]
#include <kerf/kerf.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

static void check(kerf_code code, const kerf_error &error) {
  if (code == KERF_OK)
    return;
  std::fprintf(stderr, "search: %s: %s\n", kerf_code_name(code), error.message);
  std::exit(1);
}

// Cosine of two vectors; they need not have length 1.
static double cosine(const float *a, const float *b, size_t columns) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < columns; ++i) {
    ab += double(a[i]) * b[i];
    aa += double(a[i]) * a[i];
    bb += double(b[i]) * b[i];
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: search MODEL.kerf FILE QUERY [number of lines]\n");
    return 2;
  }
  std::ifstream file(argv[2]);
  if (!file) {
    std::fprintf(stderr, "search: '%s' cannot be read\n", argv[2]);
    return 1;
  }
  std::vector<std::string> texts = {argv[3]};
  for (std::string line; std::getline(file, line);)
    if (!line.empty())
      texts.push_back(line);

  kerf_error error;
  kerf_model *model = nullptr;
  check(kerf_model_open_files(argv[1], nullptr, &model, &error), error);
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  check(kerf_model_get_info(model, &info, &error), error);
  if (!info.vector) {
    std::fprintf(stderr, "search: %s gives no vectors: compile an encoder\n", info.name);
    return 1;
  }
  kerf_context *context = nullptr;
  check(kerf_context_create(model, nullptr, &context, &error), error);
  kerf_plan_options plan = {};
  plan.struct_size = sizeof plan;
  plan.max_tokens = std::max(1024u, info.context); // texts are not padded: a step takes as many as fit
  plan.max_sequences = 64;
  check(kerf_context_plan(context, &plan, nullptr, &error), error);

  std::vector<kerf_embed_input> inputs;
  for (const std::string &text : texts)
    inputs.push_back({text.c_str(), text.size(), nullptr, 0, KERF_PLAIN_TEXT});
  std::vector<float> vectors(texts.size() * info.vector);
  kerf_embed_options options = {};
  options.struct_size = sizeof options;
  options.input_size = sizeof inputs[0];
  options.input_count = inputs.size();
  options.inputs = inputs.data();
  options.vectors = vectors.data();
  kerf_embed_result result = {};
  result.struct_size = sizeof result;
  check(kerf_context_embed(context, &options, &result, &error), error);

  std::vector<std::pair<double, size_t>> ranked;
  for (size_t i = 1; i < texts.size(); ++i)
    ranked.push_back({-cosine(&vectors[0], &vectors[i * info.vector], info.vector), i});
  std::sort(ranked.begin(), ranked.end());
  const size_t wanted = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 5;
  for (size_t i = 0; i < std::min(wanted, ranked.size()); ++i)
    std::printf("%.4f  %s\n", -ranked[i].first, texts[ranked[i].second].c_str());
  std::fprintf(stderr, "%s: %zu lines, %llu tokens in %u steps, %.3f s\n", info.name, texts.size() - 1,
               (unsigned long long)result.tokens, result.steps, double(result.nanoseconds) * 1e-9);
  kerf_context_close(context);
  kerf_model_close(model);
  return 0;
}
