// The bundled model, compiled: a step allocates nothing, and opening, planning and running touch no more memory than
// the certificate says. The program's malloc counts, so it stands apart from the other tests.
#include "test/numerics/Compiled.h"
#include "test/runtime/AllocationSteps.h"

#include <gtest/gtest.h>

#include <cstdio>

using namespace kerf::test;

namespace {

class CompiledAllocation : public testing::TestWithParam<std::tuple<const char *, const char *>> {
protected:
  void SetUp() override {
    package = compileCheckpoint(bundledCheckpoint, std::get<0>(GetParam()));
    CompiledModel model(package, std::get<1>(GetParam()));
    if (!model.unsupported.empty())
      GTEST_SKIP() << model.unsupported;
    ASSERT_TRUE(model.handle);
  }

  std::string package;
};

std::vector<int32_t> someIds(uint32_t count) {
  std::vector<int32_t> ids(count);
  for (uint32_t i = 0; i < count; ++i)
    ids[i] = int32_t(i * 2654435761u >> 20); // below 4096
  return ids;
}

// Up to two pages of 64 positions and half of a third; on two threads one page and one position more.
TEST_P(CompiledAllocation, NothingInAStep) {
  CompiledModel model(package, std::get<1>(GetParam()));
  for (const auto &[threads, most] : {std::pair(1u, 160u), std::pair(2u, 65u)}) {
    CompiledContext context(model, most, 2, 0, threads);
    expectNothingAllocated(context.handle, someIds(most), std::to_string(threads) + " threads");
  }
}

// Everything at its ceiling: the most tokens in a step, with logits for all, until every sequence is full; then a
// generation.
TEST_P(CompiledAllocation, PeakWithinCertificate) {
  const std::string variant = std::get<1>(GetParam());
  const std::vector<int32_t> ids = someIds(512);
  { // libraries, locale and allocator arenas that every use of the runtime pays once
    CompiledModel model(package, variant);
    CompiledContext context(model, 1, 1, 1, 2);
    context.step({{context.create(), std::span(ids).first(1)}});
  }
  const uint64_t before = resetPeakMemory();
  CompiledModel model(package, variant);
  ASSERT_TRUE(model.handle);
  const kerf_context_options options = {sizeof options, 2, 0};
  const kerf_plan_options plan = {sizeof plan, 512, 2, 2048, 512, 0, 0};
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  kerf_context *context = nullptr;
  ASSERT_EQ(kerf_context_create(model.handle, &options, &context, nullptr), KERF_OK);
  ASSERT_EQ(kerf_context_plan(context, &plan, &report, nullptr), KERF_OK);
  kerf_sequence *sequences[2] = {};
  for (kerf_sequence *&sequence : sequences) {
    ASSERT_EQ(kerf_sequence_create(context, &sequence, nullptr), KERF_OK);
    const kerf_step_entry entry = {sequence, ids.data(), 512, KERF_LOGITS_ALL, nullptr};
    const kerf_step step = {sizeof step, sizeof entry, 1, &entry};
    for (uint32_t done = 0; done < 2048; done += 512)
      ASSERT_EQ(kerf_context_step(context, &step, nullptr), KERF_OK);
  }
  kerf_sequence_close(sequences[0]);
  kerf_generate_options generate = {};
  generate.struct_size = sizeof generate;
  generate.prompt = "the words of the wise";
  generate.max_tokens = 16;
  generate.temperature = 1;
  ASSERT_EQ(kerf_generate(context, &generate, nullptr, nullptr), KERF_OK);
  const uint64_t peak = peakMemory() - before;
  kerf_context_close(context);
  std::printf(
      "peak %.2f MiB, certificate %.2f MiB: weights %.2f, manifest %.2f, cache %.2f, arena %.2f, results %.2f\n",
      peak / 1048576.0, report.total / 1048576.0, report.weights / 1048576.0, report.manifest / 1048576.0,
      report.cache / 1048576.0, report.arena / 1048576.0, report.results / 1048576.0);
  EXPECT_LE(peak, report.total);
  EXPECT_GT(peak * 10, report.total * 9) << "a certificate far above the truth is of no use";
}

INSTANTIATE_TEST_SUITE_P(Variants, CompiledAllocation,
                         testing::Combine(testing::Values("f32", "bf16"), testing::ValuesIn(allVariants)),
                         [](const auto &info) {
                           return std::get<0>(info.param) + std::string("_") + std::get<1>(info.param);
                         });

} // namespace
