/*
 * Runs one kernel for GPUs of a compiled model on random numbers and prints its speed. Included by the file that names
 * the kernel, which `kerf-compile --dump-kernels-to` writes beside it and beside the kernel's images:
 *
 *     cc -O2 KERNEL.c -ldl -o benchmark && ./benchmark --tokens=512
 *
 * Beside what kernel_benchmark.h says:
 *
 *     --driver=FILE    the CUDA driver; if not given what KERF_CUDA_DRIVER names, else libcuda.so.1
 *     --device=N       among several GPUs
 *     --image=FILE     path of the images without .cubin and .ptx; if not given KERNEL in the program's folder. The
 *                      cubin is taken where there is one that runs on the GPU, else the PTX
 *     --copies=N       sets of weights and KV pages that the launches take in turn; 0 or not given: as many as make up
 *                      twice the L2 cache, at most 64, so that weights and pages come from memory as in a model
 *     --launches=N     runs of the kernel in the CUDA graph that is timed; 0 or not given: so many that it takes 2 ms
 *     --bandwidth=N    of the memory, in GB/s, and
 *     --tflops=N       of the arithmetic: what share of each is reached
 */
#ifndef GPU_BENCHMARK_H
#define GPU_BENCHMARK_H

#include "kernel_benchmark.h"

#include <dlfcn.h>
#include <unistd.h>

typedef struct bench_gpu {
  const char *image;     /* name of the image files, without .cubin and .ptx */
  uint32_t architecture; /* 10 * major + minor compute capability of the cubin */
  uint32_t launch_count;
  const kerf_gpu_launch *launches;
} bench_gpu;

#define GPU_MOST_LAUNCHES 16
#define GPU_MOST_COPIES 64

typedef uint64_t gpu_address;

/* Functions of the driver ("CUDA Driver API", NVIDIA), by their symbols; all are in version 11.0. */
#define GPU_FUNCTIONS(X)                                                                                               \
  X(cuInit, (unsigned flags))                                                                                          \
  X(cuGetErrorName, (int error, const char **text))                                                                    \
  X(cuGetErrorString, (int error, const char **text))                                                                  \
  X(cuDeviceGet, (int *device, int ordinal))                                                                           \
  X(cuDeviceGetName, (char *name, int length, int device))                                                             \
  X(cuDeviceGetAttribute, (int *value, int attribute, int device))                                                     \
  X(cuDevicePrimaryCtxRetain, (void **context, int device))                                                            \
  X(cuCtxPushCurrent_v2, (void *context))                                                                              \
  X(cuModuleLoadDataEx, (void **module, const void *image, unsigned count, int *options, void **values))               \
  X(cuModuleGetFunction, (void **function, void *module, const char *name))                                            \
  X(cuFuncSetAttribute, (void *function, int attribute, int value))                                                    \
  X(cuMemAlloc_v2, (gpu_address * address, size_t bytes))                                                              \
  X(cuMemcpyHtoDAsync_v2, (gpu_address to, const void *from, size_t bytes, void *stream))                              \
  X(cuStreamCreate, (void **stream, unsigned flags))                                                                   \
  X(cuStreamSynchronize, (void *stream))                                                                               \
  X(cuEventCreate, (void **event, unsigned flags))                                                                     \
  X(cuEventRecord, (void *event, void *stream))                                                                        \
  X(cuEventSynchronize, (void *event))                                                                                 \
  X(cuEventElapsedTime, (float *milliseconds, void *from, void *to))                                                   \
  X(cuLaunchKernel, (void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned block_y,           \
                     unsigned block_z, unsigned shared, void *stream, void **parameters, void **extra))                \
  X(cuStreamBeginCapture_v2, (void *stream, int mode))                                                                 \
  X(cuStreamEndCapture, (void *stream, void **graph))                                                                  \
  X(cuGraphInstantiate_v2, (void **exec, void *graph, void **node, char *log, size_t log_bytes))                       \
  X(cuGraphLaunch, (void *exec, void *stream))

#define GPU_MEMBER(name, parameters) int(*name) parameters;
static struct {
  GPU_FUNCTIONS(GPU_MEMBER)
} gpu;
#undef GPU_MEMBER

/* What the benchmark does with one kernel. */
typedef struct gpu_run {
  const bench_gpu *kernel;
  void *functions[GPU_MOST_LAUNCHES]; /* of each launch; NULL where the step does not take it */
  int64_t rows;
  gpu_address operands[GPU_MOST_COPIES][BENCH_MOST_OPERANDS + 1]; /* by set; the rows come last */
  int64_t copies;
  void *stream, *begin, *end;
} gpu_run;

