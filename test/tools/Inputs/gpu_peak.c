/* Compares the peak of a GPU's memory that the header states with what the runtime says: gpu_peak MODEL.kerf DRIVER */
#include "kerf-tiny-llama.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t stated(const kerf_plan_options *plan) {
  return kerf_kerf_tiny_llama_peak_bytes(plan->max_tokens, plan->max_sequences, plan->context, plan->max_logit_rows, 1);
}

int main(int argc, char **argv) {
  kerf_model_options options = {.struct_size = sizeof options, .driver = argc > 2 ? argv[2] : NULL};
  kerf_model *model = NULL;
  kerf_error error;
  if (argc != 3 || kerf_kerf_tiny_llama_open(argv[1], &options, &model, &error) != KERF_OK) {
    fprintf(stderr, "%s\n", argc == 3 ? error.message : "MODEL.kerf DRIVER");
    return 1;
  }
  const uint32_t tokens[] = {0, 1, 512}, sequences[] = {0, 3, 65}, contexts[] = {0, 1, 777}, rows[] = {0, 2, 500};
  int same = 0;
  for (int i = 0; i < 81; ++i) {
    kerf_plan_options plan = {.struct_size = sizeof plan,
                              .max_tokens = tokens[i % 3],
                              .max_sequences = sequences[i / 3 % 3],
                              .context = contexts[i / 9 % 3],
                              .max_logit_rows = rows[i / 27]};
    kerf_plan_report report = {.struct_size = sizeof report};
    if (kerf_model_certificate(model, 1, &plan, &report, &error) != KERF_OK) {
      fprintf(stderr, "%s\n", error.message);
      return 1;
    }
    if (stated(&plan) != report.device)
      printf("plan %d: the header states %" PRIu64 ", the runtime %" PRIu64 "\n", i, stated(&plan), report.device);
    else
      ++same;
  }
  kerf_model_close(model);
  printf("%d plans are the same\n", same);
  return same == 81 ? 0 : 1;
}
