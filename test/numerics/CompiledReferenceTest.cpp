// Compiled models against the reference path, which rounds where the ops' contracts round, and against each text alone,
// bit for bit: ragged steps of random shapes on tiny checkpoints of odd sizes.
#include "codegen/package/Source.h"
#include "codegen/reference/Model.h"
#include "dialects/import/Import.h"
#include "test/numerics/Compiled.h"
#include "test/numerics/Goldens.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <random>

using namespace kerf;
using namespace kerf::test;

namespace {

namespace fs = std::filesystem;
using Random = std::mt19937;

uint32_t draw(Random &random, uint32_t least, uint32_t most) {
  return std::uniform_int_distribution<uint32_t>(least, most)(random);
}

std::string readText(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// A copy of a golden checkpoint for texts of `context` tokens, more than a page; its rope does not depend on that.
/// Written once, so that what was compiled stays good.
std::string makeLonger(const std::string &name, const std::string &computeType, uint32_t context) {
  const fs::path from = fs::path(modelsDirectory) / name,
                 to = fs::path(KERF_COMPILED_DIR) / ("long-" + computeType) / name;
  fs::create_directories(to);
  for (const fs::directory_entry &entry : fs::directory_iterator(from)) {
    const fs::path file = to / entry.path().filename();
    std::string text = readText(entry.path());
    if (file.filename() == "config.json") {
      const std::string key = "\"max_position_embeddings\": 64";
      const size_t at = text.find(key);
      EXPECT_NE(at, std::string::npos) << entry.path();
      text.replace(std::min(at, text.size()), key.size(), "\"max_position_embeddings\": " + std::to_string(context));
    }
    if (readText(file) != text)
      std::ofstream(file, std::ios::binary) << text;
  }
  return to;
}

/// The 2-norm of the difference of two rows, relative to that of the second; infinite where it is no number.
double relativeDistance(std::span<const float> found, std::span<const float> expected) {
  double difference = 0, magnitude = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double(found[i]) - expected[i], 2);
    magnitude += std::pow(double(expected[i]), 2);
  }
  const double distance = std::sqrt(difference / magnitude);
  return std::isfinite(distance) ? distance : INFINITY;
}

/// How far rows of logits may lie apart.
struct Tolerance {
  double worst;
  double median;
};

/// f32. The two sides differ in the order of sums: some 30 products of at most 52 terms stand behind a logit, each off
/// by about sqrt(52) units of 2^-24, together sqrt(30 * 52) * 2^-24 = 2.4e-6; eight times that for what norms and
/// softmax enlarge.
constexpr Tolerance inF32 = {2e-5, 2.4e-6};

/// bf16. Both sides round the same numbers at the same places, so what differs by the order of sums is mostly rounded
/// away: about one number in 2^-8 / 1e-6 falls on the other side of a tie, while a row rounds some 1000, so that most
/// rows must be as close as in f32. A number that does is off by 2^-8 in a product of some 40 terms, and makes more
/// ties fall differently behind it; at worst a row's logits are as far apart as two runs that round independently, a
/// few units of 2^-8.
constexpr Tolerance inBf16 = {4.0 / 256, 2.4e-6};

class CompiledReference : public testing::TestWithParam<std::tuple<const char *, const char *>> {};