static void gpu_check(const char *call, const char *about, int result) {
  if (result == 0)
    return;
  const char *name = NULL, *text = NULL;
  gpu.cuGetErrorName(result, &name);
  gpu.cuGetErrorString(result, &text);
  fprintf(stderr, "error: %s (%s) failed with %s (%d): %s\n", call, about, name ? name : "an unknown error", result,
          text ? text : "the driver knows no text for it");
  exit(1);
}

static void gpu_open(const char *file) {
  if (!file)
    file = getenv("KERF_CUDA_DRIVER");
  if (!file || !*file)
    file = "libcuda.so.1";
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr,
            "error: cannot load the CUDA driver '%s': %s; install the NVIDIA driver, or name its file by --driver or "
            "KERF_CUDA_DRIVER\n",
            file, dlerror());
    exit(1);
  }
#define GPU_FIND(name, parameters)                                                                                     \
  *(void **)&gpu.name = dlsym(library, #name);                                                                         \
  if (!gpu.name)                                                                                                       \
    bench_fail("a CUDA driver of version 11.0 or higher has " #name, file);
  GPU_FUNCTIONS(GPU_FIND)
#undef GPU_FIND
  gpu_check("cuInit", file, gpu.cuInit(0));
}

/* The file, with a NUL behind it; NULL where there is none. */
static char *gpu_read(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  long size = -1;
  if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0)
    rewind(file);
  char *text = bench_allocate(size < 0 ? 0 : (uint64_t)size);
  if (size < 0 || fread(text, 1, (size_t)size, file) != (size_t)size)
    bench_fail("an image must be a file that can be read", path);
  text[size] = 0;
  fclose(file);
  return text;
}

/* Loads the cubin where there is one for this GPU, else the PTX, and says which: "cubin" or "PTX". */
static const char *gpu_load(const bench_gpu *kernel, const char *image, int architecture, void **module) {
  enum { no_binary = 209, log_buffer = 5, log_size = 6 };
  char path[4096], folder[2048] = ".";
  if (!image) {
    const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length > 0)
      folder[length] = 0;
    char *slash = strrchr(folder, '/');
    if (slash)
      *slash = 0;
  }
  static const char *const kinds[] = {"cubin", "ptx"};
  for (int kind = 0; kind < 2; ++kind) {
    const int fits =
        (int)kernel->architecture <= architecture && (kind == 1 || (int)kernel->architecture / 10 == architecture / 10);
    const int length = image ? snprintf(path, sizeof path, "%s.%s", image, kinds[kind])
                             : snprintf(path, sizeof path, "%s/%s.%s", folder, kernel->image, kinds[kind]);
    if (length < 0 || (size_t)length >= sizeof path)
      bench_fail("the path of an image must have fewer than 4096 characters", path);
    char *text = fits || kind == 1 ? gpu_read(path) : NULL;
    if (!text)
      continue;
    static char log[4096];
    int options[] = {log_buffer, log_size};
    void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
    const int result = gpu.cuModuleLoadDataEx(module, text, 2, options, values);
    free(text);
    if (result == no_binary && kind == 0)
      continue;
    if (result)
      fprintf(stderr, "%s\n", log);
    gpu_check("cuModuleLoadDataEx", path, result);
    return kind == 0 ? "cubin" : "PTX";
  }
  fprintf(stderr, "error: %s must be beside the program, or be named by --image, got no such file\n", path);
  exit(1);
}

/* Memory with `bytes` of data, or with random numbers where there are none. */
static gpu_address gpu_fill(const bench_memory *memory, uint64_t bytes, void *stream) {
  gpu_address address;
  char about[64];
  snprintf(about, sizeof about, "%llu bytes for an operand", (unsigned long long)bytes);
  gpu_check("cuMemAlloc", about, gpu.cuMemAlloc_v2(&address, bytes ? bytes : 1));
  /* The same numbers again and again: as good, and quickly there. */
  const uint64_t piece = memory ? bytes : (uint64_t)bench_min((int64_t)bytes, 16 << 20);
  void *numbers = memory ? memory->data : bench_numbers(piece);
  for (uint64_t at = 0; at < bytes; at += piece) {
    const uint64_t size = bytes - at < piece ? bytes - at : piece;
    gpu_check("cuMemcpyHtoDAsync", about, gpu.cuMemcpyHtoDAsync_v2(address + at, numbers, size, stream));
  }
  gpu_check("cuStreamSynchronize", about, gpu.cuStreamSynchronize(stream));
  if (!memory)
    free(numbers);
  return address;
}

static int gpu_is_copied(const bench_operand *operand) {
  return operand->kind == KERF_OPERAND_WEIGHT || operand->kind == KERF_OPERAND_CACHE;
}

