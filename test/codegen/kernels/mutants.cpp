//===- mutants.cpp - whether the emulator misses what orders memory -------===//
//
// Deletes each barrier, wait, commit and fence of the GPU kernels' PTX, one at a time, and runs what is left on the
// emulator with several seeds. A mutant is found when a run fails or gives other bytes. Prints a line for each mutant
// that no seed found, and the score. Each run is a process of its own: a fault ends the driver.
// Usage: kerf-mutants [SEEDS]   (20 if not given)
//
//===----------------------------------------------------------------------===//
#include "test/codegen/kernels/CacheMemory.h"

#include <functional>
#include <limits>
#include <regex>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace kerf::kernels;
using namespace kerf::test;

namespace {

const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;
const kerf::nvptx::Variant &variant = *kerf::nvptx::findVariant("sm_80");

/// A kernel and operands for it; the last ones are written.
struct Case {
  std::string name;
  std::string ptx;
  std::vector<GpuLaunch> launches;
  std::vector<std::unique_ptr<GuardedBuffer>> memory;
  std::vector<std::unique_ptr<Tensor>> tensors;
  std::vector<void *> operands;
  std::vector<int64_t> rows;
  size_t scratch = 0;
  /// The kind of its work items, as in GpuLaunch::when.
  int when = 0;
  std::mt19937 random{3};