TEST_P(CompiledReference, RaggedStepsAgree) {
  auto [name, computeType] = GetParam();
  const Tolerance tolerance = std::string(computeType) == "f32" ? inF32 : inBf16;
  constexpr uint32_t longest = 150;
  const std::string directory = makeLonger(name, computeType, longest);
  mlir::MLIRContext mlirContext(mlir::MLIRContext::Threading::DISABLED);
  Checkpoint checkpoint = llvm::cantFail(Checkpoint::open(directory));
  ImportOptions options;
  options.computeType = std::string(computeType) == "f32" ? DType::F32 : DType::BF16;
  std::vector<IgnoredKey> ignored;
  auto module = importCheckpoint(mlirContext, checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << llvm::toString(module.takeError());
  CheckpointSource tensors(checkpoint);
  auto reference = reference::Model::create(reference::findStep(**module), tensors);
  ASSERT_TRUE(!!reference) << llvm::toString(reference.takeError());

  Random random(3);
  std::vector<std::vector<int32_t>> texts;
  const std::string package = compileCheckpoint(directory, computeType);
  std::vector<std::unique_ptr<CompiledModel>> models;
  std::vector<std::unique_ptr<CompiledContext>> contexts;
  std::vector<std::vector<kerf_sequence *>> sequences;
  std::vector<std::vector<double>> distances;
  std::vector<std::vector<LogitRows>> alone; // of each variant, of each text
  for (const char *variant : allVariants) {
    auto model = std::make_unique<CompiledModel>(package, variant);
    if (!model->handle)
      continue;
    if (texts.empty())
      for (uint32_t length : {1u, 2u, 63u, 64u, 65u, 17u, draw(random, 1, longest), draw(random, 1, longest), longest})
        for (texts.emplace_back(); texts.back().size() < length;)
          texts.back().push_back(int32_t(draw(random, 0, model->info.vocabulary - 1)));
    contexts.push_back(
        std::make_unique<CompiledContext>(*model, longest * uint32_t(texts.size()), texts.size(), longest));
    sequences.emplace_back();
    for (size_t i = 0; i < texts.size(); ++i)
      sequences.back().push_back(contexts.back()->create());
    models.push_back(std::move(model));
    distances.emplace_back();
    alone.emplace_back();
    for (const std::vector<int32_t> &text : texts)
      alone.back().push_back(logitsAlone(*models.back(), text));
  }
  if (models.empty())
    GTEST_SKIP() << "no variant runs on this CPU";

  reference::Cache cache = (*reference)->createCache(int64_t(texts.size()), longest);
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  auto left = [&](size_t i) { return texts[i].size() - size_t(cache.lengths[i]); };
  for (int steps = 0; std::ranges::any_of(order, [&](size_t i) { return left(i) > 0; }); ++steps) {
    std::shuffle(order.begin(), order.end(), random);
    std::vector<reference::Piece> pieces;
    std::vector<int32_t> logitRows;
    std::vector<std::pair<size_t, size_t>> origins; // text and position of each row of logits
    std::vector<kerf_logits> logits;
    int32_t rows = 0;
    for (size_t i : order) {
      const uint32_t rest = uint32_t(left(i));
      const uint32_t some[] = {0, 1, 1, 5, rest, draw(random, 0, rest)};
      const uint32_t count = std::min(rest, some[draw(random, 0, std::size(some) - 1)]);
      logits.push_back(kerf_logits(draw(random, KERF_LOGITS_NONE, KERF_LOGITS_ALL)));
      pieces.push_back({int32_t(i), llvm::ArrayRef(texts[i]).slice(texts[i].size() - rest, count)});
      for (uint32_t row = 0; row < count; ++row)
        if (logits.back() == KERF_LOGITS_ALL || (logits.back() == KERF_LOGITS_LAST && row + 1 == count)) {
          logitRows.push_back(rows + int32_t(row));
          origins.emplace_back(i, texts[i].size() - rest + row);
        }
      rows += int32_t(count);
    }
    auto expected = (*reference)->step(cache, pieces, logitRows);
    ASSERT_TRUE(!!expected) << llvm::toString(expected.takeError());
    for (size_t variant = 0; variant < models.size(); ++variant) {
      std::vector<StepPiece> entries;
      for (size_t i = 0; i < pieces.size(); ++i)
        entries.push_back({sequences[variant][pieces[i].sequence],
                           std::span(pieces[i].tokens.data(), pieces[i].tokens.size()), logits[i]});
      const LogitRows found = contexts[variant]->step(entries);
      ASSERT_EQ(found.size(), logitRows.size()) << models[variant]->info.variant << ", step " << steps;
      for (size_t row = 0; row < found.size(); ++row) {
        ASSERT_EQ(int64_t(found[row].size()), expected->columns);
        const auto [text, position] = origins[row];
        EXPECT_EQ(firstDifference({found[row]}, {alone[variant][text][position]}), "")
            << models[variant]->info.variant << ", step " << steps << ", text " << text << " at " << position;
        distances[variant].push_back(relativeDistance(
            found[row], std::span(expected->values).subspan(row * found[row].size(), found[row].size())));
        ASSERT_LE(distances[variant].back(), tolerance.worst)
            << models[variant]->info.variant << ", step " << steps << ", row " << row;
      }
    }
  }
  for (size_t variant = 0; variant < models.size(); ++variant) {
    std::ranges::sort(distances[variant]);
    ASSERT_GE(distances[variant].size(), 100u);
    const double median = distances[variant][distances[variant].size() / 2];
    std::printf("%s, %s, %s: %zu rows, median distance %.1e, largest %.1e\n", name, computeType,
                models[variant]->info.variant, distances[variant].size(), median, distances[variant].back());
    EXPECT_LE(median, tolerance.median) << models[variant]->info.variant;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, CompiledReference,
                         testing::Combine(testing::Values("llama-bf16", "qwen2-v5", "qwen3", "ministral-v5"),
                                          testing::Values("f32", "bf16")),
                         [](const auto &info) {
                           std::string name = std::get<0>(info.param) + std::string("_") + std::get<1>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
