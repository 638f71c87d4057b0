// A model on a GPU: opening, what a step does there, and every call of the driver failing. That results are right is in
// the tests of the CPU, which run on the fake driver too.
#include "runtime/cuda/Graphs.h"
#include "test/runtime/fake/Fixture.h"

#include <map>
#include <set>

using namespace kerf::test;
using namespace kerf::cuda;

namespace {

class GpuModelTest : public testing::Test {
protected:
  GpuModelTest() {
    fake.reset();
    fakeGpuPackage().write(folder.file("fake.kerf"));
    options.struct_size = sizeof options;
    options.driver = KERF_FAKE_DRIVER;
  }
  ~GpuModelTest() override {
    fake.reset();
    EXPECT_EQ(fake.allocated, 0u) << "memory of the GPU is lost";
    EXPECT_EQ(fake.objects, 0u) << "handles are lost";
  }

  kerf_code open(kerf_model **out = nullptr) {
    kerf_model *model = nullptr;
    const kerf_code code =
        kerf_model_open(folder.file("fake.kerf").c_str(), &fakeGpuLibrary(), &options, &model, &error);
    EXPECT_EQ(code == KERF_OK, model != nullptr);
    if (out)
      *out = model;
    else
      kerf_model_close(model);
    return code;
  }
  void refused(kerf_code code, const std::string &message) {
    EXPECT_EQ(open(), code);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
  }
  std::string chosen() {
    kerf_model *model = nullptr;
    if (open(&model) != KERF_OK)
      return error.message;
    kerf_model_info info = {};
    info.struct_size = sizeof info;
    kerf_model_get_info(model, &info, nullptr);
    const std::string variant = info.variant;
    kerf_model_close(model);
    return variant;
  }

  FakeDriver &fake = fakeDriver();
  TempFolder folder;
  kerf_model_options options = {};
  kerf_error error = {};
};

TEST_F(GpuModelTest, ChoosesVariant) {
  const std::map<int, std::string> expected = {{80, "sm_80"}, {86, "sm_86"},       {89, "sm_86"},
                                               {90, "sm_90"}, {100, "compute_80"}, {120, "compute_80"}};
  for (const auto &[architecture, variant] : expected) {
    fake.major = architecture / 10, fake.minor = architecture % 10;
    EXPECT_EQ(chosen(), variant) << architecture;
  }
  fake.major = 7, fake.minor = 5;
  refused(KERF_DEVICE_FAILED,
          "the GPU must be of compute capability 8.0 or higher, 8.0 to 8.9, 8.6 to 8.9, 9.0 to 9.9, "
          "got 'Fake GPU' of 7.5; compile the model for it");
  fake.major = 8, fake.minor = 6;
  options.variant = "sm_80";
  EXPECT_EQ(chosen(), "sm_80");
  options.variant = "sm_90";
  refused(KERF_DEVICE_FAILED,
          "variant 'sm_90' must have a GPU of compute capability 9.0 to 9.9, got 'Fake GPU' of 8.6");
  options.variant = "avx2";
  refused(KERF_BAD_ARGUMENT, "variant must be one of compute_80, sm_80, sm_86, sm_90, got 'avx2'");
}

TEST_F(GpuModelTest, Info) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(kerf_model_get_info(model, &info, nullptr), KERF_OK);
  EXPECT_STREQ(info.device, "Fake GPU");
  EXPECT_EQ(info.variant_count, 4u);
  EXPECT_STREQ(kerf_model_variant(model, 3), "sm_90");
  EXPECT_EQ(kerf_model_variant(model, 4), nullptr);
  const int runs[] = {1, 1, 1, 0, 0};
  for (uint32_t i = 0; i < 5; ++i)
    EXPECT_EQ(kerf_model_variant_runs(model, i), runs[i]) << i;
  kerf_context *context = nullptr;
  kerf_context_options threads = {sizeof threads, 8, 0};
  ASSERT_EQ(kerf_context_create(model, &threads, &context, &error), KERF_OK);
  EXPECT_EQ(kerf_context_threads(context), 1u);
  kerf_context_close(context);
  kerf_model_close(model);
}

