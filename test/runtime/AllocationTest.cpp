// Nothing is allocated during a step; and what a run touches is compared with the certificate.
#include "test/runtime/AllocationSteps.h"
#include "test/runtime/fake/Fixture.h"

#include <cstdio>

using namespace kerf::test;

namespace {

std::string sink;

TEST(AllocationTest, TheCounterCounts) {
  AllocationWatch watch;
  std::string(1000, 'x').swap(sink);
  EXPECT_GE(watch.stop(), 1u);
  AllocationWatch again;
  kerf_model *model = nullptr;
  kerf_model_open("/", &fakeLibrary(), nullptr, &model, nullptr);
  EXPECT_GE(again.stop(), 1u) << "calls from inside the runtime must be seen";
}

TEST(AllocationTest, NothingInAStep) {
  OpenModel model;
  for (uint32_t threads : {1u, 2u}) {
    OpenContext context(model.handle, planOf(kContext, 2, 0, kContext), threads, false);
    expectNothingAllocated(context.handle, randomIds(1, kContext), std::to_string(threads) + " threads");
  }
}

// Nothing by Kerf, that is: what a driver does is not counted.
TEST(AllocationTest, NothingInAStepOnAGpu) {
  FakeDriver &fake = fakeDriver();
  TempFolder folder;
  fakeGpuPackage().write(folder.file("fake.kerf"));
  kerf_model_options options = {};
  options.struct_size = sizeof options;
  options.driver = KERF_FAKE_DRIVER;
  kerf_model *model = nullptr;
  kerf_error error;
  ASSERT_EQ(kerf_model_open(folder.file("fake.kerf").c_str(), &fakeGpuLibrary(), &options, &model, &error), KERF_OK)
      << error.message;
  {
    OpenContext context(model, planOf(kContext, 2, 0, kContext), 1, true);
    fake.onCall = pauseAllocationWatch;
    expectNothingAllocated(context.handle, randomIds(1, kContext), "on a GPU");
    ASSERT_EQ(kerf_context_profile(context.handle, 1, nullptr), KERF_OK);
    expectNothingAllocated(context.handle, randomIds(1, kContext), "on a GPU, profiled");
    fake.reset();
  }
  kerf_model_close(model);
}

// What opening, planning and running at the ceilings adds to the resident set stays within the certificate.
TEST(AllocationTest, PeakWithinCertificate) {
  { // libraries, locale and allocator arenas that every use of the runtime pays once
    OpenModel model;
    OpenContext context(model.handle, planOf(kContext, 2), 2);
    ASSERT_EQ(context.step({{context.create(), randomIds(1, kContext)}}), KERF_OK);
  }
  const uint64_t before = resetPeakMemory();
  OpenModel model;
  kerf_plan_options options = planOf(4096, 512, 0, 4096);
  OpenContext context(model.handle, options, 2);
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  ASSERT_EQ(kerf_context_report(context.handle, &report, nullptr), KERF_OK);
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < 64; ++i)
    entries.push_back({context.create(), randomIds(i, kContext), KERF_LOGITS_ALL});
  ASSERT_EQ(context.step(entries), KERF_OK) << context.error.message;
  for (uint32_t round = 1; round < 8; ++round) {
    for (Entry &entry : entries)
      entry.sequence = context.create();
    ASSERT_EQ(context.step(entries), KERF_OK) << context.error.message;
  }
  const uint64_t peak = peakMemory() - before;
  std::printf("peak %llu bytes, certificate %llu bytes\n", (unsigned long long)peak, (unsigned long long)report.total);
  EXPECT_LE(peak, report.total);
  EXPECT_GT(peak * 2, report.total) << "a certificate far above the truth is of no use";
}

} // namespace
