/// The emulator as a test sees it: the driver's functions found by dlopen, and helpers over them.
#ifndef KERF_TEST_RUNTIME_EMULATOR_EMULATED_H
#define KERF_TEST_RUNTIME_EMULATOR_EMULATED_H

#include "runtime/cuda/DriverApi.h"

#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <vector>

namespace kerf::emulator {

using namespace cuda;

/// All symbols of the library.
struct Library {
#define KERF_MEMBER(NAME, SYMBOL, PARAMETERS) CUresult(*NAME) PARAMETERS = nullptr;
  KERF_CUDA_FUNCTIONS(KERF_MEMBER)
#undef KERF_MEMBER
  void (*reset)() = nullptr;
  void (*setSeed)(uint64_t) = nullptr;
  void (*setThreads)(unsigned) = nullptr;
  int (*fail)(const char *) = nullptr;
  const char *(*report)() = nullptr;
  uint64_t (*findings)() = nullptr;
  void (*clear)() = nullptr;
  uint64_t (*instructions)(int) = nullptr;
};

inline const Library &library() {
  static const Library loaded = [] {
    Library l;
    void *handle = dlopen(KERF_EMULATOR, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      ADD_FAILURE() << dlerror();
      std::abort();
    }
    auto find = [&](auto &function, const char *symbol) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, symbol));
      if (!function)
        ADD_FAILURE() << "no symbol " << symbol;
    };
#define KERF_FIND(NAME, SYMBOL, PARAMETERS) find(l.NAME, SYMBOL);
    KERF_CUDA_FUNCTIONS(KERF_FIND)
#undef KERF_FIND
    find(l.reset, "kerf_emulator_reset");
    find(l.setSeed, "kerf_emulator_set_seed");
    find(l.setThreads, "kerf_emulator_set_threads");
    find(l.fail, "kerf_emulator_fail");
    find(l.report, "kerf_emulator_report");
    find(l.findings, "kerf_emulator_findings");
    find(l.clear, "kerf_emulator_clear");
    find(l.instructions, "kerf_emulator_instructions");
    return l;
  }();
  return loaded;
}

/// A fresh device with a current context.
class Emulated : public testing::Test {
protected:
  const Library &cu = library();

  void SetUp() override { begin(); }
  void begin() {
    cu.reset();
    ASSERT_EQ(cu.cuInit(0), CUDA_SUCCESS);
    CUcontext context = nullptr;
    ASSERT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    ASSERT_EQ(cu.cuCtxPushCurrent(context), CUDA_SUCCESS);
  }

  /// `body` as the kernel `test` of a module for sm_80, with registers %p, %h, %r, %d and addresses as parameters p0
  /// on.
  static std::string kernelText(const std::string &body, unsigned parameters = 4, const std::string &variables = "") {
    std::string text = ".version 7.0\n.target sm_80\n.address_size 64\n" + variables + ".visible .entry test(";
    for (unsigned i = 0; i < parameters; ++i)
      text += (i ? ", " : "") + std::string(".param .u64 p") + std::to_string(i);
    return text + ")\n{\n.reg .pred %p<16>;\n.reg .b16 %h<32>;\n.reg .b32 %r<64>;\n.reg .b64 %d<32>;\n" + body +
           "\n}\n";
  }
  CUresult tryLoad(const std::string &text, std::string *log = nullptr) {
    char buffer[1024] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {buffer, reinterpret_cast<void *>(sizeof buffer)};
    CUresult result = cu.cuModuleLoadDataEx(&module_, text.c_str(), 2, options, values);
    if (log)
      *log = buffer;
    return result;
  }
  CUfunction load(const std::string &text, const char *name = "test") {
    std::string log;
    CUfunction function = nullptr;
    EXPECT_EQ(tryLoad(text, &log), CUDA_SUCCESS) << log;
    EXPECT_EQ(cu.cuModuleGetFunction(&function, module_, name), CUDA_SUCCESS);
    return function;
  }
  CUfunction loadBody(const std::string &body, unsigned parameters = 4, const std::string &variables = "") {
    return load(kernelText(body, parameters, variables));
  }

  CUdeviceptr allocate(size_t bytes) {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(cu.cuMemAlloc(&pointer, bytes), CUDA_SUCCESS);
    return pointer;
  }
  template <typename T> CUdeviceptr upload(const std::vector<T> &values) {
    CUdeviceptr pointer = allocate(values.size() * sizeof(T));
    EXPECT_EQ(cu.cuMemcpyHtoDAsync(pointer, values.data(), values.size() * sizeof(T), nullptr), CUDA_SUCCESS);
    return pointer;
  }
  template <typename T> std::vector<T> download(CUdeviceptr pointer, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cu.cuMemcpyDtoHAsync(values.data(), pointer, count * sizeof(T), nullptr), CUDA_SUCCESS) << cu.report();
    return values;
  }

  /// Launches and waits.
  template <typename... Arguments>
  CUresult launch(CUfunction function, unsigned grid, unsigned block, unsigned shared, Arguments... arguments) {
    void *parameters[] = {&arguments..., nullptr};
    CUresult result = cu.cuLaunchKernel(function, grid, 1, 1, block, 1, 1, shared, nullptr, parameters, nullptr);
    return result ? result : cu.cuCtxSynchronize();
  }

  CUmodule module_ = nullptr;
};

} // namespace kerf::emulator

#endif
