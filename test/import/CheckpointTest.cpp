//===- CheckpointTest.cpp - checkpoint directories ------------------------===//

#include "dialects/import/Checkpoint.h"
#include "test/import/TestFiles.h"

#include <sys/resource.h>

using namespace kerf;
using namespace kerf::test;

namespace {
class CheckpointFiles : public testing::Test {
protected:
  void SetUp() override { dir.write("config.json", llamaConfig()); }

  /// Opens the directory; it must work.
  Checkpoint opened() {
    llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(dir.path());
    if (!checkpoint)
      ADD_FAILURE() << llvm::toString(checkpoint.takeError());
    return std::move(*checkpoint);
  }
  /// The message of a refusal, with every mention of the directory's path taken away.
  std::string refusal() { return without(message(Checkpoint::open(dir.path()))); }
  std::string without(std::string text) {
    for (size_t at; (at = text.find(dir.path())) != std::string::npos;)
      text.erase(at, dir.path().size());
    return text;
  }
  /// What is wrong with the tensors for the small Llama with `changes`.
  std::string tensorRefusal(const Changes &changes = {}) {
    ignored.clear();
    return without(message(verifyTensors(llvm::cantFail(readConfig(llamaConfig(changes))), opened(), ignored)));
  }
  static std::vector<TensorSpec> specs(const Changes &changes = {}) {
    return specsOf(llvm::cantFail(readConfig(llamaConfig(changes))));
  }
  void writeSingle(const std::vector<TensorSpec> &tensors) { writeZeros(dir / "model.safetensors", tensors); }

  TempDir dir;
  std::vector<IgnoredKey> ignored;
};
} // namespace

TEST_F(CheckpointFiles, SaysWhatIsMissing) {
  EXPECT_EQ(refusal(), ": must hold model.safetensors or model.safetensors.index.json, got neither; download the "
                       "weights of the model");
  dir.write("pytorch_model.bin", "x");
  EXPECT_EQ(refusal(), ": must hold model.safetensors or model.safetensors.index.json, got neither; "
                       "'pytorch_model.bin' is not read: get the safetensors files of this model, or load it in "
                       "transformers and call save_pretrained");
  dir.write("model-00001-of-00002.safetensors", "x");
  EXPECT_NE(refusal().find("'model-00001-of-00002.safetensors' looks like a shard or an adapter: download the index"),
            std::string::npos);
  llvm::sys::fs::remove(dir / "model-00001-of-00002.safetensors");
  llvm::sys::fs::remove(dir / "pytorch_model.bin");
  dir.write("tiny-q4.gguf", "x");
  EXPECT_NE(refusal().find("'tiny-q4.gguf' is not read"), std::string::npos);
  llvm::sys::fs::remove(dir / "config.json");
  EXPECT_NE(refusal().find(": must hold config.json, got none; give the directory"), std::string::npos);
  EXPECT_NE(message(Checkpoint::open(dir / "none"))
                .find("must be a directory with config.json and model.safetensors, "
                      "got nothing at that path"),
            std::string::npos);
  EXPECT_NE(message(Checkpoint::open(dir / "tiny-q4.gguf")).find("got a file"), std::string::npos);
}

TEST_F(CheckpointFiles, RecognisesGitLfsPointers) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  dir.write("model.safetensors", pointer);
  EXPECT_NE(refusal().find("/model.safetensors: is a Git LFS pointer"), std::string::npos);
  dir.write("config.json", pointer);
  EXPECT_NE(refusal().find("/config.json: is a Git LFS pointer"), std::string::npos);
}

TEST_F(CheckpointFiles, OpensASingleFile) {
  writeSingle(specs());
  dir.write("model.safetensors.index.json", "broken, but not needed");
  Checkpoint checkpoint = opened();
  EXPECT_EQ(checkpoint.tensors().size(), 3u + 3 * 9);
  const LocatedTensor *found = checkpoint.find("model.layers.2.mlp.up_proj.weight");
  ASSERT_TRUE(found);
  EXPECT_EQ(formatShape(found->info->shape), "[40, 24]");
  EXPECT_EQ(checkpoint.find("model.layers.3.mlp.up_proj.weight"), nullptr);
  ASSERT_EQ(checkpoint.ignored().size(), 1u);
  EXPECT_EQ(tensorRefusal(), "");
}

