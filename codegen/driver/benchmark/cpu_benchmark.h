/*
 * Runs one kernel for CPUs of a compiled model on random numbers and prints its speed. Included by the file that names
 * the kernel, which `kerf-compile --dump-kernels-to` writes beside it and beside the kernel's object:
 *
 *     cc -O2 KERNEL.c KERNEL.o -o benchmark && ./benchmark --tokens=512
 *
 * kernel_benchmark.h says what the options mean. One thread runs all tasks of the dispatch.
 */
#ifndef CPU_BENCHMARK_H
#define CPU_BENCHMARK_H

#include "kernel_benchmark.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct bench_cpu {
  kerf_kernel_fn run;
  uint64_t features; /* kerf_cpu_feature bits */
  uint32_t tile, columns;
} bench_cpu;

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

static int bench_main(const bench_kernel *kernel, const bench_cpu *cpu, int argc, char **argv) {
  bench_step step;
  int64_t seconds;
  bench_begin(kernel, &step, &seconds, NULL, 0, argc, argv);
  if (!bench_runs(cpu->features)) {
    fprintf(stderr, "error: this CPU or system lacks what variant %s needs\n", kernel->variant);
    return 2;
  }
  void *operands[BENCH_MOST_OPERANDS];
  for (uint32_t i = 0; i < kernel->operand_count; ++i) {
    const bench_operand *operand = &kernel->operands[i];
    operands[i] = operand->kind == KERF_OPERAND_STEP ? bench_array(&step, operand->field).data
                                                     : bench_numbers(bench_bytes(operand, &step, kernel));
  }

  const int64_t rows = step.extents[kernel->extent], tasks = (rows + cpu->tile - 1) / cpu->tile * cpu->columns;
  enum { most = 100000 };
  double *runs = bench_allocate(most * sizeof(double));
  int count = 0;
  const double start = bench_seconds();
  double now = start;
  do {
    for (int64_t task = 0; task < tasks; ++task)
      cpu->run(operands, rows, task);
    const double end = bench_seconds();
    runs[count++] = end - now;
    now = end;
  } while (count < most && now - start < (double)seconds);
  qsort(runs, (size_t)count, sizeof *runs, bench_compare);
  const double best = runs[0];
  bench_print_step(kernel, &step);
  printf("best %.0f ns, median %.0f ns of %d runs, %.2f GB/s, %.2f GFLOP/s\n", best * 1e9, runs[count / 2] * 1e9, count,
         (double)bench_evaluate(&kernel->bytes, step.extents) / best * 1e-9,
         (double)bench_evaluate(&kernel->operations, step.extents) / best * 1e-9);
  return 0;
}

#endif
