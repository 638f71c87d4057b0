/*
 * What benchmarks of kernels share: a step of random numbers, options and statistics. Included by cpu_benchmark.h and
 * gpu_benchmark.h, which `kerf-compile --dump-kernels-to` writes beside it.
 *
 * The step has --tokens rows (at most 512 if none are given), spread evenly over --sequences sequences that hold
 * --context keys before it; the last row of each wants logits. The kernel runs again and again for --seconds; the best
 * and the median run are printed, with the bytes that must move and the operations that must be done at least.
 */
#ifndef KERNEL_BENCHMARK_H
#define KERNEL_BENCHMARK_H

#include "kerf/abi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_MOST_OPERANDS 16

typedef struct bench_operand {
  uint32_t kind;          /* kerf_operand_kind */
  uint32_t field;         /* kerf_step_field */
  kerf_linear_form bytes; /* of slots, weights and results */
} bench_operand;

typedef struct bench_kernel {
  const char *name, *variant;
  uint32_t extent;         /* kerf_extent that counts the rows */
  uint32_t attention_tile; /* of the variant */
  uint32_t operand_count;
  const bench_operand *operands;
  kerf_linear_form bytes, operations;
  uint32_t page_size; /* of the KV group that the operands name */
  uint64_t page_bytes;
  kerf_work_list work_list; /* that the operands name */
  uint32_t vocabulary;
  uint32_t longest; /* sequence of the model */
} bench_kernel;

/* The step. */
typedef struct bench_step {
  int64_t tokens, sequences, context;
  int64_t extents[KERF_EXTENT_COUNT];
  int32_t *token_ids, *positions, *logit_rows, *first_rows, *row_counts, *slots, *page_begin, *pages;
  kerf_work_item *work_items;
  kerf_sampling *samplings;
  int64_t page_count;
  int single_rows, several_rows; /* whether some work item has one row, more than one */
} bench_step;

static void bench_fail(const char *message, const char *value) {
  fprintf(stderr, "error: %s, got %s\n", message, value);
  exit(1);
}

/* 64-byte aligned, never NULL. */
static void *bench_allocate(uint64_t bytes) {
  void *memory = aligned_alloc(64, (bytes / 64 + 1) * 64);
  if (!memory) {
    fprintf(stderr, "error: %llu bytes must be free\n", (unsigned long long)bytes);
    exit(1);
  }
  return memory;
}

static uint64_t bench_random(void) {
  static uint64_t state = 1;
  /* Knuth's MMIX; its upper bits are the good ones. */
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 32;
}

/* 16-bit patterns that are numbers near 1 as bf16, as f16 and, two of them, as f32. */
static void *bench_numbers(uint64_t bytes) {
  uint16_t *memory = bench_allocate(bytes);
  for (uint64_t i = 0; i < bytes / 2; ++i)
    memory[i] = (uint16_t)(0x3e80 + bench_random() % 0x100 + (bench_random() % 2 << 15));
  return memory;
}

static int64_t bench_evaluate(const kerf_linear_form *form, const int64_t *extents) {
  int64_t sum = 0;
  for (int e = 0; e < KERF_EXTENT_COUNT; ++e)
    sum += form->coefficient[e] * extents[e];
  return sum;
}

