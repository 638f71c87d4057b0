// Measures generated attention and row kernels on one thread: attention against the FMAs that it has to do and, in
// decode, against the bytes of the cache that it has to read; row kernels against the bytes that they move. Times are
// those of the thread, so that what else runs on the machine takes no part but in caches and memory.

#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"

#include "llvm/Support/CommandLine.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

using namespace kerf::x86;

namespace {

namespace cl = llvm::cl;
cl::opt<std::string> variantName("variant", cl::init("avx512_bf16"), cl::desc("CPU variant"));
cl::opt<std::string> cacheName("cache", cl::init("f32"), cl::desc("element type of the cache: f32, bf16, f16"));
cl::opt<int64_t> queryHeads("query-heads", cl::init(9), cl::desc("query heads"));
cl::opt<int64_t> kvHeads("kv-heads", cl::init(3), cl::desc("key heads"));
cl::opt<int64_t> headDim("head-dim", cl::init(64), cl::desc("features of a head"));
cl::opt<int64_t> pageSize("page-size", cl::init(64), cl::desc("positions of a page"));
cl::opt<int64_t> rowCount("rows", cl::init(512), cl::desc("rows of the prompt"));
cl::list<int64_t> contexts("contexts", cl::CommaSeparated, cl::desc("keys that one decoded row sees"));
cl::opt<unsigned> rounds("rounds", cl::init(9), cl::desc("rounds of measurements; the best counts"));

llvm::ExitOnError orExit("kerf-attention-bench: ");

/// Seconds that this thread has run.
double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

/// A compiled kernel.
struct Compiled {
  template <typename Emit> Compiled(const Variant &variant, Emit emit) {
    loadKernelDialects(context);
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    info = emit(*module, variant, "kernel");
    jit = orExit(Jit::create(*module, variant));
    run = orExit(jit->find(info.name));
  }
  /// Seconds that the tasks of a step take, at best.
  double measure(std::vector<void *> operands, int64_t rows) {
    const int64_t tasks = (rows + info.tile - 1) / info.tile * info.columns;
    double best = 1e9;
    for (unsigned round = 0; round < rounds; ++round) {
      const double start = now();
      unsigned repeats = 0;
      do {
        for (int64_t task = 0; task < tasks; ++task)
          run(operands.data(), rows, task);
        ++repeats;
      } while (now() - start < 0.02);
      best = std::min(best, (now() - start) / repeats);
    }
    return best;
  }
  mlir::MLIRContext context;
  KernelInfo info;
  std::unique_ptr<Jit> jit;
  kerf_kernel_fn run;
};

std::vector<float> numbers(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

void *aligned(std::vector<char> &memory) {
  return reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
}

void benchAttention(const Variant &variant, Element cache) {
  const AttentionSpec spec{queryHeads, kvHeads, headDim, pageSize, Element::F32, cache, Element::F32, 0.125};
  Compiled attention(variant, [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, spec); });
  Compiled append(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, KvAppendSpec{kvHeads, headDim, pageSize, Element::F32, cache});
  });
  const CacheLayout layout{kvHeads, headDim, pageSize, cache};
  std::vector<int64_t> lengths(contexts.begin(), contexts.end());
  if (lengths.empty())
    lengths = {128, 512, 2048, 8192};
  const int64_t longest = std::max<int64_t>(rowCount, *std::max_element(lengths.begin(), lengths.end()));
  const int64_t pageCount = (longest + pageSize - 1) / pageSize;
  std::vector<char> plane(pageCount * layout.pageBytes() + 64);
  std::vector<int32_t> slots(longest), pages(pageCount), begin = {0, int32_t(pageCount)};
  for (int32_t slot = 0; slot < longest; ++slot)
    slots[slot] = slot;
  for (int32_t page = 0; page < pageCount; ++page)
    pages[page] = page;
  auto kept = numbers(longest * kvHeads * headDim), queries = numbers(longest * queryHeads * headDim);
  auto output = queries;
  append.measure({kept.data(), kept.data(), slots.data(), aligned(plane)}, longest);
  const double appendSeconds = append.measure({kept.data(), kept.data(), slots.data(), aligned(plane)}, rowCount);
  std::printf("kv_append %lld rows: %.1f us\n", (long long)rowCount, appendSeconds * 1e6);

  auto report = [&](const char *what, int64_t rows, int64_t first) {
    std::vector<kerf_work_item> items;
    for (int64_t row = 0; row < rows; row += variant.attentionTile) {
      const int32_t count = std::min<int64_t>(variant.attentionTile, rows - row);
      items.push_back(
          {int32_t(row), count, 0, int32_t(first + row), 0, int32_t(first + row + count), KERF_UNBOUNDED, 0});
    }
    const double seconds = attention.measure(
        {queries.data(), items.data(), begin.data(), pages.data(), aligned(plane), output.data()}, items.size());
    const double seen = rows * double(first) + rows * (rows + 1) / 2.0;
    std::printf("%s %lld rows after %lld keys: %.1f us, %.1f GFLOP/s, cache at %.1f GB/s\n", what, (long long)rows,
                (long long)first, seconds * 1e6, 4 * seen * queryHeads * headDim / seconds * 1e-9,
                2.0 * (first + rows) * kvHeads * headDim * bytesOf(cache) / seconds * 1e-9);
  };
  report("prefill", rowCount, 0);
  for (int64_t length : lengths)
    report("decode", 1, length - 1);
}

