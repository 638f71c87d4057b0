// The tools with a model for GPUs, on the fake driver.
#include "test/runtime/ToolsFixture.h"

using namespace kerf::test;

namespace {

class GpuToolsTest : public ToolsTest {
protected:
  void SetUp() override {
    ToolsTest::SetUp();
    FakePackage fake;
    for (int i = 0; i < 256; ++i)
      fake.weights.next[size_t(i)] = (i + 1) % 256;
    gpu = put(fakeGpuPackage(std::move(fake)), "gpu", KERF_FAKE_GPU_MODULE);
  }
  std::string gpu;
  const std::string driver = std::string(" --driver ") + KERF_FAKE_DRIVER;
};

TEST_F(GpuToolsTest, Generate) {
  Output output = run(KERF_RUN, gpu + " --prompt ab --max-tokens 5" + driver);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_TRUE(contains(output.out, "cdefg")) << output.out;
  EXPECT_TRUE(contains(output.err, "fake-model, sm_86, 1 thread: 2 prompt tokens in")) << output.err;
  EXPECT_TRUE(contains(output.err, " MiB and 12.0 MiB of the GPU")) << output.err;
  output = run(KERF_RUN, gpu + " --prompt ab --max-tokens 5 --variant compute_80 --json",
               std::string("KERF_CUDA_DRIVER=") + KERF_FAKE_DRIVER);
  EXPECT_TRUE(contains(output.out, "\"variant\": \"compute_80\"")) << output.out << output.err;
  EXPECT_EQ(numberOf(output.out, "planned_device_bytes"), 12.0 * 1048576);
  output = run(KERF_RUN, gpu + " --prompt ab --max-tokens 5 --threads 2" + driver);
  EXPECT_TRUE(contains(output.err, "kerf-run: warning: --threads has no effect on a model that runs on a GPU"))
      << output.err;
}

TEST_F(GpuToolsTest, Refused) {
  expectRefused(KERF_RUN, gpu + " --prompt ab --driver /nowhere/libcuda.so.1", 1,
                "cannot load the CUDA driver '/nowhere/libcuda.so.1'");
  expectRefused(KERF_RUN, gpu + " --prompt ab --device 3" + driver, 1, "device must be 0 to 0, got 3");
  expectRefused(KERF_RUN, gpu + " --prompt ab --memory-limit 4MiB" + driver, 1,
                "of the GPU's memory (weights 9.28 KiB (9504 bytes), KV ");
  expectRefused(KERF_RUN, package + " --prompt ab" + driver, 1,
                "device and driver are for models that are compiled for GPUs");
}

TEST_F(GpuToolsTest, Bench) {
  Output output =
      run(KERF_BENCH, gpu + " --prompt-tokens 20 --gen-tokens 6 --sequences 2 --repeat 2 --per-kernel" + driver);
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char *part : {"variant sm_86", "1 thread, planned ", " of the GPU", "prefill ", "decode ", "attend"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
}

TEST_F(GpuToolsTest, SaysOnWhat) {
  const std::string log = folder.file("log");
  const Output output =
      run(KERF_BENCH, gpu + " --prompt-tokens 4 --gen-tokens 1 --repeat 1 --json --log-jsonl " + log + driver);
  EXPECT_TRUE(contains(output.out, "\"device\": \"Fake GPU\"")) << output.out << output.err;
  const std::string events = readFile(log);
  for (const char *part :
       {"\"device\": \"Fake GPU\"", "\"planned_device_bytes\": 12582912", "weights to the GPU: 0 of 0 MiB"})
    EXPECT_TRUE(contains(events, part)) << part << "\n" << events;
}

// The two devices' logits are compared as those of any two models.
TEST_F(GpuToolsTest, Compare) {
  writeFile(folder.file("text"), "some text of some length");
  const Output output = run(KERF_RUN, "compare " + package + " " + gpu + " --text " + folder.file("text"),
                            std::string("KERF_CUDA_DRIVER=") + KERF_FAKE_DRIVER);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_TRUE(contains(output.out, "same best token")) << output.out;
}

TEST_F(GpuToolsTest, Inspect) {
  Output output = run(KERF_INSPECT, gpu + " -T 16 -S 2 --context 32 --kernels"); // needs no driver
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char *part :
       {"target        nvptx64; variants compute_80, sm_80, sm_86, sm_90", "of the GPU's memory, in blocks of 2.00 MiB",
        "kernels of 'compute_80': PTX of 23 bytes for compute capability 8.0",
        "kernels of 'sm_86': cubin of 23 bytes for compute capability 8.6", "1 to 3", "4 or more",
        "items of several rows", "embed_many"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  output = run(KERF_INSPECT, gpu + " --kernels --json");
  for (const char *part : {"\"device_bytes\"", "\"image\": \"PTX\"", "\"function\": \"project_first\"",
                           "\"shared_bytes\": 65536", "\"condition\": \"items of one row\""})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  output = run(KERF_INSPECT, gpu + driver);
  EXPECT_TRUE(contains(output.out, "on 'Fake GPU' of compute capability 8.6, driver 12.4: 1.00 GiB (1073741824 bytes) "
                                   "free"))
      << output.out << output.err;
  output = run(KERF_INSPECT, gpu + " --json" + driver);
  EXPECT_EQ(numberOf(output.out, "free_bytes"), double(1 << 30)) << output.out;
  expectRefused(KERF_INSPECT, gpu + " --device 4" + driver, 1, "device must be 0 to 0, got 4");
  output = run(KERF_INSPECT, package + " --kernels");
  for (const char *part : {"kernels of 'narrow'", "kernels of 'never'", "attend", "512"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  std::filesystem::remove(folder.file("libmodel.so"));
  expectRefused(KERF_INSPECT, package + " --kernels", 1, "cannot load the library of");
}

} // namespace
