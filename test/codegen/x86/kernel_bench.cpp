// Measures generated linear kernels against what this machine can do: the time its memory needs for the bytes and its
// arithmetic units for the operations. Limits and kernels take turns within each round, because shared machines drift.

#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Layout.h"
#include "codegen/x86/Lower.h"

#include "llvm/Support/CommandLine.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <immintrin.h>
#include <random>
#include <sched.h>
#include <sys/mman.h>
#include <thread>
#include <time.h>
#include <vector>

using namespace kerf::x86;

namespace {

namespace cl = llvm::cl;
cl::opt<std::string> variantName("variant", cl::init("avx512_bf16"), cl::desc("CPU variant"));
cl::opt<std::string> inputName("input", cl::init("bf16"), cl::desc("element type of the rows: f32 or bf16"));
cl::opt<std::string> weightName("weight", cl::init("bf16"), cl::desc("element type of the weights: f32, bf16, f16"));
cl::opt<std::string> outputName("output", cl::init("bf16"), cl::desc("element type of the results: f32 or bf16"));
cl::list<int64_t> kList("k", cl::CommaSeparated, cl::desc("elements of an input row"));
cl::list<int64_t> nList("n", cl::CommaSeparated, cl::desc("elements of an output row; as many as --k"));
cl::list<int64_t> rowList("rows", cl::CommaSeparated, cl::desc("row counts"));
cl::opt<unsigned> threadCount("thread-count", cl::init(1), cl::desc("threads"));
cl::opt<unsigned> rounds("rounds", cl::init(7), cl::desc("rounds of measurements; the best of each kind counts"));
cl::opt<bool> gated("gated", cl::desc("a gated layer (silu) of n gate and n up columns"));
cl::opt<bool> assembly("print-assembly", cl::desc("print the kernel in place of measuring it"));
cl::list<unsigned> schedule(
    "schedule", cl::CommaSeparated,
    cl::desc(
        "rows,blocks,thinRows,thinBlocks,panelBlocks,leastColumns,taskRows,kBlock,kWidened,prefetchBytes in place of "
        "the table's; rows and blocks are gatedRows and gatedBlocks with --gated"));

llvm::ExitOnError orExit("kerf-kernel-bench: ");

Element elementOf(const std::string &name) {
  for (Element element : {Element::F32, Element::BF16, Element::F16})
    if (name == nameOf(element))
      return element;
  orExit(llvm::createStringError("element type must be f32, bf16 or f16, got " + name));
  return Element::F32;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Threads that run the same function at once.
class Team {
public:
  explicit Team(unsigned count) : size(count), gate(count), seconds(count) {
    pin(0);
    for (unsigned number = 1; number < count; ++number)
      threads.emplace_back([this, number] {
        pin(number);
        for (;;) {
          gate.arrive_and_wait();
          if (!work)
            return;
          (*work)(number);
          gate.arrive_and_wait();
        }
      });
  }
  ~Team() {
    work = nullptr;
    gate.arrive_and_wait();
    for (std::thread &thread : threads)
      thread.join();
  }
  /// Seconds of processor time that the busiest thread takes: unlike the clock on the wall, this leaves out the time
  /// that other programs had the processor for.
  double run(const std::function<void(unsigned)> &function) {
    const std::function<void(unsigned)> timed = [&](unsigned number) {
      const double start = threadSeconds();
      function(number);
      seconds[number] = threadSeconds() - start;
    };
    work = &timed;
    gate.arrive_and_wait();
    timed(0);
    gate.arrive_and_wait();
    return *std::max_element(seconds.begin(), seconds.end());
  }
  const unsigned size;

private:
  static double threadSeconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return double(time.tv_sec) + time.tv_nsec * 1e-9;
  }
  static void pin(unsigned number) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number % std::thread::hardware_concurrency(), &set);
    sched_setaffinity(0, sizeof set, &set);
  }

  std::barrier<> gate;
  std::vector<double> seconds;
  std::vector<std::thread> threads;
  const std::function<void(unsigned)> *work = nullptr;
};

char *allocate(size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    orExit(llvm::createStringError("%zu bytes must be free", bytes));
  madvise(memory, bytes, MADV_HUGEPAGE);
  return static_cast<char *>(memory);
}

volatile uint64_t sink;