  template <typename Spec>
  Case(std::string name, const Spec &spec, std::vector<int64_t> rows) : name(name), rows(rows) {
    mlir::MLIRContext context;
    auto emit = [&](auto module, auto &v, auto kernel) { return emitKernel(module, v, kernel, spec); };
    std::tie(ptx, launches) = compileForGpu(context, variant, emit);
  }
  Case &tensor(Element element, size_t count) {
    tensors.push_back(std::make_unique<Tensor>(element, (count + 31) / 32 * 32));
    tensors.back()->fill(random);
    operands.push_back(tensors.back()->data());
    return *this;
  }
  Case &bytes(const void *data, size_t size) {
    memory.push_back(std::make_unique<GuardedBuffer>(size));
    std::memcpy(memory.back()->data(), data, size);
    operands.push_back(memory.back()->data());
    return *this;
  }
  Case &integers(const std::vector<int32_t> &values) { return bytes(values.data(), 4 * values.size()); }
};

/// What a run of the PTX gives: a hash of all operands, or nothing where it fails.
std::optional<size_t> run(Case &c, const std::string &ptx, int64_t rows, int seed) {
  int channel[2];
  if (pipe(channel) != 0)
    std::abort();
  const pid_t child = fork();
  if (child == 0) {
    close(channel[0]);
    if (!std::freopen("/dev/null", "w", stderr))
      _exit(3);
    setenv("KERF_EMULATOR_SEED", std::to_string(seed).c_str(), 1);
    std::vector<std::pair<void *, size_t>> operands;
    for (void *operand : c.operands)
      operands.push_back({operand, GuardedBuffer::sizeOf(operand)});
    GpuImage(ptx).run(c.launches, operands, c.scratch, rows);
    std::string all;
    for (auto [start, size] : operands)
      all.append(static_cast<const char *>(start), size);
    const size_t hash = std::hash<std::string>()(all);
    _exit(write(channel[1], &hash, sizeof hash) == sizeof hash ? 0 : 3);
  }
  close(channel[1]);
  size_t hash = 0;
  const bool told = read(channel[0], &hash, sizeof hash) == sizeof hash;
  close(channel[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!told || status != 0)
    return std::nullopt;
  return hash;
}

struct Score {
  int mutants = 0, found = 0, controls = 0, clean = 0;
};

void judge(Case &c, int seeds, Score &score) {
  static const std::regex orders("^\\s*(@\\S+\\s+)?(bar\\.|barrier\\.|cp\\.async\\.(wait|commit)|fence|membar)");
  std::vector<std::string> lines;
  std::istringstream text(c.ptx);
  for (std::string line; std::getline(text, line);)
    lines.push_back(line);
  for (int64_t rows : c.rows) {
    // Of the functions that these rows launch.
    std::vector<size_t> places;
    bool inside = false;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (const size_t at = lines[i].find(".entry "); at != std::string::npos) {
        const std::string function = lines[i].substr(at + 7, lines[i].find('(') - at - 7);
        inside = std::any_of(c.launches.begin(), c.launches.end(), [&](const GpuLaunch &launch) {
          return launch.function == function && rows >= launch.leastRows && rows <= launch.mostRows &&
                 (launch.when == 0 || launch.when == c.when);
        });
      }
      if (inside && std::regex_search(lines[i], orders))
        places.push_back(i);
    }
    std::vector<std::optional<size_t>> controls;
    for (int seed = 0; seed < seeds; ++seed) {
      controls.push_back(run(c, c.ptx, rows, seed));
      ++score.controls;
      score.clean += controls.back().has_value() && *controls.back() == controls.front();
    }
    for (size_t place : places) {
      std::string mutant;
      for (size_t i = 0; i < lines.size(); ++i)
        mutant += i == place ? "\n" : lines[i] + "\n";
      bool found = false;
      for (int seed = 0; seed < seeds && !found; ++seed) {
        const std::optional<size_t> result = run(c, mutant, rows, seed);
        found = !result || result != controls.front();
      }
      ++score.mutants;
      score.found += found;
      if (!found)
        std::printf("not found: %s, %lld rows, PTX line %zu:%s\n", c.name.c_str(), (long long)rows, place + 1,
                    lines[place].c_str());
      std::fflush(stdout);
    }
    std::printf("%s, %lld rows: %zu mutants\n", c.name.c_str(), (long long)rows, places.size());
    std::fflush(stdout);
  }
}

/// Two sequences of `keys` and 90 keys; 64 and 26 rows of them, or the last row of each in turn, `rows` in all.
Case attention(const AttentionSpec &spec, bool several, int32_t rows = 2, int32_t keys = 700) {
  const std::string name = std::string(several ? "attention of several rows" : "attention of one row") +
                           ", head size " + std::to_string(spec.headDim) + ", " + nameOf(spec.cache);
  Case c(name, spec, {rows});
  const int32_t behind = spec.behind ? 300 : KERF_UNBOUNDED;
  auto first = [&](int32_t position) { return spec.behind ? std::max(0, position + 1 - behind) : 0; };
  std::vector<kerf_work_item> items;
  if (several)
    items = {{0, 64, 0, keys - 70, first(keys - 70), keys - 6, behind, 0}, {64, 26, 1, 64, first(64), 90, behind, 0}};
  else
    for (int32_t row = 0; row < rows; ++row) {
      const int32_t position = row % 2 ? 89 : keys - 1;
      items.push_back({row, 1, row % 2, position, first(position), position + 1, behind, 0});
    }
  const int32_t firstPages = (keys + 15) / 16;
  std::vector<int32_t> pages(firstPages + 6);
  std::iota(pages.begin(), pages.end(), 0);
  const kerf::nvptx::CacheLayout layout{2, spec.headDim, 16, spec.cache};
  const size_t stepRows = several ? 90 : size_t(rows);
  c.tensor(spec.queries, stepRows * 4 * spec.headDim)
      .bytes(items.data(), items.size() * sizeof items[0])
      .integers({0, firstPages, firstPages + 6});
  c.integers(pages).tensor(spec.cache, pages.size() * layout.pageBytes() / bytesOf(spec.cache));
  c.tensor(spec.output, stepRows * 4 * spec.headDim);
  if (spec.logSumExp)
    c.tensor(f32, stepRows * 4);
  const kerf::LinearForm form = kerf::nvptx::scratchOf(spec);
  c.when = several ? KERF_GPU_SEVERAL_ROWS : KERF_GPU_SINGLE_ROWS;
  c.scratch = form.coefficient[KERF_EXTENT_WORK_ITEMS] * rows + form.coefficient[KERF_EXTENT_ONE];
  return c;
}

} // namespace

