// The driver's functions: devices, memory, streams, graphs, and calls that are made to fail.
#include "Emulated.h"

#include <cstdlib>
#include <thread>

namespace kerf::emulator {
namespace {

class Driver : public Emulated {
protected:
  /// Adds one to each of 64 words.
  CUfunction increment() {
    return loadBody(
        "ld.param.u64 %d1, [p0];\nmov.u32 %r1, %tid.x;\nmad.wide.u32 %d1, %r1, 4, %d1;\nld.global.u32 %r2, [%d1];\n"
        "add.s32 %r2, %r2, 1;\nst.global.u32 [%d1], %r2;\nret;",
        1);
  }
  CUresult enqueue(CUfunction function, CUstream stream, CUdeviceptr argument) {
    void *parameters[] = {&argument};
    return cu.cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr);
  }
  uint32_t *pinned(size_t count) {
    void *pointer = nullptr;
    EXPECT_EQ(cu.cuMemHostAlloc(&pointer, count * 4, 0), CUDA_SUCCESS);
    return static_cast<uint32_t *>(pointer);
  }
  CUstream stream() {
    CUstream result = nullptr;
    EXPECT_EQ(cu.cuStreamCreate(&result, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
    return result;
  }
};

struct Environment {
  Environment(const char *name, const char *value) : name(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name); }
  const char *name;
};

TEST_F(Driver, TellsOfItsDevice) {
  int value = 0;
  char name[64] = "";
  size_t bytes = 0;
  EXPECT_EQ(cu.cuDriverGetVersion(&value), CUDA_SUCCESS);
  EXPECT_EQ(value, 13000);
  EXPECT_EQ(cu.cuDeviceGetName(name, sizeof name, 0), CUDA_SUCCESS);
  EXPECT_STREQ(name, "Kerf emulator (sm_80)");
  EXPECT_EQ(cu.cuDeviceTotalMem(&bytes, 0), CUDA_SUCCESS);
  EXPECT_EQ(bytes, size_t(8) << 30);
  EXPECT_EQ(cu.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0), CUDA_SUCCESS);
  EXPECT_EQ(value, 108);
  EXPECT_EQ(cu.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0), CUDA_SUCCESS);
  EXPECT_EQ(value, 99 << 10);
  EXPECT_EQ(cu.cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(12345), 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuDeviceGet(&value, 1), CUDA_ERROR_INVALID_DEVICE);
}

