// A kernel that faults, on a driver that runs it.
#include "test/runtime/fake/Fixture.h"

using namespace kerf::test;

namespace {

TEST(PtxFaultTest, IsToldAndClosed) {
  // The library with the function `fault` in the place of `append`, for steps of 5 rows and more.
  kerf_library library = testLibrary();
  std::vector<kerf_gpu_variant> variants(library.gpu_variants, library.gpu_variants + library.gpu_variant_count);
  std::vector<kerf_gpu_kernel> kernels(variants[0].kernels, variants[0].kernels + variants[0].kernel_count);
  kerf_gpu_launch launches[2] = {kernels[1].launches[0], kernels[1].launches[0]};
  launches[0].most_rows = 4;
  launches[1].least_rows = 5;
  launches[1].function = "fault";
  kernels[1].launches = launches;
  kernels[1].launch_count = 2;
  for (kerf_gpu_variant &variant : variants)
    variant.kernels = kernels.data();
  library.gpu_variants = variants.data();

  TempFolder folder;
  fakeGpuPackage(FakePackage(), library).write(folder.file("fake.kerf"));
  kerf_model_options options = {};
  options.struct_size = sizeof options;
  options.driver = testDriver();
  kerf_model *model = nullptr;
  kerf_error error = {};
  ASSERT_EQ(kerf_model_open(folder.file("fake.kerf").c_str(), &library, &options, &model, &error), KERF_OK)
      << error.message;
  auto context = std::make_unique<OpenContext>(model, planOf(16, 1));
  kerf_sequence *sequence = context->create();
  ASSERT_EQ(context->step({{sequence, {1, 2, 3}}}), KERF_OK) << context->error.message;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(context->step({{sequence, {1, 2, 3, 4, 5}}}), KERF_DEVICE_FAILED);
    const std::string message = context->error.message;
    EXPECT_NE(message.find(" failed with CUDA_ERROR_ILLEGAL_ADDRESS (700)"), std::string::npos) << message;
    EXPECT_NE(message.find("the GPU is lost to this process: close all its models"), std::string::npos) << message;
    EXPECT_EQ(kerf_sequence_length(sequence), 3u);
  }
  EXPECT_EQ(context->step({{sequence, {1}}}), KERF_DEVICE_FAILED) << "what does not fault fails too";
  uint8_t saved[4096];
  size_t size = 0;
  EXPECT_EQ(kerf_sequence_save(sequence, saved, sizeof saved, &size, &error), KERF_DEVICE_FAILED);
  EXPECT_EQ(kerf_context_plan(context->handle, nullptr, nullptr, &error), KERF_BAD_ARGUMENT) << "a sequence is open";
  kerf_sequence_close(sequence);
  EXPECT_EQ(kerf_context_plan(context->handle, nullptr, nullptr, &error), KERF_DEVICE_FAILED) << error.message;
  kerf_model *again = nullptr;
  EXPECT_NE(kerf_model_open(folder.file("fake.kerf").c_str(), &library, &options, &again, &error), KERF_OK);
  context.reset();
  kerf_model_close(model);
}

} // namespace