__attribute__((target("avx2"))) void readAll(const char *data, size_t bytes) {
  __m256i sums[8] = {};
  for (size_t at = 0; at + 256 <= bytes; at += 256)
    for (int lane = 0; lane < 8; ++lane)
      sums[lane] = _mm256_xor_si256(sums[lane], _mm256_load_si256((const __m256i *)(data + at) + lane));
  for (int lane = 1; lane < 8; ++lane)
    sums[0] = _mm256_xor_si256(sums[0], sums[lane]);
  sink = _mm256_extract_epi64(sums[0], 0);
}

constexpr int64_t peakTurns = 1 << 20;

/// Operations of peakTurns turns of independent chains.
__attribute__((target("avx2,fma"))) double runFma256() {
  __m256 sums[12] = {}, factor = _mm256_set1_ps(1e-9f);
  for (int64_t turn = 0; turn < peakTurns; ++turn)
#pragma unroll
    for (__m256 &sum : sums)
      asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum) : "x"(factor));
  return 12.0 * 16 * peakTurns;
}
__attribute__((target("avx512f"))) double runFma512() {
  __m512 sums[12] = {}, factor = _mm512_set1_ps(1e-9f);
  for (int64_t turn = 0; turn < peakTurns; ++turn)
#pragma unroll
    for (__m512 &sum : sums)
      asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum) : "v"(factor));
  return 12.0 * 32 * peakTurns;
}
__attribute__((target("avx512f,avx512bf16"))) double runBf16() {
  __m512 sums[12] = {}, factor = _mm512_set1_ps(1e-9f);
  for (int64_t turn = 0; turn < peakTurns; ++turn)
#pragma unroll
    for (__m512 &sum : sums)
      asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sum) : "v"(factor));
  return 12.0 * 64 * peakTurns;
}

/// Peak for a product of the variant, or null where it is not known how to measure it.
double (*peakOf(const Variant &variant, Dot dot))() {
  switch (dot) {
  case Dot::Fma:
    return variant.lanes == 16 ? runFma512 : runFma256;
  case Dot::Bf16Pairs:
    return runBf16;
  case Dot::Bf16Tiles:
    return nullptr;
  }
  return nullptr;
}

struct Measured {
  double best = INFINITY;
  std::vector<double> all;
  void add(double seconds) {
    best = std::min(best, seconds);
    all.push_back(seconds);
  }
  double median() {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }
};