void benchRows(const Variant &variant) {
  const int64_t columns = queryHeads * headDim, wide = columns * 8 / 3;
  auto a = numbers(rowCount * wide), b = a, c = a;
  std::vector<int32_t> positions(rowCount, 1000);
  auto report = [&](const char *what, Compiled &kernel, std::vector<void *> operands, int64_t bytesOfRow) {
    for (int64_t rows : {int64_t(1), int64_t(rowCount)}) {
      const double seconds = kernel.measure(operands, rows);
      std::printf("%s %lld rows: %.2f us, %.1f GB/s\n", what, (long long)rows, seconds * 1e6,
                  rows * bytesOfRow / seconds * 1e-9);
    }
  };
  const Element f32 = Element::F32, bf16 = Element::BF16;
  Compiled norm(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, RmsNormSpec{columns, columns, 1e-5, f32, bf16});
  });
  report("rms_norm", norm, {a.data(), b.data(), c.data()}, columns * 6);
  Compiled add(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, AddSpec{columns, f32, f32, f32});
  });
  report("add", add, {a.data(), b.data(), c.data()}, columns * 12);
  Compiled gate(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, GateSpec{wide, Activation::Silu, f32, bf16});
  });
  report("gate", gate, {a.data(), b.data(), c.data()}, wide * 10);
  Compiled table(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, RopeTableSpec{headDim / 2, 1});
  });
  report("rope_table", table, {positions.data(), a.data(), c.data()}, headDim * 4);
  Compiled rope(variant, [&](auto module, auto &v, auto name) {
    return emitKernel(module, v, name, RopeSpec{columns, headDim, f32, f32});
  });
  report("rope", rope, {a.data(), b.data(), c.data()}, columns * 8);
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "Speed of Kerf's generated attention and row kernels for x86\n");
  const Variant *variant = findVariant(variantName);
  if (!variant || !runsHere(*variant))
    orExit(llvm::createStringError("variant must be one that runs here, got " + variantName));
  const Element cache = cacheName == "bf16" ? Element::BF16 : cacheName == "f16" ? Element::F16 : Element::F32;
  if (cacheName != nameOf(cache))
    orExit(llvm::createStringError("cache must be f32, bf16 or f16, got " + cacheName));
  benchAttention(*variant, cache);
  benchRows(*variant);
  return 0;
}