/* Puts the operands into the GPU's memory. */
static void gpu_place(gpu_run *run, const bench_kernel *kernel, const bench_step *step, int64_t l2_bytes) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < kernel->operand_count; ++i)
    if (gpu_is_copied(&kernel->operands[i]))
      bytes += bench_bytes(&kernel->operands[i], step, kernel);
  if (run->copies == 0)
    run->copies = bytes ? bench_min(GPU_MOST_COPIES, 2 * l2_bytes / (int64_t)bytes + 2) : 1;
  for (int64_t set = 0; set < run->copies; ++set)
    for (uint32_t i = 0; i < kernel->operand_count; ++i) {
      const bench_operand *operand = &kernel->operands[i];
      if (set > 0 && !gpu_is_copied(operand)) {
        run->operands[set][i] = run->operands[0][i];
        continue;
      }
      const int given = operand->kind == KERF_OPERAND_STEP;
      const bench_memory array =
          given ? bench_array(step, operand->field) : (bench_memory){NULL, bench_bytes(operand, step, kernel)};
      run->operands[set][i] = gpu_fill(given ? &array : NULL, array.bytes, run->stream);
    }
  int32_t sizes[KERF_EXTENT_COUNT] = {0};
  for (int e = 0; e < KERF_EXTENT_ATTENDED; ++e)
    sizes[e] = (int32_t)step->extents[e];
  const bench_memory extents = {sizes, sizeof sizes};
  const gpu_address address = gpu_fill(&extents, sizeof sizes, run->stream);
  for (int64_t set = 0; set < run->copies; ++set)
    run->operands[set][kernel->operand_count] = address + kernel->extent * sizeof(int32_t);
}

/* The functions that the step takes, as the runtime chooses them. */
static void gpu_choose(gpu_run *run, void *module, const bench_kernel *kernel, const bench_step *step) {
  enum { most_shared = 8 };
  int any = 0;
  for (uint32_t i = 0; i < run->kernel->launch_count; ++i) {
    const kerf_gpu_launch *launch = &run->kernel->launches[i];
    if (run->rows < launch->least_rows || run->rows > launch->most_rows ||
        (launch->when == KERF_GPU_SINGLE_ROWS && !step->single_rows) ||
        (launch->when == KERF_GPU_SEVERAL_ROWS && !step->several_rows))
      continue;
    any = 1;
    gpu_check("cuModuleGetFunction", launch->function,
              gpu.cuModuleGetFunction(&run->functions[i], module, launch->function));
    if (launch->shared_bytes > 48 * 1024)
      gpu_check("cuFuncSetAttribute", launch->function,
                gpu.cuFuncSetAttribute(run->functions[i], most_shared, (int)launch->shared_bytes));
  }
  if (!any) {
    fprintf(stderr, "error: a launch of %s must take %lld rows, got none that does\n", kernel->name,
            (long long)run->rows);
    exit(1);
  }
}

/* Runs the kernel `count` times, with a set after the other. */
static void gpu_launch(gpu_run *run, uint32_t operand_count, int64_t count) {
  for (int64_t n = 0; n < count; ++n) {
    void *parameters[BENCH_MOST_OPERANDS + 1];
    for (uint32_t i = 0; i <= operand_count; ++i)
      parameters[i] = &run->operands[n % run->copies][i];
    for (uint32_t i = 0; i < run->kernel->launch_count; ++i) {
      const kerf_gpu_launch *launch = &run->kernel->launches[i];
      if (run->functions[i])
        gpu_check("cuLaunchKernel", launch->function,
                  gpu.cuLaunchKernel(run->functions[i],
                                     (unsigned)((run->rows + launch->tile - 1) / launch->tile * launch->columns), 1, 1,
                                     launch->threads, 1, 1, launch->shared_bytes, run->stream, parameters, NULL));
    }
  }
}

/* A graph of `count` runs of the kernel. */
static void *gpu_capture(gpu_run *run, uint32_t operand_count, int64_t count) {
  enum { thread_local_mode = 1 };
  void *graph, *exec;
  gpu_check("cuStreamBeginCapture", "", gpu.cuStreamBeginCapture_v2(run->stream, thread_local_mode));
  gpu_launch(run, operand_count, count);
  gpu_check("cuStreamEndCapture", "", gpu.cuStreamEndCapture(run->stream, &graph));
  gpu_check("cuGraphInstantiate", "", gpu.cuGraphInstantiate_v2(&exec, graph, NULL, NULL, 0));
  return exec;
}

/* Seconds that the graph takes. */
static double gpu_time(gpu_run *run, void *graph) {
  float milliseconds = 0;
  gpu_check("cuEventRecord", "begin", gpu.cuEventRecord(run->begin, run->stream));
  gpu_check("cuGraphLaunch", "", gpu.cuGraphLaunch(graph, run->stream));
  gpu_check("cuEventRecord", "end", gpu.cuEventRecord(run->end, run->stream));
  gpu_check("cuEventSynchronize", "the kernel", gpu.cuEventSynchronize(run->end));
  gpu_check("cuEventElapsedTime", "", gpu.cuEventElapsedTime(&milliseconds, run->begin, run->end));
  return milliseconds * 1e-3;
}