TEST_F(CheckpointFiles, OpensShardsThroughLinks) {
  // The layout of the Hugging Face cache: the snapshot has links only.
  std::vector<TensorSpec> all = specs();
  TempDir blobs;
  std::string map;
  for (size_t shard = 0; shard < 2; ++shard) {
    auto middle = all.begin() + 7;
    std::vector<TensorSpec> part = shard ? std::vector(middle, all.end()) : std::vector(all.begin(), middle);
    std::string blob = blobs / std::to_string(shard), file = "model-" + std::to_string(shard) + ".safetensors";
    writeZeros(blob, part);
    ASSERT_EQ(symlink(blob.c_str(), (dir / file).c_str()), 0);
    for (const TensorSpec &tensor : part)
      map += (map.empty() ? "\"" : ",\"") + tensor.name + "\":\"" + file + "\"";
  }
  blobs.write("index", "{\"metadata\":{\"total_size\":1},\"weight_map\":{" + map + "}}");
  ASSERT_EQ(symlink((blobs / "index").c_str(), (dir / "model.safetensors.index.json").c_str()), 0);
  Checkpoint checkpoint = opened();
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.find("lm_head.weight")->file, 1u);
  EXPECT_EQ(checkpoint.find("model.embed_tokens.weight")->file, 0u);
  char bytes[2] = {1, 1};
  ASSERT_EQ(message(checkpoint.read(*checkpoint.find("lm_head.weight"), 6, bytes)), "");
  EXPECT_EQ(bytes[0], 0);
  EXPECT_EQ(tensorRefusal(), "");
}

TEST_F(CheckpointFiles, RefusesBadIndexes) {
  auto index = [&](const std::string &text) {
    dir.write("model.safetensors.index.json", text);
    return refusal();
  };
  const std::string name = "model.safetensors.index.json: ";
  writeZeros(dir / "s.safetensors", {{"a", {2}}, {"b", {3}}});
  writeZeros(dir / "t.safetensors", {{"b", {3}}});
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"s.safetensors\"}}"), "");
  EXPECT_EQ(index("{}"), name + "key 'weight_map' must name at least one tensor, got none");
  EXPECT_EQ(index("{\"weight_map\":{}}"), name + "key 'weight_map' must name at least one tensor, got none");
  EXPECT_EQ(index("{\"weight_map\":{\"a\":1}}"), name + "weight_map: key 'a' must be a file name, got 1");
  for (const char *path : {"../s.safetensors", "x/../../s.safetensors", "/etc/passwd", "", "..", "x\\\\s",
                           "./s.safetensors", "x/./s", "x//s", "x/"})
    EXPECT_EQ(index("{\"weight_map\":{\"a\":\"" + std::string(path) + "\"}}")
                  .find(name + "weight_map: key 'a' must be a file inside the directory, without '.' and '..', got "),
              0u)
        << path;
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"u.safetensors\"}}"),
            ": must hold the shard 'u.safetensors' that model.safetensors.index.json names, got none; download it");
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\"}}"),
            "s.safetensors: tensor 'b' must be listed in model.safetensors.index.json, got none");
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"s.safetensors\",\"c\":\"s.safetensors\"}}"),
            "s.safetensors: must hold tensor 'c' that model.safetensors.index.json names, got none");
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"t.safetensors\"}}"),
            "s.safetensors: tensor 'b' must be in 't.safetensors' only, as model.safetensors.index.json says");
  EXPECT_EQ(index("{\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"s.safetensors\"},\"x\":1}"),
            name + "key 'x' is not understood; an index has weight_map and metadata");
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

TEST_F(CheckpointFiles, NamesMissingTensors) {
  std::vector<TensorSpec> tensors = specs();
  tensors.erase(tensors.begin() + 1, tensors.begin() + 10); // layer 0
  writeSingle(tensors);
  EXPECT_EQ(tensorRefusal(), ": must hold the tensors that LlamaForCausalLM needs by its config.json, misses some (9):"
                             "\n  model.layers.0.input_layernorm.weight"
                             "\n  model.layers.0.self_attn.q_proj.weight"
                             "\n  model.layers.0.self_attn.k_proj.weight"
                             "\n  model.layers.0.self_attn.v_proj.weight"
                             "\n  model.layers.0.self_attn.o_proj.weight"
                             "\n  and 4 more");
}

TEST_F(CheckpointFiles, NamesTensorsOfWrongShapeOrType) {
  std::vector<TensorSpec> tensors = specs();
  tensors[0].shape = {98, 24};
  tensors[1].shape = {24, 1};
  tensors[2].dtype = "U8";
  writeSingle(tensors);
  EXPECT_EQ(tensorRefusal(),
            ": must hold tensors of the shapes that LlamaForCausalLM needs by its config.json, some differ (2):"
            "\n  model.embed_tokens.weight must be [99, 24], got [98, 24]"
            "\n  model.layers.0.input_layernorm.weight must be [24], got [24, 1]"
            "\n: must hold its weights as BF16, F16 or F32, some are of another type (1):"
            "\n  model.layers.0.self_attn.q_proj.weight is U8");
}