int main(int argc, char **argv) {
  const int seeds = argc > 1 ? std::atoi(argv[1]) : 20;
  Score score;
  {
    Case c("linear", LinearSpec{.k = 320, .n = 80, .input = bf16, .weight = bf16, .output = bf16},
           {5, 12, 30, 40, 200});
    c.tensor(bf16, 200 * 320).tensor(bf16, 80 * 320).tensor(bf16, 200 * 80);
    judge(c, seeds, score);
  }
  {
    Case c("gated linear", GatedLinearSpec{320, 64, bf16, bf16, bf16, Activation::Silu, false}, {5, 40, 200});
    c.tensor(bf16, 200 * 320).tensor(bf16, 64 * 320).tensor(bf16, 64 * 320).tensor(bf16, 200 * 64);
    judge(c, seeds, score);
  }
  {
    const LinearRopeAppendSpec spec{320, 2, 1, 32, 16, bf16, bf16, bf16, bf16};
    Case c("linear, rotation and append", spec, {5, 40, 200});
    std::vector<int32_t> slots(200);
    std::iota(slots.begin(), slots.end(), 0);
    c.tensor(bf16, 200 * 320).tensor(bf16, spec.n() * 320).integers(slots);
    c.tensor(bf16, 208 * 2 * 32).tensor(f32, 200 * 32).tensor(bf16, 200 * 64);
    judge(c, seeds, score);
  }
  {
    Case c("f32 linear", LinearSpec{.k = 40, .n = 70, .input = f32, .weight = f32, .output = f32}, {5, 30});
    c.tensor(f32, 30 * 40).tensor(f32, 70 * 40).tensor(f32, 30 * 70);
    judge(c, seeds, score);
  }
  {
    Case c("RMS norm", RmsNormSpec{1024, 1024, 1e-5, f32, bf16}, {3});
    c.tensor(f32, 3 * 1024).tensor(f32, 1024).tensor(bf16, 3 * 1024);
    judge(c, seeds, score);
  }
  {
    Case c("layer norm", LayerNormSpec{1024, 1e-5, f32, bf16}, {3});
    c.tensor(f32, 3 * 1024).tensor(f32, 1024).tensor(f32, 1024).tensor(bf16, 3 * 1024);
    judge(c, seeds, score);
  }
  for (int64_t headDim : {64, 80, 96, 128, 256})
    for (bool several : {false, true}) {
      Case c = attention({4, 2, headDim, 16, bf16, bf16, bf16, 0.125}, several);
      judge(c, seeds, score);
    }
  // So many rows that a block takes several pieces, or all, in turn.
  for (int32_t rows : {40, 140}) {
    Case c = attention({4, 2, 64, 16, bf16, bf16, bf16, 0.125}, /*several=*/false, rows, /*keys=*/1400);
    judge(c, seeds, score);
  }
  for (bool several : {false, true}) {
    Case c = attention({4, 2, 128, 16, f16, f16, f16, 0.125, /*logSumExp=*/true, /*behind=*/true}, several);
    judge(c, seeds, score);
  }
  {
    Case c = attention({4, 2, 64, 16, f32, f32, f32, 0.125}, true);
    judge(c, seeds, score);
  }
  {
    // The log-sum-exps take the place of the first ones.
    Case c("merged attention", AttentionMergeSpec{256, 4, bf16, bf16}, {3});
    c.tensor(bf16, 3 * 256).tensor(f32, 3 * 4).tensor(bf16, 3 * 256).tensor(f32, 3 * 4).tensor(bf16, 3 * 256);
    c.operands.push_back(c.operands[1]);
    judge(c, seeds, score);
  }
  {
    // By number, by weight, by both, not at all; the likeliest; more kept by number than there are numbers.
    const SampleSpec spec{9000};
    const kerf_sampling samplings[] = {{1, 0, 50, 0, uint64_t(1) << 63},
                                       {1, 0.9f, 0, 0, uint64_t(1) << 62},
                                       {1, 0.7f, 500, 0, uint64_t(3) << 62},
                                       {1, 0, 0, 0, uint64_t(1) << 61},
                                       {0, 0, 0, 0, 0},
                                       {1, 0, 8999, 0, uint64_t(1) << 60}};
    Case c("drawing of tokens", spec, {6});
    c.tensor(f32, 6 * 9000);
    for (size_t id = 0; id < 2000; ++id)
      c.tensors.back()->set(5 * 9000 + id, std::numeric_limits<float>::quiet_NaN());
    c.bytes(samplings, sizeof samplings).integers(std::vector<int32_t>(6, -2));
    c.scratch = 6 * kerf::nvptx::scratchOf(spec).coefficient[KERF_EXTENT_LOGIT_ROWS];
    judge(c, seeds, score);
  }
  std::printf("%d of %d mutants found; %d of %d runs without mutation are clean and alike\n", score.found,
              score.mutants, score.clean, score.controls);
  return score.clean == score.controls ? 0 : 1;
}