static int bench_main(const bench_kernel *kernel, const bench_gpu *code, int argc, char **argv) {
  enum { l2_bytes = 38, major = 75, minor = 76, non_blocking = 1, most = 1000 };
  static gpu_run run;
  bench_step step;
  int64_t seconds, ordinal = 0, launches = 0, bandwidth = 0, tflops = 0;
  const char *driver = NULL, *image = NULL;
  const bench_option options[] = {{"driver", 0, NULL, &driver},     {"device", 0, &ordinal, NULL},
                                  {"image", 0, NULL, &image},       {"copies", 0, &run.copies, NULL},
                                  {"launches", 0, &launches, NULL}, {"bandwidth", 1, &bandwidth, NULL},
                                  {"tflops", 1, &tflops, NULL}};
  bench_begin(kernel, &step, &seconds, options, sizeof options / sizeof *options, argc, argv);
  if (run.copies > GPU_MOST_COPIES)
    bench_fail("--copies must be at most 64", "more");
  gpu_open(driver);
  int device, l2 = 0, high = 0, low = 0;
  char name[256] = "";
  void *context, *module;
  gpu_check("cuDeviceGet", "--device", gpu.cuDeviceGet(&device, (int)ordinal));
  gpu_check("cuDeviceGetName", "", gpu.cuDeviceGetName(name, sizeof name - 1, device));
  gpu_check("cuDeviceGetAttribute", "L2 cache", gpu.cuDeviceGetAttribute(&l2, l2_bytes, device));
  gpu_check("cuDeviceGetAttribute", "major", gpu.cuDeviceGetAttribute(&high, major, device));
  gpu_check("cuDeviceGetAttribute", "minor", gpu.cuDeviceGetAttribute(&low, minor, device));
  gpu_check("cuDevicePrimaryCtxRetain", name, gpu.cuDevicePrimaryCtxRetain(&context, device));
  gpu_check("cuCtxPushCurrent", name, gpu.cuCtxPushCurrent_v2(context));
  run.kernel = code;
  run.rows = step.extents[kernel->extent];
  const char *loaded = gpu_load(code, image, 10 * high + low, &module);
  gpu_check("cuStreamCreate", "", gpu.cuStreamCreate(&run.stream, non_blocking));
  gpu_check("cuEventCreate", "", gpu.cuEventCreate(&run.begin, 0));
  gpu_check("cuEventCreate", "", gpu.cuEventCreate(&run.end, 0));
  gpu_choose(&run, module, kernel, &step);
  gpu_place(&run, kernel, &step, l2);

  /* The first run finds faults and wakes the GPU. */
  gpu_launch(&run, kernel->operand_count, 1);
  gpu_check("cuStreamSynchronize", "the kernel's first run", gpu.cuStreamSynchronize(run.stream));
  if (launches == 0) {
    void *once = gpu_capture(&run, kernel->operand_count, run.copies);
    gpu_time(&run, once);
    const double estimate = gpu_time(&run, once) / (double)run.copies;
    launches = estimate * 1000 > 2e-3 ? (int64_t)(2e-3 / estimate) + 1 : 1000;
  }
  void *graph = gpu_capture(&run, kernel->operand_count, launches);
  static double runs[most];
  int count = 0;
  const double start = bench_seconds();
  do
    runs[count++] = gpu_time(&run, graph) / (double)launches;
  while (count < most && bench_seconds() - start < (double)seconds);
  qsort(runs, (size_t)count, sizeof *runs, bench_compare);
  const double best = runs[0], gigabytes = (double)bench_evaluate(&kernel->bytes, step.extents) / best * 1e-9,
               teraflops = (double)bench_evaluate(&kernel->operations, step.extents) / best * 1e-12;
  bench_print_step(kernel, &step);
  printf("%s, %s, launches:", name, loaded);
  for (uint32_t i = 0; i < code->launch_count; ++i)
    if (run.functions[i])
      printf(" %s", code->launches[i].function);
  printf("\nbest %.2f us, median %.2f us of %d graphs of %lld runs, %lld sets of weights and pages, %.1f GB/s, "
         "%.3f TFLOP/s\n",
         best * 1e6, runs[count / 2] * 1e6, count, (long long)launches, (long long)run.copies, gigabytes, teraflops);
  if (bandwidth)
    printf("%.3f of %lld GB/s\n", gigabytes / (double)bandwidth, (long long)bandwidth);
  if (tflops)
    printf("%.3f of %lld TFLOP/s\n", teraflops / (double)tflops, (long long)tflops);
  return 0;
}

#endif