TEST_F(GpuModelTest, Options) {
  options.device = 1;
  refused(KERF_BAD_ARGUMENT, "device must be 0 to 0, got 1");
  fake.devices = 2;
  EXPECT_EQ(open(), KERF_OK) << error.message;
  // A model for CPUs has no use for them.
  FakePackage().write(folder.file("cpu.kerf"));
  kerf_model *model = nullptr;
  for (const char *driver : {KERF_FAKE_DRIVER, ""}) {
    options.driver = driver;
    EXPECT_EQ(kerf_model_open(folder.file("cpu.kerf").c_str(), &fakeLibrary(), &options, &model, &error),
              KERF_BAD_ARGUMENT);
    EXPECT_NE(std::string(error.message).find("device and driver are for models that are compiled for GPUs"),
              std::string::npos)
        << error.message;
  }
}

TEST_F(GpuModelTest, Images) {
  kerf_library library = fakeGpuLibrary();
  std::vector<kerf_gpu_variant> variants(library.gpu_variants, library.gpu_variants + 4);
  library.gpu_variants = variants.data();
  variants[2].image = "no image", variants[2].image_bytes = 9;
  kerf_model *model = nullptr;
  const std::string path = folder.file("fake.kerf");
  EXPECT_EQ(kerf_model_open(path.c_str(), &library, &options, &model, &error), KERF_DEVICE_FAILED);
  EXPECT_NE(std::string(error.message)
                .find("cuModuleLoadDataEx (variant 'sm_86' of '" + path +
                      "', says: line 1: this is no image) failed with CUDA_ERROR_INVALID_PTX (218)"),
            std::string::npos)
      << error.message;
  variants[2] = fakeGpuLibrary().gpu_variants[2];
  fake.shared = 48 * 1024;
  EXPECT_EQ(kerf_model_open(path.c_str(), &library, &options, &model, &error), KERF_DEVICE_FAILED);
  EXPECT_NE(std::string(error.message)
                .find("needs 64.00 KiB (65536 bytes) of shared memory, but blocks of 'Fake GPU' "
                      "have at most 48.00 KiB"),
            std::string::npos)
      << error.message;
}

// A driver that does not run a cubin gets the next, and PTX in the end.
TEST_F(GpuModelTest, NextImage) {
  fake.failing = "cuModuleLoadDataEx", fake.error = CUDA_ERROR_NO_BINARY_FOR_GPU;
  EXPECT_EQ(chosen(), "sm_80");
  fake.major = 9, fake.minor = 0;
  fake.failing = "cuModuleLoadDataEx";
  EXPECT_EQ(chosen(), "compute_80");
  fake.failing = "cuModuleLoadDataEx";
  options.variant = "sm_90";
  refused(KERF_DEVICE_FAILED, "cuModuleLoadDataEx (variant 'sm_90' of '");
  fake.major = 10;
  fake.failing = "cuModuleLoadDataEx";
  options.variant = nullptr;
  refused(KERF_DEVICE_FAILED, "cuModuleLoadDataEx (variant 'compute_80' of '");
}

TEST_F(GpuModelTest, Upload) {
  static std::vector<uint64_t> told;
  static uint64_t expectedTotal;
  static int answer;
  told.clear();
  answer = 0;
  options.on_progress = [](void *user, uint64_t done, uint64_t total) {
    EXPECT_EQ(user, &answer);
    expectedTotal = total;
    told.push_back(done);
    return answer;
  };
  options.user = &answer;
  ASSERT_EQ(open(), KERF_OK) << error.message;
  EXPECT_EQ(told.size(), 3u) << "one piece for each small weight";
  EXPECT_EQ(told.back(), expectedTotal);
  EXPECT_EQ(expectedTotal, kVocabulary * 36u);
  answer = 1;
  refused(KERF_CANCELLED, "the upload of weights was cancelled");
  options.on_progress = nullptr;
  fake.memory = 9000;
  refused(KERF_OUT_OF_MEMORY, "the weights of '" + folder.file("fake.kerf") +
                                  "' need 9.75 KiB (9984 bytes), but 'Fake GPU' has only 8.79 KiB (9000 bytes) free");
}

