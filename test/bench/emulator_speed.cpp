// How fast the emulator runs: instructions of warps and lanes in a second, and launches, on the kernels of its tests.
#include "runtime/cuda/DriverApi.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <functional>
#include <sstream>
#include <vector>

using namespace kerf::cuda;

namespace {

#define KERF_MEMBER(NAME, SYMBOL, PARAMETERS) CUresult(*NAME) PARAMETERS = nullptr;
KERF_CUDA_FUNCTIONS(KERF_MEMBER)
#undef KERF_MEMBER
void (*setThreads)(unsigned) = nullptr;
uint64_t (*instructions)(int) = nullptr;
const char *(*report)() = nullptr;

void check(CUresult result, const char *call) {
  if (result == CUDA_SUCCESS)
    return;
  std::fprintf(stderr, "%s: error %d\n%s", call, result, report());
  std::exit(1);
}
#define CHECK(CALL) check(CALL, #CALL)

void open(const char *path) {
  void *handle = dlopen(path, RTLD_NOW);
  if (!handle) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  auto find = [&](auto &function, const char *symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, symbol));
  };
#define KERF_FIND(NAME, SYMBOL, PARAMETERS) find(NAME, SYMBOL);
  KERF_CUDA_FUNCTIONS(KERF_FIND)
#undef KERF_FIND
  find(setThreads, "kerf_emulator_set_threads");
  find(instructions, "kerf_emulator_instructions");
  find(report, "kerf_emulator_report");
}

CUfunction load(const std::string &text, const char *name) {
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CHECK(cuModuleLoadDataEx(&module, text.c_str(), 0, nullptr, nullptr));
  CHECK(cuModuleGetFunction(&function, module, name));
  return function;
}
std::string read(const std::string &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
CUdeviceptr zeros(size_t bytes) {
  CUdeviceptr pointer = 0;
  CHECK(cuMemAlloc(&pointer, bytes));
  CHECK(cuMemsetD8Async(pointer, 0, bytes, nullptr));
  return pointer;
}

/// Calls `launch` for about a second.
void measure(const char *what, unsigned threads, const std::function<void()> &launch) {
  launch();
  CHECK(cuCtxSynchronize());
  uint64_t warps = instructions(0), lanes = instructions(1), launches = 0;
  auto begin = std::chrono::steady_clock::now();
  double seconds = 0;
  for (; seconds < 1; ++launches) {
    launch();
    CHECK(cuCtxSynchronize());
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  warps = instructions(0) - warps, lanes = instructions(1) - lanes;
  std::printf("%-24s %u threads  %7.1f M warp instructions/s  %7.0f M lane instructions/s  %9.1f us a launch\n", what,
              threads, static_cast<double>(warps) / seconds / 1e6, static_cast<double>(lanes) / seconds / 1e6,
              seconds / static_cast<double>(launches) * 1e6);
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Measures the speed of libkerf-emulator.so");
  std::string library, inputs;
  unsigned threads = 0;
  app.add_option("library", library, "libkerf-emulator.so")->required();
  app.add_option("inputs", inputs, "The folder test/runtime/emulator/Inputs")->required();
  app.add_option("--threads", threads, "Host threads; 0: one for each CPU");
  CLI11_PARSE(app, argc, argv);
  open(library.c_str());
  setThreads(threads);
  CUcontext context = nullptr;
  CHECK(cuInit(0));
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxPushCurrent(context));

  CUfunction gemm = load(read(inputs + "/gemm.ptx"), "gemm");
  const unsigned M = 256, N = 256, K = 512, shared = 3 * 128 * 64;
  CUdeviceptr a = zeros(M * K * 2), b = zeros(N * K * 2), c = zeros(M * N * 2);
  measure("gemm 256x256x512", threads, [&] {
    void *parameters[] = {
        &a, &b, &c, const_cast<unsigned *>(&M), const_cast<unsigned *>(&N), const_cast<unsigned *>(&K)};
    CHECK(cuLaunchKernel(gemm, M / 64 * N / 64, 1, 1, 128, 1, 1, shared, nullptr, parameters, nullptr));
  });

  CUfunction attention = load(read(inputs + "/attention.ptx"), "attention");
  unsigned heads = 8, kvHeads = 2, tablePages = 8, splits = 2, sequences = 4;
  float scale = 0.1f;
  CUdeviceptr q = zeros(sequences * heads * 256), keys = zeros(tablePages * kvHeads * 64 * 256),
              values = zeros(tablePages * kvHeads * 64 * 256), table = zeros(sequences * tablePages * 4),
              lengths = zeros(sequences * 4), out = zeros(sequences * heads * 256),
              parts = zeros(sequences * heads * splits * 130 * 4), arrived = zeros(sequences * kvHeads * 4);
  std::vector<uint32_t> full(sequences, tablePages * 64);
  CHECK(cuMemcpyHtoDAsync(lengths, full.data(), sequences * 4, nullptr));
  measure("decode attention 4x512", threads, [&] {
    void *parameters[] = {&q,       &keys,  &values,  &table,      &lengths, &out,  &parts,
                          &arrived, &heads, &kvHeads, &tablePages, &splits,  &scale};
    CHECK(cuLaunchKernel(attention, sequences * kvHeads * splits, 1, 1, 128, 1, 1, 0, nullptr, parameters, nullptr));
  });

  CUfunction scalar =
      load(".version 7.0\n.target sm_80\n.visible .entry scalar(.param .u64 p)\n{\n.reg .pred %p;\n"
           ".reg .b32 %r<4>;\n.reg .f32 %f<3>;\nmov.u32 %r1, 0;\nmov.f32 %f1, 0f3F800000;\n"
           "LOOP:\nfma.rn.f32 %f1, %f1, %f1, %f1;\nmul.f32 %f2, %f1, %f1;\nand.b32 %r2, %r1, 15;\n"
           "xor.b32 %r3, %r2, %r1;\nadd.s32 %r1, %r1, 1;\nsetp.lt.u32 %p, %r1, 1000;\n@%p bra LOOP;\nret;\n}\n",
           "scalar");
  measure("arithmetic", threads, [&] {
    void *parameters[] = {&a};
    CHECK(cuLaunchKernel(scalar, 16, 1, 1, 128, 1, 1, 0, nullptr, parameters, nullptr));
  });
}