static int64_t bench_min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t bench_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* Fills in the arrays as the runtime does: pages of a sequence lie one after the other. */
static void bench_fill(bench_step *step, const bench_kernel *kernel) {
  const int64_t page = kernel->page_size ? kernel->page_size : 1;
  const int64_t tile = kernel->attention_tile ? kernel->attention_tile : 1;
  const kerf_work_list rule = kernel->work_list;
  step->token_ids = bench_allocate(step->tokens * 4);
  step->positions = bench_allocate(step->tokens * 4);
  step->slots = bench_allocate(step->tokens * 4);
  step->logit_rows = bench_allocate(step->sequences * 4);
  step->samplings = bench_allocate(step->sequences * sizeof(kerf_sampling));
  step->first_rows = bench_allocate(step->sequences * 4);
  step->row_counts = bench_allocate(step->sequences * 4);
  step->page_begin = bench_allocate((step->sequences + 1) * 4);
  step->pages = bench_allocate((step->sequences * (step->context / page + 2) + step->tokens / page + 1) * 4);
  step->work_items = bench_allocate((step->tokens + step->sequences) * sizeof(kerf_work_item));
  int64_t row = 0, items = 0, attended = 0, cached = 0, pages = 0;
  step->page_begin[0] = 0;
  for (int64_t s = 0; s < step->sequences; ++s) {
    const int64_t rows = (s + 1) * step->tokens / step->sequences - row, length = step->context + rows;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t position = step->context + i;
      step->token_ids[row + i] = (int32_t)(bench_random() % (kernel->vocabulary ? kernel->vocabulary : 1));
      step->positions[row + i] = (int32_t)position;
      step->slots[row + i] = (int32_t)(pages * page + position);
      const int64_t first = rule.behind == KERF_UNBOUNDED ? 0 : bench_max(0, position + 1 - rule.behind);
      attended += bench_min(length, position + 1 + (int64_t)rule.ahead) - first;
    }
    for (int64_t i = 0; i < rows; i += tile) {
      const int64_t count = bench_min(tile, rows - i), position = step->context + i;
      kerf_work_item *item = &step->work_items[items++];
      step->single_rows |= count == 1;
      step->several_rows |= count > 1;
      item->row_begin = (int32_t)(row + i);
      item->row_count = (int32_t)count;
      item->sequence = (int32_t)s;
      item->position = (int32_t)position;
      item->key_first = (int32_t)(rule.behind == KERF_UNBOUNDED ? 0 : bench_max(0, position + 1 - rule.behind));
      item->key_end = (int32_t)bench_min(length, position + count + (int64_t)rule.ahead);
      item->behind = rule.behind;
      item->ahead = rule.ahead;
    }
    cached += length - (rule.behind == KERF_UNBOUNDED ? 0 : bench_max(0, step->context + 1 - rule.behind));
    for (int64_t i = 0; i < (length + page - 1) / page; ++i)
      step->pages[pages + i] = (int32_t)(pages + i);
    pages += (length + page - 1) / page;
    step->page_begin[s + 1] = (int32_t)pages;
    step->first_rows[s] = (int32_t)row;
    step->row_counts[s] = (int32_t)rows;
    row += rows;
    step->logit_rows[s] = (int32_t)(row - 1);
    step->samplings[s] =
        (kerf_sampling){.temperature = 0.8f, .top_p = 0.95f, .top_k = 50, .random = bench_random() << 32};
  }
  step->page_count = pages;
  step->extents[KERF_EXTENT_ONE] = 1;
  step->extents[KERF_EXTENT_TOKENS] = step->tokens;
  step->extents[KERF_EXTENT_SEQUENCES] = step->sequences;
  step->extents[KERF_EXTENT_LOGIT_ROWS] = step->sequences;
  step->extents[KERF_EXTENT_WORK_ITEMS] = items;
  step->extents[KERF_EXTENT_ATTENDED] = attended;
  step->extents[KERF_EXTENT_CACHED] = cached;
}

typedef struct bench_memory {
  void *data;
  uint64_t bytes;
} bench_memory;

