#include "test/codegen/kernels/GpuRun.h"

#include "runtime/cuda/Driver.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

using namespace kerf::cuda;

namespace kerf::test {
namespace {

const Driver &driver() {
  static const Driver &opened = Driver::open(std::getenv("KERF_CUDA_DRIVER") ? nullptr : KERF_EMULATOR);
  return opened;
}

/// The first device, and its context as the current one.
void useDevice() {
  static const bool once = [] {
    CUdevice device;
    CUcontext context;
    driver().call(driver().cuDeviceGet, "", &device, 0);
    driver().call(driver().cuDevicePrimaryCtxRetain, "", &context, device);
    driver().call(driver().cuCtxPushCurrent, "", context);
    return true;
  }();
  (void)once;
}

template <typename Work> auto orExit(Work work) {
  try {
    return work();
  } catch (const rt::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(1);
  }
}

} // namespace

struct GpuImage::State {
  CUmodule module = nullptr;
};

GpuImage::GpuImage(std::unique_ptr<State> state) : state(std::move(state)) {}

std::unique_ptr<GpuImage> GpuImage::loadIfFit(const std::string &image) {
  return orExit([&]() -> std::unique_ptr<GpuImage> {
    useDevice();
    auto state = std::make_unique<State>();
    std::vector<char> log(8192);
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
    const CUresult result = driver().cuModuleLoadDataEx(&state->module, image.c_str(), 2, options, values);
    if (result == CUDA_ERROR_NO_BINARY_FOR_GPU)
      return nullptr;
    if (result != CUDA_SUCCESS)
      driver().refuse("cuModuleLoadDataEx", log.data(), result);
    return std::unique_ptr<GpuImage>(new GpuImage(std::move(state)));
  });
}

GpuImage::GpuImage(const std::string &ptx) {
  std::unique_ptr<GpuImage> loaded = loadIfFit(ptx);
  if (!loaded) {
    std::fprintf(stderr, "PTX must run on this device, but its driver says that it does not\n");
    std::exit(1);
  }
  state = std::move(loaded->state);
}

GpuImage::~GpuImage() {
  if (state)
    driver().cuModuleUnload(state->module);
}

void setEmulatorSeed(uint64_t seed) {
  const char *file = std::getenv("KERF_CUDA_DRIVER");
  // The driver stays loaded.
  static void *const library = (driver(), dlopen(file ? file : KERF_EMULATOR, RTLD_NOW | RTLD_NOLOAD));
  static const auto set =
      library ? reinterpret_cast<void (*)(uint64_t)>(dlsym(library, "kerf_emulator_set_seed")) : nullptr;
  if (set)
    set(seed);
}

std::pair<int, std::string> gpuDevice() {
  return orExit([&] {
    useDevice();
    const Driver &d = driver();
    CUdevice device;
    int major = 0, minor = 0;
    char name[256] = {};
    d.call(d.cuDeviceGet, "", &device, 0);
    d.call(d.cuDeviceGetAttribute, "", &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    d.call(d.cuDeviceGetAttribute, "", &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    d.call(d.cuDeviceGetName, "", name, int(sizeof name - 1), device);
    return std::pair(10 * major + minor, std::string(name));
  });
}

void GpuImage::run(const std::vector<GpuLaunch> &launches, const std::vector<std::pair<void *, size_t>> &operands,
                   size_t scratch, int64_t rows) {
  orExit([&] {
    const Driver &d = driver();
    CUstream stream;
    d.call(d.cuStreamCreate, "", &stream, unsigned(CU_STREAM_NON_BLOCKING));
    std::vector<CUdeviceptr> memory, own;
    auto allocate = [&](size_t bytes) {
      d.call(d.cuMemAlloc, "", &own.emplace_back(), bytes ? bytes : 1);
      memory.push_back(own.back());
    };
    for (size_t i = 0; i < operands.size(); ++i) {
      const auto [host, bytes] = operands[i];
      const auto first = std::find_if(operands.begin(), operands.end(), [&](auto &each) { return each.first == host; });
      if (size_t(first - operands.begin()) < i) {
        memory.push_back(memory[first - operands.begin()]);
        continue;
      }
      allocate(bytes);
      if (bytes)
        d.call(d.cuMemcpyHtoDAsync, "", memory.back(), static_cast<const void *>(host), bytes, stream);
    }
    if (scratch)
      allocate(scratch);
    allocate(4);
    const int32_t count = int32_t(rows);
    d.call(d.cuMemcpyHtoDAsync, "", memory.back(), static_cast<const void *>(&count), size_t(4), stream);
    std::vector<void *> parameters;
    for (CUdeviceptr &address : memory)
      parameters.push_back(&address);
    for (const GpuLaunch &launch : launches) {
      if (rows < launch.leastRows || rows > launch.mostRows)
        continue;
      CUfunction function;
      d.call(d.cuModuleGetFunction, launch.function, &function, state->module, launch.function.c_str());
      if (launch.sharedBytes > 48 * 1024)
        d.call(d.cuFuncSetAttribute, launch.function, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
               int(launch.sharedBytes));
      // A block more than the rows need, as in a captured launch: it has to notice.
      const unsigned blocks = unsigned((rows + launch.tile - 1) / launch.tile * launch.columns + 1);
      d.call(d.cuLaunchKernel, launch.function, function, blocks, 1u, 1u, launch.threads, 1u, 1u, launch.sharedBytes,
             stream, parameters.data(), static_cast<void **>(nullptr));
    }
    for (size_t i = 0; i < operands.size(); ++i)
      if (operands[i].second)
        d.call(d.cuMemcpyDtoHAsync, "", operands[i].first, memory[i], operands[i].second, stream);
    d.call(d.cuStreamSynchronize, "the kernels", stream);
    for (CUdeviceptr address : own)
      d.call(d.cuMemFree, "", address);
    d.call(d.cuStreamDestroy, "", stream);
  });
}

} // namespace kerf::test
