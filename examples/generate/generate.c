// Generates text with a compiled model, in two ways: kerf_generate does everything; below it, the same greedy text
// token by token, for programs that sample for themselves.
//
//   generate kerf-tiny-llama.kerf "The function returns" [new tokens]
#include "kerf-tiny-llama.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(kerf_code code, const kerf_error *error) {
  if (code == KERF_OK)
    return;
  fprintf(stderr, "generate: %s: %s\n", kerf_code_name(code), error->message);
  exit(1);
}

static int print(void *user, const char *text, size_t bytes) {
  (void)user;
  fwrite(text, 1, bytes, stdout);
  fflush(stdout);
  return 0; // anything else ends the text
}

static int32_t likeliest(const float *logits, uint32_t vocabulary) {
  int32_t best = 0;
  for (uint32_t i = 1; i < vocabulary; ++i)
    if (logits[i] > logits[best])
      best = (int32_t)i;
  return best;
}

// The same tokens by kerf_context_step. Returns how many of `expected` came out again.
static uint32_t step_by_step(kerf_model *model, kerf_context *context, uint32_t vocabulary, uint32_t max_tokens,
                             const char *prompt, const int32_t *expected, uint32_t count) {
  kerf_error error;
  size_t prompt_count = 0;
  check(kerf_tokenize(model, prompt, strlen(prompt), 0, NULL, 0, &prompt_count, &error), &error);
  int32_t *ids = malloc(prompt_count * sizeof *ids);
  if (!ids)
    return 0;
  check(kerf_tokenize(model, prompt, strlen(prompt), 0, ids, prompt_count, &prompt_count, &error), &error);

  kerf_sequence *sequence = NULL;
  check(kerf_sequence_create(context, &sequence, &error), &error);
  kerf_step_entry entry = {.sequence = sequence, .ids = ids, .logits = KERF_LOGITS_NONE};
  kerf_step step = {.struct_size = sizeof step, .entry_size = sizeof entry, .entry_count = 1, .entries = &entry};
  // A step takes as many tokens as were planned: all of a long prompt but its last part goes ahead, without logits.
  uint32_t left = (uint32_t)prompt_count;
  for (entry.count = max_tokens; left > max_tokens; left -= max_tokens, entry.ids += max_tokens)
    check(kerf_context_step(context, &step, &error), &error);
  entry.count = left;
  entry.logits = KERF_LOGITS_LAST;

  uint32_t same = 0;
  int32_t token = 0;
  for (uint32_t i = 0; i < count; ++i) {
    check(kerf_context_step(context, &step, &error), &error);
    token = likeliest(kerf_context_logits(context, 0), vocabulary);
    same += token == expected[i];
    entry.ids = &token;
    entry.count = 1;
  }
  kerf_sequence_close(sequence);
  free(ids);
  return same;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: generate MODEL.kerf PROMPT [NEW-TOKENS]\n");
    return 2;
  }
  const uint32_t new_tokens = argc > 3 ? (uint32_t)atoi(argv[3]) : 64;
  kerf_error error;

  // The library's own constant: a package of another build is refused.
  kerf_model *model = NULL;
  check(kerf_model_open(argv[1], &kerf_kerf_tiny_llama_library, NULL, &model, &error), &error);
  kerf_model_info info = {.struct_size = sizeof info};
  check(kerf_model_get_info(model, &info, &error), &error);

  kerf_context *context = NULL;
  check(kerf_context_create(model, NULL, &context, &error), &error);
  const kerf_plan_options plan = {.struct_size = sizeof plan, .max_sequences = 1};
  kerf_plan_report report = {.struct_size = sizeof report};
  check(kerf_context_plan(context, &plan, &report, &error), &error);

  const kerf_generate_options options = {
      .struct_size = sizeof options, .prompt = argv[2], .max_tokens = new_tokens, .on_text = print};
  kerf_generate_result result = {.struct_size = sizeof result};
  check(kerf_generate(context, &options, &result, &error), &error);
  printf("\n");

  const uint32_t same =
      step_by_step(model, context, info.vocabulary, report.max_tokens, argv[2], result.ids, result.id_count);
  fprintf(stderr, "%s (%s): %u tokens, end: %s; %u of them again step by step; planned %llu bytes\n", info.name,
          info.variant, result.id_count, kerf_finish_name((kerf_finish)result.finish), same,
          (unsigned long long)report.total);
  const int failed = same != result.id_count;

  kerf_generate_result_free(&result);
  kerf_context_close(context);
  kerf_model_close(model);
  return failed;
}