// One copy there, one back, one wait; nothing of the driver but what the step needs.
TEST_F(GpuModelTest, Step) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  {
    OpenContext context(model, planOf(32, 2), 1, false);
    kerf_sequence *sequence = context.create();
    ASSERT_EQ(context.step({{sequence, randomIds(1, 9)}}), KERF_OK) << context.error.message;
    fake.reset();
    ASSERT_EQ(context.step({{sequence, randomIds(2, 2)}}), KERF_OK) << context.error.message;
    EXPECT_EQ(fake.uploads, 1u);
    EXPECT_EQ(fake.downloads, 1u);
    EXPECT_EQ(fake.waits, 1u);
    // embed_few, append, attend_several for both lists, project_first, project, sample
    EXPECT_EQ(fake.launches, 7u);
    // Positions 9 and 10: page 2 of the first group is there, page 3 of the second begins.
    EXPECT_EQ(fake.fills, 1u);
    fake.reset();
    ASSERT_EQ(context.step({{sequence, randomIds(3, 7), KERF_LOGITS_NONE}}), KERF_OK) << context.error.message;
    // Seven rows with a tile of 4: a work item of 4 and one of 3.
    EXPECT_EQ(fake.launches, 4u) << "no rows of logits, no launch for them";
    EXPECT_EQ(fake.downloads, 0u);
    fake.reset();
    ASSERT_EQ(context.step({{sequence, randomIds(4, 5), KERF_LOGITS_NONE}}), KERF_OK) << context.error.message;
    EXPECT_EQ(fake.launches, 6u) << "items of 4 and 1: attention of both kinds";
  }
  kerf_model_close(model);
}

// Steps of one row for each sequence are graphs by bucket, cut where the embedding takes its other function.
TEST_F(GpuModelTest, Graphs) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  {
    constexpr uint32_t most = 7;
    OpenContext context(model, planOf(32, most), 1, false);
    // 1, 2, 3, 4, 5 to 7, seven launches each.
    EXPECT_EQ(fake.captured, 5u * 7);
    kerf_sequence *sequences[most];
    std::vector<std::vector<int32_t>> ids;
    for (uint32_t i = 0; i < most; ++i) {
      sequences[i] = context.create();
      ids.push_back(randomIds(i, 3 + i));
      fake.reset();
      ASSERT_EQ(context.step({{sequences[i], ids[i]}}), KERF_OK) << context.error.message;
      EXPECT_EQ(fake.graphLaunches, 0u) << "a prompt is no graph";
    }
    for (uint32_t count = 1; count <= most; ++count) {
      std::vector<Entry> entries;
      for (uint32_t i = 0; i < count; ++i) {
        entries.push_back({sequences[i], randomIds(100 * count + i, 1), KERF_LOGITS_LAST});
        ids[i].push_back(entries[i].ids[0]);
      }
      fake.reset();
      ASSERT_EQ(context.step(entries), KERF_OK) << context.error.message;
      EXPECT_EQ(fake.graphLaunches, 1u);
      EXPECT_EQ(fake.launches, 0u);
      for (uint32_t i = 0; i < count; ++i)
        EXPECT_EQ(context.row(i), referenceLogits(FakePackage().weights, ids[i])) << count << " " << i;
    }
    // With a row that wants no logits, or profiled, there is none that is right.
    const Entry plain[] = {{sequences[0], {1}, KERF_LOGITS_LAST}, {sequences[1], {2}, KERF_LOGITS_NONE}};
    fake.reset();
    ASSERT_EQ(context.step({plain[0], plain[1]}), KERF_OK);
    EXPECT_EQ(fake.graphLaunches, 0u);
    ASSERT_EQ(kerf_context_profile(context.handle, 1, nullptr), KERF_OK);
    ASSERT_EQ(context.step({plain[0]}), KERF_OK);
    EXPECT_EQ(fake.graphLaunches, 0u);
    ASSERT_EQ(kerf_context_profile(context.handle, 0, nullptr), KERF_OK);
    ASSERT_EQ(context.step({plain[0]}), KERF_OK);
    EXPECT_EQ(fake.graphLaunches, 1u);
  }
  kerf_model_close(model);
}

