/*
 * Runs one kernel of a compiled model on random numbers and prints its speed. Included by the file that names the
 * kernel, which `kerf-compile --dump-kernels-to` writes beside it and beside the kernel's object:
 *
 *     cc -O2 KERNEL.c KERNEL.o -o benchmark && ./benchmark --tokens=512
 *
 * The step has --tokens rows (at most 512 if none are given), spread evenly over --sequences sequences that hold
 * --context keys before it; the last row of each wants logits. One thread runs all tasks of the dispatch again and
 * again for --seconds; the best and the median run are printed, with the bytes that must move and the operations that
 * must be done at least.
 */
#ifndef KERNEL_BENCHMARK_H
#define KERNEL_BENCHMARK_H

#include "kerf/abi.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct bench_operand {
  uint32_t kind;          /* kerf_operand_kind */
  uint32_t field;         /* kerf_step_field */
  kerf_linear_form bytes; /* of slots, weights and results */
} bench_operand;

typedef struct bench_kernel {
  const char *name, *variant;
  kerf_kernel_fn run;
  uint64_t features; /* kerf_cpu_feature bits */
  uint32_t extent;   /* kerf_extent that counts the rows */
  uint32_t tile, columns, attention_tile;
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
  int64_t page_count;
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

static void *bench_resolve(const bench_operand *operand, const bench_step *step, const bench_kernel *kernel) {
  if (operand->kind == KERF_OPERAND_CACHE)
    return bench_numbers((uint64_t)step->page_count * kernel->page_bytes);
  if (operand->kind != KERF_OPERAND_STEP)
    return bench_numbers((uint64_t)bench_evaluate(&operand->bytes, step->extents));
  switch (operand->field) {
  case KERF_STEP_TOKEN_IDS:
    return step->token_ids;
  case KERF_STEP_POSITIONS:
    return step->positions;
  case KERF_STEP_LOGIT_ROWS:
    return step->logit_rows;
  case KERF_STEP_WORK_ITEMS:
    return step->work_items;
  case KERF_STEP_SLOTS:
    return step->slots;
  case KERF_STEP_FIRST_ROWS:
    return step->first_rows;
  case KERF_STEP_ROW_COUNTS:
    return step->row_counts;
  case KERF_STEP_PAGE_BEGIN:
    return step->page_begin;
  default:
    return step->pages;
  }
}

/* Whether CPU and system can run the kernel: Intel SDM volume 2, CPUID; Linux gives tiles to who asks. */
static int bench_runs(uint64_t features) {
  unsigned a = 0, b = 0, c = 0, d = 0, a71 = 0, ignored;
  __get_cpuid_count(7, 0, &a, &b, &c, &d);
  __get_cpuid_count(7, 1, &a71, &ignored, &ignored, &ignored);
  if ((features & KERF_CPU_AVX2) && !__builtin_cpu_supports("avx2"))
    return 0;
  if ((features & KERF_CPU_AVX512) && !__builtin_cpu_supports("avx512vl"))
    return 0;
  if ((features & KERF_CPU_AVX512_BF16) && !(a71 >> 5 & 1))
    return 0;
  if ((features & KERF_CPU_AMX_BF16) && (!(d >> 22 & 1) || syscall(SYS_arch_prctl, 0x1023, 18) != 0))
    return 0;
  return 1;
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

static int64_t bench_option(const char *argument, const char *name, int64_t least, int64_t *value) {
  const size_t length = strlen(name);
  if (strncmp(argument, name, length) != 0 || argument[length] != '=')
    return 0;
  char *end;
  errno = 0;
  *value = strtoll(argument + length + 1, &end, 10);
  if (errno || *end || end == argument + length + 1 || *value < least || *value > 1 << 24)
    bench_fail("the value of an option must be a whole number in its range", argument);
  return 1;
}

static int bench_main(const bench_kernel *kernel, int argc, char **argv) {
  bench_step step = {.tokens = bench_min(512, kernel->longest), .sequences = 1, .context = 0};
  int64_t seconds = 1;
  for (int i = 1; i < argc; ++i)
    if (!bench_option(argv[i], "--tokens", 1, &step.tokens) &&
        !bench_option(argv[i], "--sequences", 1, &step.sequences) &&
        !bench_option(argv[i], "--context", 0, &step.context) && !bench_option(argv[i], "--seconds", 0, &seconds))
      bench_fail("options are --tokens=N, --sequences=N, --context=N and --seconds=N", argv[i]);
  if (step.sequences > step.tokens)
    bench_fail("--tokens must be at least --sequences", "fewer");
  if (step.context + (step.tokens + step.sequences - 1) / step.sequences > kernel->longest) {
    fprintf(stderr,
            "error: a sequence must have at most the model's %u tokens, got more; give fewer --tokens or --context\n",
            (unsigned)kernel->longest);
    return 1;
  }
  if (!bench_runs(kernel->features)) {
    fprintf(stderr, "error: this CPU or system lacks what variant %s needs\n", kernel->variant);
    return 2;
  }
  bench_fill(&step, kernel);
  void *operands[16];
  for (uint32_t i = 0; i < kernel->operand_count; ++i)
    operands[i] = bench_resolve(&kernel->operands[i], &step, kernel);

  const int64_t rows = step.extents[kernel->extent], tasks = (rows + kernel->tile - 1) / kernel->tile * kernel->columns;
  enum { most = 100000 };
  double *runs = bench_allocate(most * sizeof(double));
  int count = 0;
  const double start = bench_seconds();
  double now = start;
  do {
    for (int64_t task = 0; task < tasks; ++task)
      kernel->run(operands, rows, task);
    const double end = bench_seconds();
    runs[count++] = end - now;
    now = end;
  } while (count < most && now - start < (double)seconds);
  qsort(runs, (size_t)count, sizeof *runs, bench_compare);
  const double best = runs[0];
  printf("%s %s: %lld tokens, %lld sequences, %lld keys before\n", kernel->name, kernel->variant,
         (long long)step.tokens, (long long)step.sequences, (long long)step.context);
  printf("best %.0f ns, median %.0f ns of %d runs, %.2f GB/s, %.2f GFLOP/s\n", best * 1e9, runs[count / 2] * 1e9, count,
         (double)bench_evaluate(&kernel->bytes, step.extents) / best * 1e-9,
         (double)bench_evaluate(&kernel->operations, step.extents) / best * 1e-9);
  return 0;
}

#endif