TEST_F(Driver, DeviceOfTheEnvironment) {
  int value = 0;
  char name[64] = "";
  Environment capability("KERF_EMULATOR_CAPABILITY", "89"), memory("KERF_EMULATOR_MEMORY", "0x100000"),
      driver("KERF_EMULATOR_DRIVER", "10020");
  begin();
  EXPECT_EQ(cu.cuDriverGetVersion(&value), CUDA_SUCCESS);
  EXPECT_EQ(value, 10020);
  EXPECT_EQ(cu.cuDeviceGetName(name, sizeof name, 0), CUDA_SUCCESS);
  EXPECT_STREQ(name, "Kerf emulator (sm_89)");
  CUdeviceptr pointer = 0;
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 0x100001), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 0x100000), CUDA_SUCCESS);
  size_t free = 1, total = 0;
  EXPECT_EQ(cu.cuMemGetInfo(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(free, 0u);
  EXPECT_EQ(total, 0x100000u);
}

TEST_F(Driver, NoDevice) {
  Environment none("KERF_EMULATOR_DEVICES", "0");
  cu.reset();
  EXPECT_EQ(cu.cuInit(0), CUDA_ERROR_NO_DEVICE);
  int count = 0;
  EXPECT_EQ(cu.cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
}

TEST_F(Driver, NeedsInitializationAndContext) {
  cu.reset();
  CUdeviceptr pointer = 0;
  CUcontext context = nullptr;
  EXPECT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_ERROR_NOT_INITIALIZED);
  EXPECT_EQ(cu.cuInit(0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cu.cuCtxPushCurrent(context), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuCtxPopCurrent(&context), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuCtxPopCurrent(&context), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRelease(0), CUDA_ERROR_INVALID_CONTEXT);
}

TEST_F(Driver, Memory) {
  CUdeviceptr a = allocate(1000), b = allocate(1000);
  EXPECT_EQ(a % 256, 0u);
  EXPECT_GE(b > a ? b - a : a - b, 1256u);
  EXPECT_EQ(cu.cuMemsetD8Async(a, 7, 1000, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemcpyDtoDAsync(b, a, 1000, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(download<uint8_t>(b, 1000), std::vector<uint8_t>(1000, 7));
  EXPECT_EQ(cu.cuMemsetD8Async(a, 7, 1001, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemcpyDtoDAsync(b, a + 1, 1000, nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemFree(a + 256), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemFree(a), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemFree(a), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuMemFree(0), CUDA_SUCCESS);
}

TEST_F(Driver, WorkIsDoneWhenItIsWaitedFor) {
  CUfunction function = increment();
  CUdeviceptr words = allocate(256);
  uint32_t *host = pinned(64);
  std::fill_n(host, 64, 5);
  CUstream work = stream();
  ASSERT_EQ(cu.cuMemcpyHtoDAsync(words, host, 256, work), CUDA_SUCCESS);
  ASSERT_EQ(enqueue(function, work, words), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuMemcpyDtoHAsync(host, words, 256, work), CUDA_SUCCESS);
  EXPECT_EQ(host[63], 5u);
  ASSERT_EQ(cu.cuStreamSynchronize(work), CUDA_SUCCESS);
  EXPECT_EQ(host[63], 6u);
  // A seed that does some of it before.
  bool early = false;
  for (uint64_t seed = 1; seed < 32 && !early; ++seed) {
    cu.setSeed(seed);
    std::fill_n(host, 64, 0);
    ASSERT_EQ(cu.cuMemcpyDtoHAsync(host, words, 256, work), CUDA_SUCCESS);
    early = host[0] != 0;
    ASSERT_EQ(cu.cuStreamSynchronize(work), CUDA_SUCCESS);
  }
  EXPECT_TRUE(early);
  EXPECT_EQ(cu.cuMemFreeHost(host), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemFreeHost(host), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuStreamDestroy(work), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuStreamSynchronize(work), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Driver, Events) {
  CUevent from = nullptr, to = nullptr;
  ASSERT_EQ(cu.cuEventCreate(&from, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuEventCreate(&to, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  float time = -1;
  EXPECT_EQ(cu.cuEventElapsedTime(&time, from, to), CUDA_ERROR_INVALID_HANDLE);
  ASSERT_EQ(cu.cuEventRecord(from, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(enqueue(increment(), nullptr, upload(std::vector<uint32_t>(64))), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuEventRecord(to, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuEventElapsedTime(&time, from, to), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cu.cuEventSynchronize(to), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuEventElapsedTime(&time, from, to), CUDA_SUCCESS);
  EXPECT_GE(time, 0);
  EXPECT_EQ(cu.cuEventDestroy(to), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuEventDestroy(to), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Driver, Graphs) {
  CUfunction function = increment();
  CUdeviceptr words = upload(std::vector<uint32_t>(64, 10));
  CUstream first = stream(), second = stream();
  CUevent fork = nullptr;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  ASSERT_EQ(cu.cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuStreamBeginCapture(first, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  ASSERT_EQ(enqueue(function, first, words), CUDA_SUCCESS);
  // Another stream joins by an event.
  ASSERT_EQ(cu.cuEventRecord(fork, first), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuStreamWaitEvent(second, fork, 0), CUDA_SUCCESS);
  ASSERT_EQ(enqueue(function, second, words), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuStreamEndCapture(first, &graph), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuGraphInstantiate(&exec, graph, nullptr, nullptr, 0), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuGraphDestroy(graph), CUDA_SUCCESS);
  EXPECT_EQ(download<uint32_t>(words, 64)[5], 10u); // captured, not done
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(cu.cuGraphLaunch(exec, first), CUDA_SUCCESS);
  ASSERT_EQ(cu.cuStreamSynchronize(first), CUDA_SUCCESS);
  EXPECT_EQ(download<uint32_t>(words, 64), std::vector<uint32_t>(64, 16));
  EXPECT_EQ(cu.cuGraphExecDestroy(exec), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuGraphLaunch(exec, first), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Driver, WaitingBreaksACapture) {
  CUstream work = stream();
  CUgraph graph = nullptr;
  CUdeviceptr pointer = 0;
  ASSERT_EQ(cu.cuStreamBeginCapture(work, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuStreamSynchronize(work), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cu.cuStreamEndCapture(work, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(graph, nullptr);
  ASSERT_EQ(cu.cuStreamBeginCapture(work, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cu.cuStreamEndCapture(work, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(cu.cuStreamEndCapture(work, &graph), CUDA_ERROR_INVALID_VALUE);
  // Another thread may do what it likes.
  ASSERT_EQ(cu.cuStreamBeginCapture(work, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), CUDA_SUCCESS);
  std::thread([&] {
    CUcontext context = nullptr;
    ASSERT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    ASSERT_EQ(cu.cuCtxPushCurrent(context), CUDA_SUCCESS);
    EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_SUCCESS);
    EXPECT_EQ(cu.cuStreamSynchronize(nullptr), CUDA_SUCCESS);
  }).join();
  EXPECT_EQ(cu.cuStreamEndCapture(work, &graph), CUDA_SUCCESS);
}

TEST_F(Driver, AFaultStays) {
  CUfunction function = increment();
  CUdeviceptr words = upload(std::vector<uint32_t>(64)), pointer = 0;
  EXPECT_EQ(enqueue(function, nullptr, words + 4), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(enqueue(function, nullptr, words), CUDA_ERROR_ILLEGAL_ADDRESS);
  // Until the context is gone.
  CUcontext context = nullptr;
  EXPECT_EQ(cu.cuCtxPopCurrent(&context), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRelease(0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuCtxPushCurrent(context), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_SUCCESS);
}

TEST_F(Driver, CallsThatAreToFail) {
  CUdeviceptr pointer = 0;
  ASSERT_EQ(cu.fail("cuMemAlloc_v2:2:CUDA_ERROR_OUT_OF_MEMORY"), 0);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_SUCCESS);
  // What a launch does wrong comes when it is waited for, and stays.
  CUfunction function = increment();
  CUdeviceptr words = upload(std::vector<uint32_t>(64));
  ASSERT_EQ(cu.fail("cuLaunchKernel:1:701,cuLaunchKernel:2:CUDA_ERROR_LAUNCH_FAILED"), 0);
  EXPECT_EQ(enqueue(function, nullptr, words), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  EXPECT_EQ(enqueue(function, nullptr, words), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(cu.cuMemAlloc(&pointer, 4), CUDA_ERROR_LAUNCH_FAILED);
  // The device is lost while it is waited for.
  begin();
  ASSERT_EQ(cu.fail("cuStreamSynchronize:1:CUDA_ERROR_UNKNOWN"), 0);
  EXPECT_EQ(cu.cuStreamSynchronize(nullptr), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(cu.cuStreamSynchronize(nullptr), CUDA_ERROR_UNKNOWN);
}

TEST_F(Driver, RefusesWhatItCannotLetFail) {
  for (const char *text : {"cuMemAlloc_v2", "cuMemAlloc_v2:1", "cuMemAlloc_v2:0:2", "cuMemAlloc_v2:x:2",
                           "cuNothing:1:2", "cuMemAlloc_v2:1:CUDA_SUCCESS", "cuMemAlloc_v2:1:CUDA_ERROR_NOTHING"})
    EXPECT_EQ(cu.fail(text), -1) << text;
  EXPECT_EQ(cu.fail(""), 0);
}

TEST_F(Driver, FaultsOfTheEnvironment) {
  Environment fail("KERF_EMULATOR_FAIL", "cuInit:1:CUDA_ERROR_NO_DEVICE");
  cu.reset();
  EXPECT_EQ(cu.cuInit(0), CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(cu.cuInit(0), CUDA_SUCCESS);
}

TEST_F(Driver, NamesErrors) {
  const char *text = nullptr;
  EXPECT_EQ(cu.cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_EQ(cu.cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "out of memory");
  EXPECT_EQ(cu.cuGetErrorName(static_cast<CUresult>(12345), &text), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(text, nullptr);
}

TEST_F(Driver, AttributesOfFunctions) {
  CUfunction function = loadBody("mov.u32 %r1, tile;\nst.shared.u32 [%r1], 0;\nret;", 0, ".shared .b8 tile[100];\n");
  int value = 0;
  EXPECT_EQ(cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function), CUDA_SUCCESS);
  EXPECT_EQ(value, 100);
  EXPECT_EQ(cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, function), CUDA_SUCCESS);
  EXPECT_EQ(value, 0);
  EXPECT_EQ(cu.cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, function), CUDA_SUCCESS);
  EXPECT_GE(value, 1);
  EXPECT_EQ(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 0), CUDA_SUCCESS);
  EXPECT_EQ(value, 8);
  EXPECT_EQ(cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 32, 40 << 10), CUDA_SUCCESS);
  EXPECT_EQ(value, 3);
}

TEST_F(Driver, CountsInstructions) {
  uint64_t warps = cu.instructions(0), lanes = cu.instructions(1);
  EXPECT_EQ(warps, 0u);
  ASSERT_EQ(launch(increment(), 2, 40, 0, upload(std::vector<uint32_t>(64))), CUDA_ERROR_LAUNCH_FAILED); // a race
  begin();
  ASSERT_EQ(launch(increment(), 1, 40, 0, upload(std::vector<uint32_t>(64))), CUDA_SUCCESS);
  // Seven instructions of two warps, 40 lanes.
  EXPECT_EQ(cu.instructions(0), 14u);
  EXPECT_EQ(cu.instructions(1), 280u + lanes);
}

} // namespace
} // namespace kerf::emulator