// A row from which a token is drawn leaves nothing but that on the host; logits are copied row by row where wanted.
TEST_F(GpuModelTest, Downloads) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  {
    OpenContext context(model, planOf(32, 3, 0, 8), 1, false);
    kerf_sequence *sequences[] = {context.create(), context.create(), context.create()};
    const kerf_sampling sampling = {1, 0, 0, 0, 12345};
    const auto step = [&](std::vector<Entry> entries) {
      fake.reset();
      EXPECT_EQ(context.step(entries), KERF_OK) << context.error.message;
      return fake.downloadedBytes;
    };
    constexpr uint64_t row = kVocabulary * sizeof(float), token = sizeof(int32_t);
    const Entry draws[] = {{sequences[0], {1}, KERF_LOGITS_LAST, &sampling},
                           {sequences[1], {2}, KERF_LOGITS_LAST, &sampling},
                           {sequences[2], {3}, KERF_LOGITS_LAST, &sampling}};
    EXPECT_EQ(step({draws[0], draws[1], draws[2]}), 3 * token);
    EXPECT_EQ(fake.graphLaunches, 1u) << "as other steps of one row for each sequence";
    EXPECT_EQ(fake.downloads, 1u);
    EXPECT_EQ(step({{sequences[0], {1}}, {sequences[1], {2}}}), 2 * row);
    EXPECT_EQ(step({{sequences[0], {1, 2}, KERF_LOGITS_ALL}, draws[1], {sequences[2], {3}}}), 3 * row + 4 * token);
    EXPECT_EQ(fake.downloads, 3u) << "two runs of rows, and the tokens";
    EXPECT_EQ(step({{sequences[0], {1}, KERF_LOGITS_NONE}}), 0u);
  }
  kerf_model_close(model);
}

TEST(GraphsTest, Buckets) {
  using Bounds = std::vector<std::pair<int64_t, int64_t>>;
  const auto buckets = [](int64_t ceiling, const std::vector<const kerf_gpu_launch *> &launches) {
    Bounds bounds;
    for (const Bucket &bucket : bucketsFor(ceiling, launches))
      bounds.push_back({bucket.least, bucket.most});
    return bounds;
  };
  EXPECT_EQ(buckets(0, {}), Bounds());
  EXPECT_EQ(buckets(1, {}), (Bounds{{1, 1}}));
  EXPECT_EQ(buckets(9, {}), (Bounds{{1, 1}, {2, 2}, {3, 4}, {5, 8}, {9, 9}}));
  const kerf_gpu_launch few = {"few", 0, 6, 0, 1, 1, 32, 0, 0}, many = {"many", 7, UINT32_MAX, 0, 1, 1, 32, 0, 0};
  EXPECT_EQ(buckets(16, {&few, &many}), (Bounds{{1, 1}, {2, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 16}}));
  EXPECT_EQ(buckets(6, {&few, &many}), (Bounds{{1, 1}, {2, 2}, {3, 4}, {5, 6}}));
  std::vector<kerf_gpu_launch> fine(100, many);
  std::vector<const kerf_gpu_launch *> all;
  for (uint32_t i = 0; i < fine.size(); ++i) {
    fine[i].least_rows = i;
    all.push_back(&fine[i]);
  }
  ASSERT_EQ(buckets(99, all).size(), 64u) << "no more graphs than this";
  EXPECT_EQ(buckets(99, all).back(), std::pair(int64_t(64), int64_t(64)));
}

// What lies between the used parts of the arrays goes along only where it is small.
TEST_F(GpuModelTest, LongArrays) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  {
    OpenContext context(model, planOf(100000, 2), 1, false);
    fake.reset();
    kerf_sequence *sequence = context.create();
    const std::vector<int32_t> ids = randomIds(1, 9);
    ASSERT_EQ(context.step({{sequence, ids}}), KERF_OK) << context.error.message;
    EXPECT_GT(fake.uploads, 1u);
    EXPECT_EQ(context.row(0), referenceLogits(FakePackage().weights, ids));
  }
  kerf_model_close(model);
}

