//===- play_cases.cpp - kept runs of GPU kernels on this machine's GPU ----===//
//
// Runs every case of a folder (GpuCase.h) and compares what comes out with what came out when it was kept: to the bit
// where the kernel has only exact instructions, else within the case's slack. Takes the cubin of the highest compute
// capability beside the case (IMAGE.sm_80.cubin, …) that runs on the GPU, else the PTX. The driver is the one that
// KERF_CUDA_DRIVER names, else libcuda.so.1.
// Usage: kerf-play-cases FOLDER [--ptx]   (--ptx: the PTX even where there is a cubin)
//
// A fault ends all of a process's work on a GPU, so cases run in a child, and after a fault the next one goes on.
//
//===----------------------------------------------------------------------===//
#include "test/codegen/kernels/GpuCase.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace kerf::test;
namespace fs = std::filesystem;

namespace {

std::optional<std::string> readFile(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return std::nullopt;
  return text.str();
}

/// The image of a case, and what it is: "sm_80" for a cubin, or "PTX".
struct Loaded {
  std::string kind;
  std::unique_ptr<GpuImage> image;
};

Loaded load(const fs::path &folder, const std::string &name, int architecture, bool ptxOnly) {
  // Code runs on its own major compute capability from its own minor one on.
  for (int each = architecture; !ptxOnly && each >= architecture / 10 * 10; --each) {
    const std::string kind = "sm_" + std::to_string(each);
    if (auto cubin = readFile(folder / (name + "." + kind + ".cubin")))
      if (auto image = GpuImage::loadIfFit(*cubin))
        return {kind, std::move(image)};
  }
  auto ptx = readFile(folder / (name + ".ptx"));
  if (!ptx)
    return {"no file " + name + ".ptx", nullptr};
  return {"PTX", GpuImage::loadIfFit(*ptx)};
}

/// What the parent is told of a case.
struct Verdict {
  bool passed, cubin;
  double share;
};

/// Plays one case and says how it went.
Verdict play(const fs::path &path, Loaded &loaded, std::string &loadedName, bool ptxOnly) {
  const std::string file = path.filename().string();
  GpuCase run;
  try {
    run = GpuCase::read(path);
  } catch (const kerf::rt::Error &error) {
    std::printf("FAIL %s: %s\n", file.c_str(), error.what());
    return {};
  }
  if (run.image != loadedName) {
    loaded = {};
    loaded = load(path.parent_path(), run.image, gpuDevice().first, ptxOnly);
    loadedName = run.image;
  }
  const std::string what = run.test + " (" + run.describe() + ", " + loaded.kind + ", " + file + ")";
  if (!loaded.image) {
    std::printf("FAIL %s: its image does not run on this GPU\n", what.c_str());
    return {};
  }
  std::vector<std::vector<char>> memory;
  std::vector<std::pair<void *, size_t>> operands;
  for (const GpuOperand &operand : run.operands)
    memory.push_back(operand.before);
  // Memory of no bytes has an address of its own, too.
  for (std::vector<char> &each : memory)
    each.reserve(1);
  for (const GpuOperand &operand : run.operands)
    operands.push_back({memory[operand.memory].data(), memory[operand.memory].size()});
  loaded.image->run(run.launches, operands, run.scratch, run.rows);
  std::string problem;
  const double share = run.compare(memory, problem);
  if (!problem.empty())
    std::printf("FAIL %s: %s, %.3g times what is allowed\n", what.c_str(), problem.c_str(), share);
  else if (run.exact)
    std::printf("PASS %s: equal\n", what.c_str());
  else
    std::printf("PASS %s: worst difference %.3g of what is allowed\n", what.c_str(), share);
  return {problem.empty(), loaded.kind != "PTX", share};
}

int usage() {
  std::fprintf(stderr, "usage: kerf-play-cases FOLDER [--ptx]\n");
  return 1;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3 || (argc == 3 && std::strcmp(argv[2], "--ptx") != 0))
    return usage();
  const bool ptxOnly = argc == 3;
  std::vector<fs::path> cases;
  std::error_code error;
  for (const fs::directory_entry &entry : fs::directory_iterator(argv[1], error))
    if (entry.path().extension() == ".case")
      cases.push_back(entry.path());
  if (cases.empty()) {
    std::fprintf(stderr, "error: '%s' must be a folder of cases, got none\n", argv[1]);
    return 1;
  }
  std::sort(cases.begin(), cases.end());
  setenv("KERF_CUDA_DRIVER", "libcuda.so.1", /*overwrite=*/0);

  size_t done = 0, passed = 0, cubins = 0;
  double worst = 0;
  while (done < cases.size()) {
    int channel[2];
    std::fflush(stdout);
    if (pipe(channel) != 0)
      return 1;
    const pid_t child = fork();
    if (child == 0) {
      close(channel[0]);
      // The next case is begun, or there is no GPU to begin with.
      const std::string device = gpuDevice().second;
      if (done == 0)
        std::printf("%s\n", device.c_str());
      Verdict verdict{};
      if (write(channel[1], &verdict, sizeof verdict) != sizeof verdict)
        _exit(1);
      Loaded loaded;
      std::string name;
      for (size_t i = done; i < cases.size(); ++i) {
        verdict = play(cases[i], loaded, name, ptxOnly);
        std::fflush(stdout);
        if (write(channel[1], &verdict, sizeof verdict) != sizeof verdict)
          _exit(1);
      }
      loaded = {};
      std::exit(0);
    }
    close(channel[1]);
    Verdict verdict;
    const bool started = read(channel[0], &verdict, sizeof verdict) == sizeof verdict;
    while (started && read(channel[0], &verdict, sizeof verdict) == sizeof verdict) {
      ++done;
      passed += verdict.passed;
      cubins += verdict.cubin;
      worst = std::max(worst, verdict.passed ? verdict.share : 0);
    }
    close(channel[0]);
    waitpid(child, nullptr, 0);
    if (!started)
      return 1;
    if (done < cases.size())
      std::printf("FAIL %s: the GPU or its driver refused it, as said above\n", cases[done++].filename().c_str());
  }
  std::printf("%zu of %zu cases passed, %zu from cubins; worst difference %.3g of what is allowed\n", passed,
              cases.size(), cubins, worst);
  return passed == cases.size() ? 0 : 1;
}
