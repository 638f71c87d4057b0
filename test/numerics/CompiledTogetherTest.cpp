// Two compiled models in one process, and two contexts of one model on two threads: each gives the bits that it gives
// alone.
#include "test/numerics/Compiled.h"

#include <gtest/gtest.h>

#include <thread>

using namespace kerf::test;

namespace {

constexpr int rounds = 20;

std::vector<int32_t> idsBelow(int32_t vocabulary, size_t count, int32_t seed) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i)
    ids[i] = static_cast<int32_t>((i * 7919 + seed * 104729) % vocabulary);
  return ids;
}

/// Runs `ids` again and again in a context of its own, prompt first and then token by token, and keeps the first
/// difference from `expected`.
void runBeside(const CompiledModel &model, const std::vector<int32_t> &ids, const LogitRows &expected,
               std::string &difference) {
  CompiledContext context(model, static_cast<uint32_t>(ids.size()), 1);
  kerf_sequence *sequence = context.create();
  const std::span<const int32_t> all = ids;
  for (int round = 0; round < rounds && difference.empty(); ++round) {
    context.truncate(sequence, 0);
    LogitRows rows = context.step({{sequence, all.first(ids.size() / 2)}});
    for (size_t i = ids.size() / 2; i < ids.size(); ++i)
      rows.push_back(context.step({{sequence, all.subspan(i, 1)}}).at(0));
    difference = firstDifference(rows, expected);
  }
}

TEST(CompiledTogether, TwoModelsAndTwoContextsOnThreeThreads) {
  const std::string goldens = KERF_SOURCE_DIR "/test/goldens/models/";
  CompiledModel llama(compileCheckpoint(goldens + "llama-f32", "f32"), "avx2");
  CompiledModel qwen(compileCheckpoint(goldens + "qwen3", "f32"), "avx2");
  ASSERT_TRUE(llama.handle && qwen.handle) << llama.unsupported;
  const std::vector<int32_t> first = idsBelow(llama.info.vocabulary, 20, 1);
  const std::vector<int32_t> second = idsBelow(llama.info.vocabulary, 18, 2);
  const std::vector<int32_t> third = idsBelow(qwen.info.vocabulary, 22, 3);
  const LogitRows expected[] = {logitsAlone(llama, first), logitsAlone(llama, second), logitsAlone(qwen, third)};
  ASSERT_NE(firstDifference(expected[0], expected[1]), "");

  std::string differences[3];
  std::thread threads[] = {
      std::thread([&] { runBeside(llama, first, expected[0], differences[0]); }),
      std::thread([&] { runBeside(llama, second, expected[1], differences[1]); }),
      std::thread([&] { runBeside(qwen, third, expected[2], differences[2]); }),
  };
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &difference : differences)
    EXPECT_EQ(difference, "");
}

} // namespace
