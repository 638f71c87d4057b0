/// What the runtime's tests share: a temporary folder, an open fake model, contexts and short forms of calls. Programs
/// that are compiled with KERF_TEST_ON_GPU=1 run the model on the fake driver, with 2 on a driver that runs PTX: the
/// emulator, or the one that KERF_CUDA_DRIVER names.
#ifndef KERF_TEST_RUNTIME_FAKE_FIXTURE_H
#define KERF_TEST_RUNTIME_FAKE_FIXTURE_H

#include "kerf/kerf.h"
#include "test/runtime/fake/FakeDriver.h"
#include "test/runtime/fake/FakeGpu.h"
#include "test/runtime/fake/FakePackage.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#ifndef KERF_TEST_ON_GPU
#define KERF_TEST_ON_GPU 0
#endif

namespace kerf::test {

/// Whether the model runs on a driver, and whether that runs PTX.
inline constexpr bool kOnGpu = KERF_TEST_ON_GPU, kRunsPtx = KERF_TEST_ON_GPU == 2;

/// The library under test.
inline const kerf_library &testLibrary() {
  return kRunsPtx ? realGpuLibrary() : kOnGpu ? fakeGpuLibrary() : fakeLibrary();
}

/// The driver for it; NULL on a CPU.
inline const char *testDriver() {
#if KERF_TEST_ON_GPU == 2
  const char *named = std::getenv("KERF_CUDA_DRIVER");
  return named ? named : KERF_EMULATOR;
#else
  return kOnGpu ? KERF_FAKE_DRIVER : nullptr;
#endif
}

/// What every attention task, or on the fake driver every kernel, is to do first; NULL: nothing.
inline void setKernelHook(void (*hook)()) {
  if (kOnGpu)
    fakeDriver().onKernel = hook;
  else
    attentionHook = hook;
}

/// A folder that is deleted with the object.
class TempFolder {
public:
  TempFolder() {
    char name[] = "/tmp/kerf-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder &) = delete;
  TempFolder &operator=(const TempFolder &) = delete;
  /// Path of a file in it.
  std::string file(const std::string &name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

/// An open model from a package. On a GPU, its variants "compute_80" and "sm_80" (or "wide_80") stand for "narrow" and
/// "wide", which have the same attention tiles.
class OpenModel {
public:
  explicit OpenModel(FakePackage package = FakePackage(), std::string variant = "narrow") : weights(package.weights) {
    kerf_model_options options = {};
    options.struct_size = sizeof options;
    if (kOnGpu) {
      package = fakeGpuPackage(std::move(package), testLibrary());
      variant = variant != "wide" ? "compute_80" : kRunsPtx ? "wide_80" : "sm_80";
      options.driver = testDriver();
    }
    options.variant = variant.c_str();
    package.write(folder.file("fake.kerf"));
    kerf_error error;
    if (kerf_model_open(folder.file("fake.kerf").c_str(), &testLibrary(), &options, &handle, &error) != KERF_OK)
      ADD_FAILURE() << error.message;
  }
  ~OpenModel() { kerf_model_close(handle); }
  OpenModel(const OpenModel &) = delete;
  OpenModel &operator=(const OpenModel &) = delete;

  TempFolder folder;
  FakeWeights weights;
  kerf_model *handle = nullptr;
};

/// One entry of a step.
struct Entry {
  kerf_sequence *sequence;
  std::vector<int32_t> ids;
  kerf_logits logits = KERF_LOGITS_LAST;
  const kerf_sampling *sampling = nullptr;
};

/// A planned context.
class OpenContext {
public:
  OpenContext(kerf_model *model, kerf_plan_options plan, uint32_t threads = 1, bool poison = true) {
    kerf_context_options options = {sizeof options, threads, poison};
    kerf_error error;
    if (kerf_context_create(model, &options, &handle, &error) != KERF_OK ||
        kerf_context_plan(handle, &plan, nullptr, &error) != KERF_OK)
      ADD_FAILURE() << error.message;
  }
  ~OpenContext() { kerf_context_close(handle); }
  OpenContext(const OpenContext &) = delete;
  OpenContext &operator=(const OpenContext &) = delete;

  /// A new sequence; NULL and a message when there is no room.
  kerf_sequence *create() {
    kerf_sequence *sequence = nullptr;
    kerf_sequence_create(handle, &sequence, &error);
    return sequence;
  }
  /// A fork; NULL and a message when there is no room.
  kerf_sequence *fork(const kerf_sequence *from) {
    kerf_sequence *sequence = nullptr;
    kerf_sequence_fork(from, &sequence, &error);
    return sequence;
  }
  /// One step; the message is in `error`.
  kerf_code step(const std::vector<Entry> &entries) {
    std::vector<kerf_step_entry> raw;
    for (const Entry &entry : entries)
      raw.push_back(
          {entry.sequence, entry.ids.data(), uint32_t(entry.ids.size()), uint32_t(entry.logits), entry.sampling});
    const kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(raw.size()), raw.data()};
    return kerf_context_step(handle, &step, &error);
  }
  /// A row of the logits of the last step.
  std::vector<float> row(uint32_t index) const {
    const float *logits = kerf_context_logits(handle, index);
    return logits ? std::vector<float>(logits, logits + kVocabulary) : std::vector<float>();
  }

  kerf_context *handle = nullptr;
  kerf_error error;
};

/// Options of a plan.
inline kerf_plan_options planOf(uint32_t tokens, uint32_t sequences, uint32_t context = 0, uint32_t logitRows = 0,
                                uint32_t pages = 0) {
  return {sizeof(kerf_plan_options), tokens, sequences, context, logitRows, pages, 0};
}

/// `count` ids drawn from a seed.
inline std::vector<int32_t> randomIds(uint64_t seed, size_t count) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    ids.push_back(int32_t((seed >> 33) % kVocabulary));
  }
  return ids;
}

} // namespace kerf::test

#endif