TEST_F(CheckpointFiles, NamesExtraTensors) {
  writeSingle(specs({{"mlp_bias", "true"}}));
  std::string text = tensorRefusal();
  EXPECT_EQ(text.find(": must hold no tensors but those that LlamaForCausalLM needs by its config.json, some are "
                      "unknown (9):\n  model.layers.0.mlp.down_proj.bias BF16[24]\n"),
            0u)
      << text;
  EXPECT_EQ(tensorRefusal({{"mlp_bias", "true"}}), "");
}

TEST_F(CheckpointFiles, KnowsBiasesAndNormsOfEachArchitecture) {
  Changes qwen2 = {{"architectures", "[\"Qwen2ForCausalLM\"]"}, {"model_type", "\"qwen2\""}};
  writeSingle(specs(qwen2));
  Checkpoint checkpoint = opened();
  EXPECT_TRUE(checkpoint.find("model.layers.0.self_attn.v_proj.bias"));
  EXPECT_FALSE(checkpoint.find("model.layers.0.self_attn.o_proj.bias"));
  Changes qwen3 = {{"architectures", "[\"Qwen3ForCausalLM\"]"}, {"model_type", "\"qwen3\""}, {"head_dim", "10"}};
  writeSingle(specs(qwen3));
  checkpoint = opened();
  EXPECT_EQ(formatShape(checkpoint.find("model.layers.1.self_attn.k_norm.weight")->info->shape), "[10]");
  EXPECT_EQ(formatShape(checkpoint.find("model.layers.1.self_attn.k_proj.weight")->info->shape), "[20, 24]");
  EXPECT_EQ(formatShape(checkpoint.find("model.layers.1.self_attn.o_proj.weight")->info->shape), "[24, 60]");
}

TEST_F(CheckpointFiles, IgnoresATiedHeadAndOldBuffers) {
  std::vector<TensorSpec> tensors = specs();
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {2}, "F32"});
  writeSingle(tensors);
  EXPECT_EQ(tensorRefusal({{"tie_word_embeddings", "true"}}), "");
  ASSERT_EQ(ignored.size(), 2u);
  EXPECT_EQ(ignored[0].key, "lm_head.weight");
  EXPECT_EQ(ignored[1].key, "model.layers.0.self_attn.rotary_emb.inv_freq");
  writeSingle(specs({{"tie_word_embeddings", "true"}}));
  EXPECT_NE(tensorRefusal().find("misses some (1):\n  lm_head.weight"), std::string::npos);
}

//===----------------------------------------------------------------------===//
// The small files and identity
//===----------------------------------------------------------------------===//

TEST_F(CheckpointFiles, ReadsGenerationDefaults) {
  writeSingle(specs());
  EXPECT_FALSE(opened().generation());
  dir.write("generation_config.json",
            "{\"_from_model_config\":true,\"bos_token_id\":1,\"eos_token_id\":[2,3],\"pad_token_id\":null,"
            "\"do_sample\":true,\"temperature\":0.6,\"top_k\":20,\"top_p\":0.95,\"repetition_penalty\":1.05,"
            "\"max_length\":2048,\"num_beams\":1,\"transformers_version\":\"4.51.0\"}");
  Checkpoint checkpoint = opened();
  const GenerationDefaults &got = *checkpoint.generation();
  EXPECT_EQ(got.bos, 1);
  EXPECT_EQ(got.eos, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(got.pad, std::nullopt);
  EXPECT_TRUE(got.sample);
  EXPECT_EQ(got.temperature, 0.6);
  EXPECT_EQ(got.topK, 20);
  EXPECT_EQ(got.topP, 0.95);
  EXPECT_EQ(got.minP, std::nullopt);
  EXPECT_EQ(got.repetitionPenalty, 1.05);
  EXPECT_EQ(got.maxLength, 2048);
  EXPECT_EQ(checkpoint.ignored().size(), 3u);
}

TEST_F(CheckpointFiles, RefusesGenerationItDoesNotImplement) {
  writeSingle(specs());
  dir.write("generation_config.json", "{\"num_beams\":4,\"penalty_alpha\":0.6,\"top_p\":1.5,\"early_stopping\":true}");
  EXPECT_EQ(refusal(),
            "generation_config.json: key 'top_p' must be a number not below 0 and not above 1, got 1.5\n"
            "generation_config.json: key 'num_beams' must be 1 (Kerf does not implement it; remove it if the default "
            "will do), got 4\n"
            "generation_config.json: key 'early_stopping' must be false (Kerf does not implement it; remove it if the "
            "default will do), got true\n"
            "generation_config.json: key 'penalty_alpha' is not understood; it may change what is generated: remove it "
            "if the default will do");
}

TEST_F(CheckpointFiles, FindsTheChatTemplate) {
  writeSingle(specs());
  EXPECT_FALSE(opened().chatTemplate());
  dir.write("tokenizer_config.json", "{\"added_tokens_decoder\":{},\"chat_template\":null}");
  EXPECT_FALSE(opened().chatTemplate());
  dir.write("tokenizer_config.json", "{\"chat_template\":\"{{ x }}\\n\"}");
  EXPECT_EQ(opened().chatTemplate(), "{{ x }}\n");
  dir.write("tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"},"
                                     "{\"name\":\"default\",\"template\":\"d\"}]}");
  EXPECT_EQ(opened().chatTemplate(), "d");
  EXPECT_EQ(opened().ignored().size(), 1u);
  dir.write("tokenizer_config.json", "{\"chat_template\":7}");
  EXPECT_EQ(refusal(), "tokenizer_config.json: key 'chat_template' must be a string, got 7");
  dir.write("chat_template.jinja", "j");
  EXPECT_EQ(opened().chatTemplate(), "j");
}

