// The CUDA driver: finding it, and what its failures say.
#include "runtime/cuda/Gpu.h"
#include "runtime/support/Error.h"
#include "test/runtime/fake/FakeDriver.h"

#include <gtest/gtest.h>

#include <cstdlib>

using namespace kerf::cuda;
using namespace kerf::test;

namespace {

class GpuDriverTest : public testing::Test {
protected:
  GpuDriverTest() { fake.reset(); }
  ~GpuDriverTest() override { fake.reset(); }

  // Code and message of what `body` throws.
  template <typename Body> void expectRefused(Body &&body, kerf_code code, const std::string &message) {
    try {
      body();
      ADD_FAILURE() << "must be refused: " << message;
    } catch (const kerf::rt::Error &e) {
      EXPECT_EQ(e.code(), code);
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    }
  }

  FakeDriver &fake = fakeDriver();
};

TEST_F(GpuDriverTest, Finds) {
  const Driver &driver = Driver::open(KERF_FAKE_DRIVER);
  EXPECT_EQ(driver.version(), 12040);
  EXPECT_EQ(&Driver::open(KERF_FAKE_DRIVER), &driver) << "opened once";
  setenv("KERF_CUDA_DRIVER", KERF_FAKE_DRIVER, 1);
  EXPECT_EQ(&Driver::open(nullptr), &driver);
  setenv("KERF_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1);
  EXPECT_EQ(&Driver::open(KERF_FAKE_DRIVER), &driver) << "the option wins";
  expectRefused([] { Driver::open(nullptr); }, KERF_DEVICE_FAILED,
                "cannot load the CUDA driver '/nowhere/libcuda.so.1': ");
  expectRefused([] { Driver::open(nullptr); }, KERF_DEVICE_FAILED,
                "install the NVIDIA driver, or name its file by the option 'driver' or by KERF_CUDA_DRIVER");
  unsetenv("KERF_CUDA_DRIVER");
}

// Another path to the same file is another driver, whose opening is watched.
TEST_F(GpuDriverTest, Refuses) {
  expectRefused([] { Driver::open("libm.so.6"); }, KERF_DEVICE_FAILED,
                "'libm.so.6' must be a CUDA driver of version 11.0 or higher, but has no 'cuInit'; install a newer");
  const std::string file = KERF_FAKE_DRIVER,
                    other = file.substr(0, file.rfind('/')) + "/." + file.substr(file.rfind('/'));
  fake.version = 10020;
  expectRefused([&] { Driver::open(other.c_str()); }, KERF_DEVICE_FAILED,
                "must have version 11.0 or higher, got 10.2; install a newer NVIDIA driver");
  fake.failing = "cuInit", fake.error = 803;
  expectRefused([&] { Driver::open(other.c_str()); }, KERF_DEVICE_FAILED,
                "failed with unknown error (803): the driver knows no text for it; the kernel module and libcuda.so.1");
  fake.reset();
  EXPECT_EQ(Driver::open(other.c_str()).version(), 12040) << "a driver that was refused can be tried again";
}

TEST_F(GpuDriverTest, Devices) {
  const Driver &driver = Driver::open(KERF_FAKE_DRIVER);
  {
    const Gpu gpu(driver, 0);
    EXPECT_EQ(gpu.name(), "Fake GPU");
    EXPECT_EQ(gpu.architecture(), 86u);
    EXPECT_EQ(gpu.sharedBytes(), 99u * 1024);
    EXPECT_EQ(gpu.freeMemory(), uint64_t(1) << 30);
  }
  EXPECT_EQ(fake.objects, 0u) << "the context is given back";
  expectRefused([&] { Gpu(driver, 1); }, KERF_BAD_ARGUMENT, "device must be 0 to 0, got 1; nvidia-smi lists them");
  fake.devices = 0;
  expectRefused([&] { Gpu(driver, 0); }, KERF_DEVICE_FAILED, "check that nvidia-smi shows a GPU");
  fake.devices = 1;
  fake.failing = "cuDevicePrimaryCtxRetain", fake.error = CUDA_ERROR_OUT_OF_MEMORY;
  expectRefused([&] { Gpu(driver, 0); }, KERF_OUT_OF_MEMORY,
                "cuDevicePrimaryCtxRetain (device 0) failed with CUDA_ERROR_OUT_OF_MEMORY (2): out of memory; lower");
}

TEST_F(GpuDriverTest, Owners) {
  const Gpu gpu(Driver::open(KERF_FAKE_DRIVER), 0);
  {
    Gpu::Current scope(gpu);
    DeviceBlock block = allocateDevice(gpu, 1000, "a test"), none = allocateDevice(gpu, 0, "nothing");
    PinnedBlock pinned = allocatePinned(gpu, 1000, "a test");
    Stream stream = makeStream(gpu);
    Event event = makeEvent(gpu, true);
    EXPECT_TRUE(block && pinned && stream && event);
    EXPECT_FALSE(none);
    DeviceBlock moved = std::move(block);
    block = allocateDevice(gpu, 500, "a test");
    EXPECT_EQ(fake.allocated, 1500u);
    expectRefused([&] { allocateDevice(gpu, uint64_t(1) << 31, "a test"); }, KERF_OUT_OF_MEMORY,
                  "cuMemAlloc (2.00 GiB (2147483648 bytes) for a test) failed with CUDA_ERROR_OUT_OF_MEMORY");
  }
  EXPECT_EQ(fake.allocated, 0u);
  EXPECT_EQ(fake.objects, 1u) << "all but the context";
}

// What was made before a GPU was lost is given back without a word.
TEST_F(GpuDriverTest, Lost) {
  const Gpu gpu(Driver::open(KERF_FAKE_DRIVER), 0);
  DeviceBlock block;
  {
    Gpu::Current scope(gpu);
    block = allocateDevice(gpu, 1000, "a test");
    fake.failing = "cuMemGetInfo", fake.error = CUDA_ERROR_ILLEGAL_ADDRESS, fake.sticky = true;
    expectRefused([&] { gpu.freeMemory(); }, KERF_DEVICE_FAILED,
                  "cuMemGetInfo failed with CUDA_ERROR_ILLEGAL_ADDRESS (700): the driver knows no text for it; the GPU "
                  "is lost to this process");
    expectRefused([&] { makeStream(gpu); }, KERF_DEVICE_FAILED,
                  "cuStreamCreate failed with CUDA_ERROR_ILLEGAL_ADDRESS");
  }
  block = {};
}

} // namespace
