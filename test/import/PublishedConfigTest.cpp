//===- PublishedConfigTest.cpp - config.json of published models ----------===//

#include "dialects/import/Checkpoint.h"
#include "dialects/import/Import.h"
#include "dialects/kerf/KerfDialect.h"
#include "test/import/TestFiles.h"

#include "llvm/ADT/STLExtras.h"

#include <map>
#include <numeric>

using namespace kerf;
using namespace kerf::test;

// 22.7 million parameters on the model's page, 147,840 of them in the pooler.
TEST(PublishedEncoder, ReadsMiniLm) {
  std::string config =
      llvm::cantFail(readSmallFile(KERF_TEST_DATA "/import/configs/all-MiniLM-L6-v2/config.json", 1 << 20));
  TransformerConfig read = llvm::cantFail(readConfig(config));
  EXPECT_EQ(read.hidden, 384);
  EXPECT_EQ(read.layers, 6);
  EXPECT_EQ(read.headDim, 32);
  EXPECT_EQ(read.maxPositions, 512);
  int64_t parameters = 0;
  for (const ExpectedTensor &tensor : expectedTensors(read))
    parameters += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t(1), std::multiplies<>());
  EXPECT_EQ(parameters, 22713216 - 147840);
}

namespace {
/// What a published configuration must come out as.
struct Published {
  const char *name;
  const char *architecture;
  int64_t vocab, hidden, intermediate, layers, heads, kvHeads, headDim, positions;
  /// 0 where positions are learned.
  double theta;
  RopeType rope;
  bool tied;
  /// Number of parameters: what the model's publisher states, to the last one.
  int64_t parameters;
  /// Of every layer; 0 for none.
  int64_t window = 0;
};
class PublishedConfig : public testing::TestWithParam<Published> {};
} // namespace

// Parameter counts are those of the tensors on the model pages (in millions there: 134.5, 361.8, 1711, 1236, 3213,
// 7242, 7248, 494, 1544, 7616, 596, 8191, 124, 355).
static const Published kPublished[] = {
    {"SmolLM2-135M", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default, true, 134515008},
    {"SmolLM2-135M-Instruct", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default, true,
     134515008},
    {"SmolLM2-135M-transformers5", "LlamaForCausalLM", 49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, RopeType::Default,
     true, 134515008},
    {"SmolLM2-360M", "LlamaForCausalLM", 49152, 960, 2560, 32, 15, 5, 64, 8192, 1e5, RopeType::Default, true,
     361821120},
    {"SmolLM2-1.7B", "LlamaForCausalLM", 49152, 2048, 8192, 24, 32, 32, 64, 8192, 1.3e5, RopeType::Default, true,
     1711376384},
    {"SmolLM2-1.7B-Instruct", "LlamaForCausalLM", 49152, 2048, 8192, 24, 32, 32, 64, 8192, 1.3e5, RopeType::Default,
     true, 1711376384},
    {"Llama-3.2-1B", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3, true,
     1235814400},
    {"Llama-3.2-1B-Instruct", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3,
     true, 1235814400},
    {"Llama-3.2-1B-transformers5", "LlamaForCausalLM", 128256, 2048, 8192, 16, 32, 8, 64, 131072, 5e5, RopeType::Llama3,
     true, 1235814400},
    {"Llama-3.2-3B", "LlamaForCausalLM", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 5e5, RopeType::Llama3, true,
     3212749824},
    {"Llama-3.2-3B-Instruct", "LlamaForCausalLM", 128256, 3072, 8192, 28, 24, 8, 128, 131072, 5e5, RopeType::Llama3,
     true, 3212749824},
    {"Mistral-7B-v0.1", "MistralForCausalLM", 32000, 4096, 14336, 32, 32, 8, 128, 32768, 1e4, RopeType::Default, false,
     7241732096, 4096},
    {"Mistral-7B-v0.3", "MistralForCausalLM", 32768, 4096, 14336, 32, 32, 8, 128, 32768, 1e6, RopeType::Default, false,
     7248023552},
    {"Qwen2.5-0.5B", "Qwen2ForCausalLM", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1e6, RopeType::Default, true,
     494032768},
    {"Qwen2.5-0.5B-Instruct", "Qwen2ForCausalLM", 151936, 896, 4864, 24, 14, 2, 64, 32768, 1e6, RopeType::Default, true,
     494032768},
    {"Qwen2.5-1.5B", "Qwen2ForCausalLM", 151936, 1536, 8960, 28, 12, 2, 128, 131072, 1e6, RopeType::Default, true,
     1543714304},
    {"Qwen2.5-7B", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 131072, 1e6, RopeType::Default, false,
     7615616512},
    {"Qwen2.5-7B-Instruct-yarn", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 32768, 1e6, RopeType::Yarn,
     false, 7615616512},
    {"Qwen2.5-7B-Instruct-yarn-transformers5", "Qwen2ForCausalLM", 152064, 3584, 18944, 28, 28, 4, 128, 32768, 1e6,
     RopeType::Yarn, false, 7615616512},
    {"Qwen3-0.6B", "Qwen3ForCausalLM", 151936, 1024, 3072, 28, 16, 8, 128, 40960, 1e6, RopeType::Default, true,
     596049920},
    {"Qwen3-0.6B-transformers5", "Qwen3ForCausalLM", 151936, 1024, 3072, 28, 16, 8, 128, 40960, 1e6, RopeType::Default,
     true, 596049920},
    {"Qwen3-8B", "Qwen3ForCausalLM", 151936, 4096, 12288, 36, 32, 8, 128, 40960, 1e6, RopeType::Default, false,
     8190735360},
    {"gpt2", "GPT2LMHeadModel", 50257, 768, 3072, 12, 12, 12, 64, 1024, 0, {}, true, 124439808},
    {"gpt2-medium", "GPT2LMHeadModel", 50257, 1024, 4096, 24, 16, 16, 64, 1024, 0, {}, true, 354823168},
};

