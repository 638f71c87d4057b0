//===- ImportTest.cpp - modules of crafted checkpoints --------------------===//

#include "dialects/import/Import.h"
#include "dialects/kerf/KerfDialect.h"
#include "test/import/TestFiles.h"

#include "llvm/ADT/STLExtras.h"

#include <sys/resource.h>
#include <sys/stat.h>

using namespace kerf;
using namespace kerf::test;

namespace {
/// A checkpoint of zero weights, and what importing it says.
struct Crafted {
  explicit Crafted(const std::string &config) {
    dir.write("config.json", config);
    tensors = specsOf(llvm::cantFail(readConfig(config)));
  }
  /// Makes the tensors whose names end in `suffix` have another type.
  void retype(llvm::StringRef suffix, const std::string &dtype) {
    for (TensorSpec &tensor : tensors)
      if (llvm::StringRef(tensor.name).ends_with(suffix))
        tensor.dtype = dtype;
  }
  /// The imported module, or null with `error` set.
  mlir::OwningOpRef<mlir::ModuleOp> import(const ImportOptions &options = {}) {
    writeZeros(dir / "model.safetensors", tensors);
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) { warnings.push_back(d.str()); });
    llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(dir.path());
    EXPECT_TRUE(!!checkpoint);
    auto module = importCheckpoint(context, *checkpoint, options, ignored);
    error = module ? "" : message(module.takeError());
    return error.empty() ? std::move(*module) : nullptr;
  }

  TempDir dir;
  std::vector<TensorSpec> tensors;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  std::vector<IgnoredKey> ignored;
  std::vector<std::string> warnings;
  std::string error;
};
} // namespace

/// Type in which the first linear of a module reads its input.
static mlir::Type inputType(mlir::ModuleOp module) {
  mlir::Type type;
  module.walk([&](LinearOp op) {
    type = op.getInput().getType().getElementType();
    return mlir::WalkResult::interrupt();
  });
  return type;
}

TEST(Import, ComputesInBf16WhereAllLinearsCan) {
  Crafted bf16(llamaConfig());
  EXPECT_TRUE(inputType(*bf16.import()).isBF16());
  // A norm's gain is not read by a linear, and neither is an untied embedding.
  bf16.retype("norm.weight", "F32");
  bf16.retype("embed_tokens.weight", "F16");
  EXPECT_TRUE(inputType(*bf16.import()).isBF16());
  EXPECT_TRUE(bf16.warnings.empty());
}

TEST(Import, ComputesInF32WhereOneLinearCannotComputeInBf16) {
  Crafted mixed(llamaConfig());
  mixed.retype("layers.1.self_attn.v_proj.weight", "F32");
  auto module = mixed.import();
  EXPECT_TRUE(inputType(*module).isF32());
  const std::string reason = "weights must be BF16 to compute in bf16, but 1 of 22 weights that linears read are not, "
                             "'model.layers.1.self_attn.v_proj.weight' is F32";
  ASSERT_EQ(mixed.warnings.size(), 1u);
  EXPECT_EQ(mixed.warnings[0], "computes in f32: " + reason);
  // Each weight keeps its own type.
  EXPECT_TRUE(module->lookupSymbol<WeightOp>("layers.1.attn.v.weight").getTensorType().getElementType().isF32());
  EXPECT_TRUE(module->lookupSymbol<WeightOp>("layers.0.attn.v.weight").getTensorType().getElementType().isBF16());

  ImportOptions options;
  options.computeType = DType::BF16;
  EXPECT_FALSE(mixed.import(options));
  EXPECT_EQ(mixed.error, mixed.dir.path() + ": " + reason + "; compute in f32 instead");
  options.computeType = DType::F16;
  EXPECT_FALSE(mixed.import(options));
  EXPECT_EQ(mixed.error, "the compute type must be f32 or bf16, got F16");
}

TEST(Import, ATiedEmbeddingIsReadByALinear) {
  Crafted tied(llamaConfig({{"tie_word_embeddings", "true"}}));
  tied.retype("embed_tokens.weight", "F16");
  EXPECT_TRUE(inputType(*tied.import()).isF32());
}

TEST(Import, ChoosesActivations) {
  for (auto [text, activation] :
       {std::pair{"silu", Activation::Silu}, {"gelu", Activation::Gelu}, {"gelu_pytorch_tanh", Activation::GeluTanh}}) {
    Crafted crafted(llamaConfig({{"hidden_act", "\"" + std::string(text) + "\""}}));
    auto module = crafted.import();
    module->walk([&](GateOp op) { EXPECT_EQ(op.getActivation(), activation); });
  }
}

/// A small GPT-2.
static std::string gpt2Config() {
  return R"({"architectures":["GPT2LMHeadModel"],"vocab_size":99,"n_embd":24,"n_layer":2,"n_head":6,"n_positions":128})";
}