/* An array of the step. */
static bench_memory bench_array(const bench_step *step, uint32_t field) {
  const uint64_t tokens = (uint64_t)step->tokens * 4, sequences = (uint64_t)step->sequences * 4;
  switch (field) {
  case KERF_STEP_TOKEN_IDS:
    return (bench_memory){step->token_ids, tokens};
  case KERF_STEP_POSITIONS:
    return (bench_memory){step->positions, tokens};
  case KERF_STEP_LOGIT_ROWS:
    return (bench_memory){step->logit_rows, sequences};
  case KERF_STEP_SAMPLING:
    return (bench_memory){step->samplings, (uint64_t)step->sequences * sizeof(kerf_sampling)};
  case KERF_STEP_WORK_ITEMS:
    return (bench_memory){step->work_items, (uint64_t)step->extents[KERF_EXTENT_WORK_ITEMS] * sizeof(kerf_work_item)};
  case KERF_STEP_SLOTS:
    return (bench_memory){step->slots, tokens};
  case KERF_STEP_FIRST_ROWS:
    return (bench_memory){step->first_rows, sequences};
  case KERF_STEP_ROW_COUNTS:
    return (bench_memory){step->row_counts, sequences};
  case KERF_STEP_PAGE_BEGIN:
    return (bench_memory){step->page_begin, sequences + 4};
  case KERF_STEP_PAGES:
    return (bench_memory){step->pages, (uint64_t)step->page_count * 4};
  default:
    fprintf(stderr, "error: field %u of the step must be known to kernel_benchmark.h\n", (unsigned)field);
    exit(1);
  }
}

/* Size of an operand that is no array of the step. */
static uint64_t bench_bytes(const bench_operand *operand, const bench_step *step, const bench_kernel *kernel) {
  if (operand->kind == KERF_OPERAND_CACHE)
    return (uint64_t)step->page_count * kernel->page_bytes;
  return (uint64_t)bench_evaluate(&operand->bytes, step->extents);
}

static double bench_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int bench_compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void bench_print_step(const bench_kernel *kernel, const bench_step *step) {
  printf("%s %s: %lld tokens, %lld sequences, %lld keys before\n", kernel->name, kernel->variant,
         (long long)step->tokens, (long long)step->sequences, (long long)step->context);
}

/* --NAME=N of at least `least`, or --NAME=FILE. */
typedef struct bench_option {
  const char *name;
  int64_t least;
  int64_t *value;
  const char **file;
} bench_option;

/* The options of the step and those of the benchmark; then fills in the step. */
static void bench_begin(const bench_kernel *kernel, bench_step *step, int64_t *seconds, const bench_option *more,
                        int more_count, int argc, char **argv) {
  *step = (bench_step){.tokens = bench_min(512, kernel->longest), .sequences = 1};
  *seconds = 1;
  bench_option options[16] = {{"tokens", 1, &step->tokens, NULL},
                              {"sequences", 1, &step->sequences, NULL},
                              {"context", 0, &step->context, NULL},
                              {"seconds", 0, seconds, NULL}};
  const int count = 4 + more_count;
  for (int i = 0; i < more_count; ++i)
    options[4 + i] = more[i];
  for (int i = 1; i < argc; ++i) {
    const bench_option *option = NULL;
    const char *value = strchr(argv[i], '=');
    for (int o = 0; o < count && value; ++o)
      if (strncmp(argv[i], "--", 2) == 0 && strlen(options[o].name) == (size_t)(value - argv[i]) - 2 &&
          strncmp(argv[i] + 2, options[o].name, strlen(options[o].name)) == 0)
        option = &options[o];
    if (!option) {
      fprintf(stderr, "error: options are ");
      for (int o = 0; o < count; ++o)
        fprintf(stderr, "%s--%s=%s",
                o == 0          ? ""
                : o + 1 < count ? ", "
                                : " and ",
                options[o].name, options[o].file ? "FILE" : "N");
      fprintf(stderr, ", got %s\n", argv[i]);
      exit(1);
    }
    ++value;
    if (option->file) {
      *option->file = value;
      continue;
    }
    char *end;
    errno = 0;
    *option->value = strtoll(value, &end, 10);
    if (errno || *end || end == value || *option->value < option->least || *option->value > 1 << 24)
      bench_fail("the value of an option must be a whole number in its range", argv[i]);
  }
  if (step->sequences > step->tokens)
    bench_fail("--tokens must be at least --sequences", "fewer");
  if (step->context + (step->tokens + step->sequences - 1) / step->sequences > kernel->longest) {
    fprintf(stderr,
            "error: a sequence must have at most the model's %u tokens, got more; give fewer --tokens or --context\n",
            (unsigned)kernel->longest);
    exit(1);
  }
  bench_fill(step, kernel);
}

#endif
