// The driver's functions: devices, memory, streams, graphs, and calls that are made to fail.
#include "Emulated.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

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

TEST_F(Driver, CountsByClass) {
  // Of the first warp five threads go through a loop of three turns, and past a load that none of them executes; the
  // other two warps go around.
  const std::string text = R"(
    ld.param.u64 %d1, [p0];
    mov.u32 %r1, %tid.x;
    mad.wide.u32 %d2, %r1, 4, %d1;
    mov.f32 %r2, 0f3fc00000;
    setp.gt.u32 %p1, %r1, 4;
    @%p1 bra around;
    mov.u32 %r3, 0;
  loop:
    fma.rn.f32 %r2, %r2, %r2, %r2;
    cvt.rn.bf16x2.f32 %r4, %r2, %r2;
    add.s32 %r3, %r3, 1;
    setp.lt.u32 %p2, %r3, 3;
    @%p2 bra loop;
    setp.eq.u32 %p3, %r3, 99;
    @%p3 ld.global.v2.u32 {%r5, %r6}, [%d1];
  around:
    mov.u32 %r7, tile;
    mad.lo.u32 %r7, %r1, 4, %r7;
    st.shared.f32 [%r7], %r2;
    cp.async.ca.shared.global [%r7], [%d2], 4;
    cp.async.wait_all;
    bar.sync 0;
    ld.shared.u32 %r8, [%r7];
    shfl.sync.bfly.b32 %r9, %r8, 1, 31, -1;
    mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%r10,%r11,%r12,%r13}, {%r1,%r1}, {%r1}, {%r1,%r1,%r1,%r1};
    mov.u32 %r14, %ctaid.x;
    mul.wide.u32 %d3, %r14, 384;
    add.u64 %d2, %d2, %d3;
    st.global.u32 [%d2+384], %r1;
)",
                    atomic = "red.global.add.u32 [%d1+1536], 1;\n";
  // Of three blocks; those without an atomic run apart, on as many of the host's threads as there are.
  const std::string apart = "test blocks=3 threads=96 instructions=234 mma=9 global_loads=3 global_stores=9 shared=18 "
                            "async_copies=9 atomics=0 integer=66 float=18 exchange=9 control=45 moves=48 other=0\n",
                    together =
                        "test blocks=3 threads=96 instructions=243 mma=9 global_loads=3 global_stores=9 shared=18 "
                        "async_copies=9 atomics=9 integer=66 float=18 exchange=9 control=45 moves=48 other=0\n";
  const std::string path = testing::TempDir() + "kerf-counts." + std::to_string(getpid());
  Environment counts("KERF_EMULATOR_COUNTS", path.c_str());
  std::string expected;
  for (unsigned threads : {1, 2, 3}) {
    begin();
    cu.setThreads(threads);
    CUdeviceptr words = upload(std::vector<uint32_t>(385));
    const char *tile = ".shared .align 4 .b8 tile[384];\n";
    EXPECT_EQ(launch(loadBody(text + "ret;", 1, tile), 3, 96, 0, words), CUDA_SUCCESS) << cu.report();
    EXPECT_EQ(launch(loadBody(text + atomic + "ret;", 1, tile), 3, 96, 0, words), CUDA_SUCCESS) << cu.report();
    EXPECT_EQ(cu.instructions(0), 234u + 243u);
    // Nothing of a launch that fails.
    EXPECT_EQ(launch(loadBody("trap;", 0), 1, 32, 0), CUDA_ERROR_LAUNCH_FAILED);
    expected += apart + together;
  }
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), expected);
  std::filesystem::remove(path);
}

TEST_F(Driver, CountsOnlyIntoFiles) {
  Environment counts("KERF_EMULATOR_COUNTS", "/nowhere/counts");
  EXPECT_DEATH(cu.reset(), "kerf-emulator: KERF_EMULATOR_COUNTS must name a file that can be written, got "
                           "'/nowhere/counts': No such file or directory");
}

} // namespace
} // namespace kerf::emulator