TEST(Import, ReadsTensorsWithAndWithoutTheirPrefix) {
  Crafted whole(gpt2Config()), bare(gpt2Config());
  for (TensorSpec &tensor : bare.tensors)
    tensor.name.erase(0, std::string("transformer.").size());
  // What older checkpoints keep besides.
  for (const char *name : {"h.0.attn.bias", "h.1.attn.masked_bias"})
    bare.tensors.push_back({name, {1, 1, 128, 128}, "U8"});
  EXPECT_TRUE(whole.import()) << whole.error;
  auto module = bare.import();
  ASSERT_TRUE(module) << bare.error;
  EXPECT_EQ(bare.ignored.size(), 2u);
  std::string source;
  llvm::raw_string_ostream(source) << module->lookupSymbol<WeightOp>("layers.1.attn.k.weight").getSource();
  EXPECT_EQ(source,
            "#kerf.transpose<#kerf.slice<1, 24, 48, #kerf.take<\"h.1.attn.c_attn.weight\" : tensor<24x72xbf16>>>>");
  source.clear();
  llvm::raw_string_ostream(source) << module->lookupSymbol<WeightOp>("layers.1.attn.v.bias").getSource();
  EXPECT_EQ(source, "#kerf.slice<0, 48, 72, #kerf.take<\"h.1.attn.c_attn.bias\" : tensor<72xbf16>>>");
  // A prefix that only some of them have is a mistake.
  bare.tensors[3].name = "transformer." + bare.tensors[3].name;
  EXPECT_FALSE(bare.import());
  EXPECT_NE(bare.error.find("misses some (1):\n  h.0.ln_1.bias"), std::string::npos) << bare.error;
}

TEST(Import, APositionTableIsReadByNoLinear) {
  Crafted crafted(gpt2Config());
  crafted.retype("wpe.weight", "F32");
  EXPECT_TRUE(inputType(*crafted.import()).isBF16());
  crafted.retype("wte.weight", "F32");
  EXPECT_TRUE(inputType(*crafted.import()).isF32());
}

TEST(Import, RefusesHeadsBeyondALiteral) {
  Crafted crafted(llamaConfig({{"head_dim", "8194"}}));
  EXPECT_FALSE(crafted.import());
  EXPECT_EQ(crafted.error, "config.json: head_dim must be at most 8192, got 8194");
  Crafted largest(llamaConfig({{"head_dim", "8192"}}));
  EXPECT_TRUE(largest.import()) << largest.error;
}

TEST(Import, NamesModelsAfterDirectories) {
  TempDir dir;
  auto made = [&](const std::string &path) {
    EXPECT_FALSE(llvm::sys::fs::create_directories(dir / path));
    return dir / path;
  };
  EXPECT_EQ(modelNameOf(made("Qwen2.5-0.5B")), "Qwen2.5-0.5B");
  EXPECT_EQ(modelNameOf(made("a b+ü") + "/"), "a_b___");
  EXPECT_EQ(modelNameOf(made(".hidden")), "_hidden");
  EXPECT_EQ(modelNameOf(made("-x-") + "/."), "_x-");
  EXPECT_EQ(modelNameOf(made("models--org--My-Model/snapshots/0123abcd")), "My-Model");
  EXPECT_EQ(modelNameOf(made(std::string(200, 'n'))), std::string(128, 'n'));
  EXPECT_EQ(modelNameOf("/"), "_");
}

/// Peak of this process's resident memory in MiB.
static long peakMiB() {
  rusage usage;
  EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_maxrss / 1024;
}

// Weights stay where they are: neither memory nor the module grows with them.
TEST(Import, TwentyGigabytesTakeNoMemory) {
  Changes small = {
      {"num_hidden_layers", "12"}, {"num_attention_heads", "64"}, {"num_key_value_heads", "8"}, {"head_dim", "128"}};
  Changes large = small;
  large.insert({{"hidden_size", "8192"}, {"intermediate_size", "28672"}, {"vocab_size", "32000"}});
  Crafted tiny(llamaConfig(small)), huge(llamaConfig(large));
  auto tinyModule = tiny.import();
  long before = peakMiB();
  auto hugeModule = huge.import();
  ASSERT_TRUE(hugeModule) << huge.error;
  EXPECT_LT(peakMiB() - before, 64);

  struct stat status;
  ASSERT_EQ(stat((huge.dir / "model.safetensors").c_str(), &status), 0);
  EXPECT_GT(status.st_size, 20'000'000'000);
  auto text = [](mlir::ModuleOp module) {
    std::string result;
    llvm::raw_string_ostream(result) << module;
    return result;
  };
  auto size = [&](mlir::ModuleOp module) { return double(text(module).size()); };
  EXPECT_NEAR(size(*hugeModule) / size(*tinyModule), 1, 0.1);
  EXPECT_LT(size(*hugeModule), 200'000);
}