TEST_P(PublishedConfig, IsReadUnchangedAndFitsItsWeights) {
  const Published &want = GetParam();
  TempDir dir;
  std::string config = llvm::cantFail(
      readSmallFile(std::string(KERF_TEST_DATA "/import/configs/") + want.name + "/config.json", 1 << 20));
  dir.write("config.json", config);
  llvm::Expected<TransformerConfig> read = readConfig(config);
  ASSERT_TRUE(!!read) << message(read.takeError());
  EXPECT_EQ(read->architecture, want.architecture);
  EXPECT_EQ(read->vocab, want.vocab);
  EXPECT_EQ(read->hidden, want.hidden);
  EXPECT_EQ(read->intermediate, want.intermediate);
  EXPECT_EQ(read->layers, want.layers);
  EXPECT_EQ(read->heads, want.heads);
  EXPECT_EQ(read->kvHeads, want.kvHeads);
  EXPECT_EQ(read->headDim, want.headDim);
  EXPECT_EQ(read->maxPositions, want.positions);
  ASSERT_EQ(read->rope.has_value(), want.theta != 0);
  if (read->rope) {
    EXPECT_EQ(read->rope->theta, want.theta);
    EXPECT_EQ(read->rope->type, want.rope);
  }
  EXPECT_EQ(read->tiedEmbeddings, want.tied);
  EXPECT_EQ(read->windows, std::vector<int64_t>(want.layers, want.window));
  // The configurations of GPT-2 are older than the key.
  EXPECT_EQ(read->dtype, read->rope ? std::optional(DType::BF16) : std::nullopt);
  EXPECT_TRUE(read->bos);
  EXPECT_FALSE(read->eos.empty());
  int64_t parameters = 0;
  for (const ExpectedTensor &tensor : expectedTensors(*read))
    parameters += std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t(1), std::multiplies<>());
  EXPECT_EQ(parameters, want.parameters);

  writeZeros(dir / "model.safetensors", specsOf(*read));
  llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(!!checkpoint) << message(checkpoint.takeError());
  std::vector<IgnoredKey> ignored;
  EXPECT_EQ(message(verifyTensors(*read, *checkpoint, ignored)), "");

  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  ImportOptions options;
  options.name = want.name;
  auto module = importCheckpoint(context, *checkpoint, options, ignored);
  ASSERT_TRUE(!!module) << message(module.takeError());
  ModelOp model = getModel(**module);
  EXPECT_EQ(model.getName(), want.name);
  EXPECT_EQ(model.getArchitecture(), want.architecture);
  EXPECT_EQ(model.getContext(), want.positions);
  EXPECT_EQ(model.getLayers(), want.layers);
  auto group = (*module)->lookupSymbol<KvGroupOp>("kv");
  EXPECT_EQ(group.getPlanes(), want.layers);
  EXPECT_EQ(group.getHeads(), want.kvHeads);
  EXPECT_EQ(group.getHeadDim(), want.headDim);
  EXPECT_TRUE(group.getElement().isBF16());
  // Every tensor is read by one weight, or by three if it holds the three projections.
  std::map<std::string, int> taken;
  for (WeightOp weight : (*module)->getOps<WeightOp>())
    llvm::cast<SourceAttrInterface>(weight.getSource()).walkTensors([&](llvm::StringRef name) { ++taken[name.str()]; });
  EXPECT_EQ(taken.size(), expectedTensors(*read).size());
  for (const auto &[name, count] : taken)
    EXPECT_EQ(count, name.find("c_attn") == std::string::npos ? 1 : 3) << name;
}

INSTANTIATE_TEST_SUITE_P(All, PublishedConfig, testing::ValuesIn(kPublished), [](const auto &info) {
  std::string name = info.param.name;
  llvm::erase_if(name, [](char c) { return !llvm::isAlnum(c); });
  return name;
});