TEST_F(GpuModelTest, Certificate) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  kerf_context *context = nullptr;
  ASSERT_EQ(kerf_context_create(model, nullptr, &context, &error), KERF_OK);
  kerf_plan_options plan = planOf(32, 2);
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  ASSERT_EQ(kerf_context_plan(context, &plan, &report, &error), KERF_OK) << error.message;
  const uint64_t block = 2 * 1024 * 1024, taken = fake.allocated;
  EXPECT_EQ(report.cache, 2 * block) << "a pool for each group";
  EXPECT_EQ(report.arena, block);
  EXPECT_EQ(report.device, 6 * block) << "weights, two pools, arena, results, step arrays";
  EXPECT_LE(taken, report.device);
  EXPECT_EQ(report.device_available, (uint64_t(1) << 30)) << "the model's weights are part of the plan";
  EXPECT_EQ(report.threads, 1u);
  EXPECT_EQ(report.total,
            report.manifest + report.step + report.results + report.sampler + report.sequences + report.stacks);

  fake.memory = taken + 1024;
  EXPECT_EQ(kerf_context_plan(context, &plan, &report, &error), KERF_OUT_OF_MEMORY);
  EXPECT_NE(std::string(error.message).find("the plan needs 12.00 MiB (12582912 bytes) of the GPU's memory (weights "),
            std::string::npos)
      << error.message;
  EXPECT_NE(std::string(error.message).find(", but the GPU has only "), std::string::npos) << error.message;
  EXPECT_LT(fake.allocated, taken) << "without a plan, its memory is free";
  fake.reset();
  plan.memory_limit = 11 << 20;
  EXPECT_EQ(kerf_context_plan(context, &plan, &report, &error), KERF_OUT_OF_MEMORY);
  EXPECT_NE(std::string(error.message).find("the memory limit allows 11.00 MiB"), std::string::npos) << error.message;
  ASSERT_EQ(kerf_model_certificate(model, 0, &plan, &report, &error), KERF_OK);
  EXPECT_EQ(report.device, 6 * block);
  EXPECT_EQ(report.device_available, uint64_t(11 << 20));
  kerf_context_close(context);
  kerf_model_close(model);
}

// Opens, plans, runs, forks, saves, restores, profiles, closes. Stops at the first failure; what it was.
struct Life {
  kerf_code code = KERF_OK;
  std::string message;
  explicit Life(const kerf_model_options &options, const std::string &path) {
    kerf_model *model = nullptr;
    kerf_context *context = nullptr;
    kerf_sequence *sequence = nullptr, *fork = nullptr, *restored = nullptr;
    kerf_error error = {};
    const auto must = [&](auto call, auto... arguments) {
      if (code == KERF_OK && (code = call(arguments..., &error)) != KERF_OK)
        message = error.message;
    };
    must(kerf_model_open, path.c_str(), &fakeGpuLibrary(), &options, &model);
    must(kerf_context_create, model, nullptr, &context);
    kerf_plan_options plan = planOf(16, 3);
    must(kerf_context_plan, context, &plan, nullptr);
    must(kerf_sequence_create, context, &sequence);
    const std::vector<int32_t> ids = randomIds(1, 9);
    kerf_step_entry entries[2] = {{sequence, ids.data(), 6, KERF_LOGITS_LAST, nullptr}, {}};
    const kerf_step step = {sizeof step, sizeof entries[0], 1, entries},
                    both = {sizeof step, sizeof entries[0], 2, entries};
    must(kerf_context_step, context, &step);
    must(kerf_sequence_fork, sequence, &fork);
    entries[0].count = 1;
    entries[1] = {fork, ids.data(), 1, KERF_LOGITS_LAST, nullptr};
    const uint32_t before[2] = {kerf_sequence_length(sequence), kerf_sequence_length(fork)};
    const bool wasFine = code == KERF_OK;
    must(kerf_context_step, context, &both);
    if (wasFine && code != KERF_OK) { // a failed step changes nothing
      EXPECT_EQ(kerf_sequence_length(sequence), before[0]);
      EXPECT_EQ(kerf_sequence_length(fork), before[1]);
    }
    uint8_t saved[4096];
    size_t size = 0;
    must(kerf_sequence_save, fork, saved, sizeof saved, &size);
    must(kerf_sequence_restore, context, saved, size, &restored);
    must(kerf_context_profile, context, 1);
    must(kerf_context_step, context, &both);
    kerf_sequence_close(restored);
    kerf_sequence_close(fork);
    kerf_sequence_close(sequence);
    for (uint32_t g = 0; context && g < 2; ++g) {
      const uint32_t pages = 3 * (g == 0 ? 16 : 22);
      if (kerf_context_free_pages(context, g)) {
        EXPECT_EQ(kerf_context_free_pages(context, g), pages) << "pages are lost after: " << message;
      }
    }
    kerf_context_close(context);
    kerf_model_close(model);
  }
};