TEST_F(CheckpointFiles, FindsTheTokensOfTheChatTemplate) {
  writeSingle(specs());
  dir.write("tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
  EXPECT_TRUE(opened().chatTokens().empty()) << "no template, no tokens";
  dir.write("tokenizer_config.json", "{\"chat_template\":\"x\",\"bos_token\":\"<s>\",\"pad_token\":null,"
                                     "\"eos_token\":{\"content\":\"</s>\",\"lstrip\":false}}");
  const std::vector<std::pair<std::string, std::string>> expected = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  EXPECT_EQ(opened().chatTokens().vec(), expected);
  dir.write("chat_template.jinja", "j");
  EXPECT_EQ(opened().chatTokens().vec(), expected);
  dir.write("tokenizer_config.json", "{\"bos_token\":7}");
  EXPECT_EQ(refusal(), "tokenizer_config.json: key 'bos_token' must be a string, or an object with a string 'content', "
                       "got 7");
}

TEST_F(CheckpointFiles, SaysHowToGetATokenizer) {
  writeSingle(specs());
  EXPECT_NE(message(opened().tokenizerPath()).find("must hold tokenizer.json, got none; download it"),
            std::string::npos);
  dir.write("tokenizer.model", "x");
  EXPECT_NE(message(opened().tokenizerPath()).find("load them with AutoTokenizer"), std::string::npos);
  dir.write("tokenizer.json", "{}");
  EXPECT_EQ(llvm::cantFail(opened().tokenizerPath()), dir / "tokenizer.json");
}

TEST_F(CheckpointFiles, IdentityFollowsConfigShapesAndData) {
  writeSingle(specs());
  Checkpoint first = opened();
  EXPECT_EQ(first.configHash().size(), 64u);
  EXPECT_EQ(opened().weightsHash(), first.weightsHash());
  dir.write("config.json", llamaConfig() + "\n");
  EXPECT_NE(opened().configHash(), first.configHash());
  EXPECT_EQ(opened().weightsHash(), first.weightsHash());
  // A fine-tuned model has the same header: the sampled bytes differ.
  const TensorInfo &norm = *first.find("model.norm.weight")->info;
  std::fstream(dir / "model.safetensors", std::ios::in | std::ios::out).seekp(norm.offset + norm.bytes / 2).put('x');
  EXPECT_NE(opened().weightsHash(), first.weightsHash());
}

TEST_F(CheckpointFiles, TwentyGigabytesNeedLittleMemory) {
  // 10 billion bf16 parameters; the file is a hole. The bound is far below the file and far above this program.
  Changes big = {{"vocab_size", "152064"},   {"hidden_size", "8192"},       {"intermediate_size", "28672"},
                 {"num_hidden_layers", "9"}, {"num_attention_heads", "64"}, {"num_key_value_heads", "8"}};
  dir.write("config.json", llamaConfig(big));
  writeSingle(specs(big));
  Checkpoint checkpoint = opened();
  EXPECT_GT(checkpoint.files()[0].fileBytes(), 20'000'000'000u);
  EXPECT_EQ(tensorRefusal(big), "");
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 512 << 10);
}

TEST(BundledModel, Opens) {
  llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama");
  ASSERT_TRUE(!!checkpoint) << message(checkpoint.takeError());
  std::vector<IgnoredKey> ignored;
  llvm::Expected<TransformerConfig> config = readTransformerConfig(checkpoint->config(), ignored);
  ASSERT_TRUE(!!config) << message(config.takeError());
  EXPECT_EQ(config->layers, 8);
  EXPECT_EQ(config->bos, 0);
  EXPECT_EQ(config->eos, std::vector<int64_t>{1});
  EXPECT_EQ(message(verifyTensors(*config, *checkpoint, ignored)), "");
  EXPECT_FALSE(checkpoint->generation()->sample);
  EXPECT_TRUE(!!checkpoint->tokenizerPath());
  EXPECT_FALSE(checkpoint->chatTemplate());
}