void measure(Team &team, const Variant &variant, int64_t k, int64_t n) {
  const Element input = elementOf(inputName), weight = elementOf(weightName), output = elementOf(outputName);
  mlir::MLIRContext context;
  loadKernelDialects(context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  const double compileStart = now();
  const KernelInfo info =
      gated ? emitKernel(*module, variant, "kernel",
                         GatedLinearSpec{.k = k, .n = n, .input = input, .weight = weight, .output = output})
            : emitKernel(*module, variant, "kernel",
                         LinearSpec{.k = k, .n = n, .input = input, .weight = weight, .output = output});
  if (assembly) {
    llvm::LLVMContext llvmContext;
    if (failed(lowerToLLVMDialect(*module)))
      orExit(llvm::createStringError("the kernel could not be lowered"));
    auto translated = orExit(translate(*module, variant, llvmContext));
    orExit(optimize(*translated, variant));
    std::fputs(orExit(emitAssembly(*translated, variant)).c_str(), stdout);
    return;
  }
  auto jit = orExit(Jit::create(*module, variant));
  const kerf_kernel_fn run = orExit(jit->find(info.name));
  const double compileSeconds = now() - compileStart;
  const Dot dot = (input == Element::BF16 ? variant.linearBf16 : variant.linearF32).dot;

  // Enough copies of the weights that none is left in a cache when its turn comes again.
  const WeightLayout layout{n, k, weight};
  const int64_t matrices = gated ? 2 : 1, weightBytes = layout.bytes() * matrices;
  const int64_t copies = std::max<int64_t>(1, (int64_t(192) << 20) / weightBytes);
  char *weights = allocate(copies * weightBytes);
  std::mt19937 random(1);
  if (weight == Element::F32)
    for (int64_t i = 0; i < copies * weightBytes / 4; ++i)
      reinterpret_cast<float *>(weights)[i] = int32_t(random()) * 0x1p-33f;
  else // 0x3c00 … 0x3cff: positive, near 0.01 in bf16 and 1 in f16
    for (int64_t i = 0; i < copies * weightBytes / 2; ++i)
      reinterpret_cast<uint16_t *>(weights)[i] = 0x3c00 | (random() & 0xff);

  for (int64_t rows : rowList) {
    char *in = allocate(rows * k * 4), *out = allocate(rows * n * 4);
    for (int64_t i = 0; i < rows * k; ++i)
      if (input == Element::F32)
        reinterpret_cast<float *>(in)[i] = int32_t(random()) * 0x1p-31f;
      else
        reinterpret_cast<uint16_t *>(in)[i] = 0x3f00 | (random() & 0x80ff);
    const int64_t tasks = (rows + info.tile - 1) / info.tile * info.columns;
    const double operations = 2.0 * rows * k * n * matrices;
    const double bytes = weightBytes + rows * double(k * bytesOf(input) + n * bytesOf(output));
    const int64_t repeats =
        std::clamp<int64_t>(4e9 / std::max(operations, 20 * bytes), 1, copies > 1 ? 4 * copies : 64);
    Measured kernelTime, readTime, peakTime;
    double peakOperations = 0;
    int64_t turn = 0;
    for (unsigned round = 0; round < rounds; ++round) {
      const size_t share = copies * weightBytes / team.size / 4096 * 4096;
      readTime.add(team.run([&](unsigned thread) { readAll(weights + thread * share, share); }) /
                   double(share * team.size));
      if (auto *peak = peakOf(variant, dot)) {
        const double seconds = team.run([&](unsigned thread) {
          const double count = peak();
          if (thread == 0)
            peakOperations = count;
        });
        peakTime.add(seconds / (peakOperations * team.size));
      }
      const double seconds = team.run([&](unsigned thread) {
        const int64_t begin = tasks * thread / team.size, end = tasks * (thread + 1) / team.size;
        for (int64_t repeat = 0; repeat < repeats; ++repeat) {
          char *copy = weights + (turn + repeat) % copies * weightBytes;
          void *linear[] = {in, copy, out}, *pair[] = {in, copy, copy + weightBytes / 2, out};
          for (int64_t task = begin; task < end; ++task)
            run(gated ? pair : linear, rows, task);
        }
      });
      turn += repeats;
      kernelTime.add(seconds / repeats);
    }
    const double memory = bytes * readTime.best, arithmetic = peakTime.all.empty() ? 0 : operations * peakTime.best;
    std::printf("k %5ld n %6ld rows %4ld tasks %5ld | %8.3f MB %9.3f MFLOP | %9.1f us (median %9.1f) | %7.1f GFLOP/s "
                "%6.2f GB/s | limits %6.1f GFLOP/s %5.2f GB/s | share %5.1f%% of %s\n",
                k, n, rows, tasks, bytes * 1e-6, operations * 1e-6, kernelTime.best * 1e6, kernelTime.median() * 1e6,
                operations / kernelTime.best * 1e-9, bytes / kernelTime.best * 1e-9,
                peakTime.all.empty() ? 0.0 : 1e-9 / peakTime.best, 1e-9 / readTime.best,
                100 * std::max(memory, arithmetic) / kernelTime.best, memory > arithmetic ? "memory" : "arithmetic");
    std::fflush(stdout);
    munmap(in, rows * k * 4);
    munmap(out, rows * n * 4);
  }
  std::printf("  compiled in %.0f ms\n", compileSeconds * 1e3);
  munmap(weights, copies * weightBytes);
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "Speed of Kerf's x86 linear kernels\n");
  const Variant *found = findVariant(variantName);
  if (!found)
    orExit(llvm::createStringError("variant must be one of the table's, got " + variantName));
  if (!assembly && !runsHere(*found))
    orExit(llvm::createStringError("variant must run on this CPU, got " + variantName));
  if (kList.size() != nList.size() || (rowList.empty() && !assembly) || threadCount == 0)
    orExit(llvm::createStringError("--k and --n must be equally long, --rows not empty and --thread-count positive"));
  Variant variant = *found;
  if (!schedule.empty()) {
    if (schedule.size() != 10)
      orExit(llvm::createStringError("--schedule must have 10 numbers, got %zu", size_t(schedule.size())));
    LinearSchedule &used = inputName == "bf16" ? variant.linearBf16 : variant.linearF32;
    used.rows = used.gatedRows = schedule[0];
    used.blocks = used.gatedBlocks = schedule[1];
    used.thinRows = schedule[2];
    used.thinBlocks = schedule[3];
    used.panelBlocks = schedule[4];
    used.leastColumns = schedule[5];
    used.taskRows = schedule[6];
    used.kBlock = schedule[7];
    used.kWidened = schedule[8];
    used.prefetchBytes = schedule[9];
  }
  Team team(threadCount);
  for (auto [k, n] : llvm::zip_equal(kList, nList))
    measure(team, variant, k, n);
}