const char *const kCalls[] = {"cuDeviceGetCount",   "cuDeviceGet",          "cuDevicePrimaryCtxRetain",
                              "cuModuleLoadDataEx", "cuModuleGetFunction",  "cuFuncSetAttribute",
                              "cuMemGetInfo",       "cuMemAlloc",           "cuMemHostAlloc",
                              "cuMemcpyHtoDAsync",  "cuMemcpyDtoHAsync",    "cuMemcpyDtoDAsync",
                              "cuMemsetD8Async",    "cuStreamCreate",       "cuStreamSynchronize",
                              "cuEventCreate",      "cuEventRecord",        "cuEventElapsedTime",
                              "cuLaunchKernel",     "cuStreamBeginCapture", "cuStreamEndCapture",
                              "cuGraphInstantiate", "cuGraphLaunch",        "cuEventSynchronize"};

// Each call of the driver fails, the first time, the second and so on, until it is not reached any more: with an error
// that passes, and with one that stays. Each time there is a message with the call's name, and nothing is lost.
TEST_F(GpuModelTest, EveryCallFails) {
  EXPECT_EQ(Life(options, folder.file("fake.kerf")).code, KERF_OK);
  for (const bool sticky : {false, true})
    for (const char *call : kCalls) {
      int failures = 0;
      for (int after = 0;; ++after) {
        ASSERT_LT(after, 1000);
        fake.reset();
        fake.failing = call, fake.after = after, fake.sticky = sticky;
        fake.error = sticky ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_OUT_OF_MEMORY;
        const Life life(options, folder.file("fake.kerf"));
        if (fake.failing) { // not reached
          EXPECT_EQ(life.code, KERF_OK) << call << " " << after << ": " << life.message;
          break;
        }
        ++failures;
        EXPECT_EQ(life.code, sticky ? KERF_DEVICE_FAILED : KERF_OUT_OF_MEMORY) << call << " " << after;
        EXPECT_EQ(life.message.find(call), 0u) << call << " " << after << ": " << life.message;
        if (!sticky) { // a lost GPU takes memory and handles with it
          EXPECT_EQ(fake.allocated, 0u) << call << " " << after;
          EXPECT_EQ(fake.objects, 0u) << call << " " << after;
        }
      }
      EXPECT_GT(failures, 0) << call << " was never reached";
    }
}

// A kernel that faults is found when the step waits, and what comes after says so too.
TEST_F(GpuModelTest, Fault) {
  kerf_model *model = nullptr;
  ASSERT_EQ(open(&model), KERF_OK) << error.message;
  {
    OpenContext context(model, planOf(32, 2), 1, false);
    kerf_sequence *sequence = context.create();
    ASSERT_EQ(context.step({{sequence, randomIds(1, 9)}}), KERF_OK) << context.error.message;
    fake.failing = "a kernel", fake.error = CUDA_ERROR_ILLEGAL_ADDRESS, fake.sticky = true;
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(context.step({{sequence, {1}}}), KERF_DEVICE_FAILED);
      EXPECT_NE(std::string(context.error.message).find("CUDA_ERROR_ILLEGAL_ADDRESS (700)"), std::string::npos);
      EXPECT_NE(std::string(context.error.message).find("the GPU is lost to this process: close all its models"),
                std::string::npos)
          << context.error.message;
      EXPECT_EQ(kerf_sequence_length(sequence), 9u);
      EXPECT_EQ(kerf_context_logits(context.handle, 0), nullptr);
    }
    EXPECT_EQ(open(), KERF_DEVICE_FAILED);
  }
  kerf_model_close(model);
}

} // namespace
