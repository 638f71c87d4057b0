//===- gpu_sample_test.cpp - tokens drawn on a GPU, and by the runtime ----===//
#include "runtime/generate/Sampler.h"
#include "test/codegen/kernels/KernelHarness.h"

#include <limits>

using namespace kerf::nvptx;
using namespace kerf::test;

namespace {

const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

class GpuSample : public TargetTest {};

/// A row of logits of some kind, and how to draw from it.
struct Row {
  std::vector<float> logits;
  kerf_sampling sampling;
};

std::vector<float> makeLogits(int kind, int64_t vocabulary, std::mt19937 &random) {
  std::vector<float> logits(vocabulary);
  std::normal_distribution<float> normal(0, 3);
  auto anywhere = [&] { return size_t(random() % vocabulary); };
  for (float &logit : logits)
    switch (kind) {
    case 0: // as a model's
      logit = normal(random);
      break;
    case 1: // many ties, and zeros of both signs
      logit = std::trunc(normal(random)) / 2 * (random() % 2 ? 1 : -1);
      break;
    case 2: // all equal
      logit = -7.25f;
      break;
    case 3: { // any bits at all
      const uint32_t bits = random();
      std::memcpy(&logit, &bits, 4);
      break;
    }
    case 4: // much masked away
      logit = random() % 4 ? -infinity : normal(random);
      break;
    case 5: // numbers so near each other that only the last bits differ
      logit = 1 + float(random() % 5) * 0x1p-23f;
      break;
    default:
      logit = nan;
    }
  switch (kind) {
  case 0:
    logits[anywhere()] = nan;
    logits[anywhere()] = 12;
    break;
  case 3: // infinities would decide alone
    for (float &logit : logits)
      if (logit == infinity)
        logit = 0;
    break;
  case 7:
    logits[anywhere()] = infinity;
    logits[anywhere()] = infinity;
    break;
  case 8:
    logits[anywhere()] = -infinity;
    break;
  case 9:
    logits[anywhere()] = -3;
    logits[anywhere()] = 3;
  }
  return logits;
}

/// The compiled kernel for one vocabulary.
class Sampler {
public:
  Sampler(const Target &target, int64_t vocabulary) : vocabulary(vocabulary), kernel(compile(target, vocabulary)) {}
  void check(const std::vector<Row> &rows);

private:
  static std::pair<std::string, std::vector<GpuLaunch>> compile(const Target &target, int64_t vocabulary) {
    mlir::MLIRContext context;
    auto emit = [&](auto module, auto &v, auto name) { return emitKernel(module, v, name, SampleSpec{vocabulary}); };
    return compileForGpu(context, *target.gpu, emit);
  }

  const int64_t vocabulary;
  Kernel kernel;
};

/// Runs the rows in one step and compares each token with the runtime's.
void Sampler::check(const std::vector<Row> &rows) {
  Tensor logits(Element::F32, rows.size() * vocabulary);
  GuardedBuffer samplings(rows.size() * sizeof(kerf_sampling));
  for (size_t row = 0; row < rows.size(); ++row) {
    std::memcpy(static_cast<float *>(logits.data()) + row * vocabulary, rows[row].logits.data(), 4 * vocabulary);
    samplings.data<kerf_sampling>()[row] = rows[row].sampling;
  }
  Integers tokens(std::vector<int32_t>(rows.size(), -2));
  const int64_t scratch = scratchOf(SampleSpec{vocabulary}).coefficient[KERF_EXTENT_LOGIT_ROWS];
  kernel({logits.data(), samplings.data(), tokens.data()}, rows.size(), rows.size() * scratch);
  std::vector<kerf::rt::Candidate> candidates(vocabulary);
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto &[own, sampling] = rows[row];
    const int32_t expected = sampling.temperature < 0
                                 ? -1
                                 : kerf::rt::drawToken(sampling, own.data(), uint32_t(vocabulary), candidates.data());
    ASSERT_EQ(tokens.data<int32_t>()[row], expected)
        << "vocabulary " << vocabulary << ", row " << row << ", temperature " << sampling.temperature << ", top_k "
        << sampling.top_k << ", top_p " << sampling.top_p << ", random " << sampling.random;
  }
}

TEST_P(GpuSample, EqualsTheRuntime) {
  std::mt19937 random(11);
  for (int64_t vocabulary : {1, 2, 7, 32, 1000, 4096, 4099, 32000, 50257}) {
    Sampler sampler(target(), vocabulary);
    const uint32_t most = uint32_t(vocabulary);
    const float temperatures[] = {1, 0.7f, 1, 3, 1e-3f, 1e20f, 1e-45f, 0, -1};
    const uint32_t topKs[] = {0, 1, 2, 40, most / 2, most, most + 1, ~uint32_t(0)};
    const float topPs[] = {0, 1e-30f, 0.5f, 0.9f, 0.999f, 0.99999994f, 1};
    for (int turn = vocabulary > 10000 ? 4 : 12; turn > 0; --turn) {
      std::vector<Row> rows(vocabulary > 10000 ? 8 : 24);
      for (auto &[logits, sampling] : rows) {
        logits = makeLogits(random() % 3 ? 0 : random() % 10, vocabulary, random);
        auto any = [&](auto &list) { return list[random() % std::size(list)]; };
        sampling = {any(temperatures), any(topPs), any(topKs), 0, uint64_t(random()) << 32 | random()};
        if (random() % 8 == 0)
          sampling.random = random() % 2 ? ~uint64_t(0) : 0;
      }
      sampler.check(rows);
      if (HasFatalFailure())
        return;
    }
  }
}

// Every kind of logits with every way to keep some.
TEST_P(GpuSample, KindsOfLogits) {
  std::mt19937 random(12);
  const int64_t vocabulary = 5000;
  Sampler sampler(target(), vocabulary);
  for (int kind = 0; kind < 10; ++kind) {
    std::vector<Row> rows;
    const std::vector<float> logits = makeLogits(kind, vocabulary, random);
    for (uint32_t topK : {0, 3, 100, 4999})
      for (float topP : {0.f, 0.3f, 0.95f})
        rows.push_back({logits, {0.8f, topP, topK, 0, uint64_t(random()) << 32 | random()}});
    rows.push_back({logits, {0, 0, 0, 0, 0}});
    sampler.check(rows);
    if (HasFatalFailure())
      return;
  }
}

TEST_P(GpuSample, NoRows) {
  Sampler sampler(target(), 64);
  sampler.check({});
}

// A distribution that is cut at the upper bits of a key, in the middle of them, and in the last ones; ids on both ends.
TEST_P(GpuSample, EveryStretch) {
  const int64_t vocabulary = 9000;
  Sampler sampler(target(), vocabulary);
  for (float step : {1e-3f, 1e-5f, 0.f}) {
    std::vector<float> logits(vocabulary);
    for (int64_t id = 0; id < vocabulary; ++id)
      logits[id] = 2 - step * float(id * 7919 % vocabulary);
    std::vector<Row> rows;
    for (uint64_t part = 0; part < 12; ++part)
      rows.push_back({logits,
                      {1, part % 2 ? 0.6f : 0, part % 3 ? uint32_t(vocabulary - 1) : 0, 0,
                       part == 11 ? ~uint64_t(0) : part * (~uint64_t(0) / 11)}});
    sampler.check(rows);
    if (HasFatalFailure())
      return;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GpuSample, testing::Values("sm_80"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
