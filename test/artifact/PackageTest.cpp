//===- PackageTest.cpp - packages written, opened and unpacked ------------===//
#include "test/artifact/TestModel.h"

#include "runtime/schema/Preamble.h"
#include "runtime/schema/package_generated.h"

#include "llvm/Support/FileSystem.h"

#include <csignal>
#include <cstring>
#include <filesystem>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace mlir;
using namespace kerf;
using namespace kerf::test;

namespace {

struct PackageTest : testing::Test {
  /// Writes the package of `input` and gives its bytes.
  std::string write(const PackageInput &input) {
    EXPECT_EQ(message(writePackage(input, path, &ignored)), "");
    return readAll(path);
  }
  const schema::Manifest &manifest(const std::string &bytes) {
    return *schema::GetManifest(bytes.data() + schema::kManifestOffset);
  }
  /// Packed bytes of the weight called `name`.
  std::string packed(const std::string &bytes, const std::string &name) {
    for (const schema::Weight *weight : *manifest(bytes).weights())
      if (weight->name()->str() == name)
        return bytes.substr(weight->offset(), weight->size());
    ADD_FAILURE() << "no weight " << name;
    return "";
  }
  /// Dense rows out of blocks of 16 rows whose elements lie side by side in groups of `group` columns; what is beyond
  /// the rows and columns must be zero.
  std::string unpack(const std::string &packed, int64_t rows, int64_t columns, size_t element, int64_t group) {
    const int64_t padded = (columns + group - 1) / group * group, blocks = (rows + 15) / 16;
    EXPECT_EQ(packed.size(), size_t(blocks * 16 * padded) * element);
    std::string dense(rows * columns * element, '\0'), rest = packed;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t k = 0; k < columns; ++k) {
        const int64_t at = row / 16 * 16 * padded + k / group * group * 16 + row % 16 * group + k % group;
        std::memcpy(&dense[(row * columns + k) * element], &packed[at * element], element);
        std::memset(&rest[at * element], 0, element);
      }
    EXPECT_EQ(rest, std::string(rest.size(), '\0'));
    return dense;
  }
  /// Names of all files in the output directory.
  std::vector<std::string> files() {
    std::error_code error;
    std::vector<std::string> names;
    for (llvm::sys::fs::directory_iterator it(out.path(), error), end; it != end && !error; it.increment(error))
      names.push_back(it->path());
    return names;
  }
  /// Opens the package with the library by the runtime; the message of the failure, or nothing.
  std::string open(const kerf_library &library, bool verify) {
    kerf_model_options options = {};
    options.struct_size = sizeof options;
    options.verify_checksums = verify;
    kerf_model *opened = nullptr;
    kerf_error error = {};
    kerf_model_open(path.c_str(), &library, &options, &opened, &error);
    kerf_model_close(opened);
    return error.message;
  }

  TestModel model;
  TempDir out;
  std::string path = out / "tiny-1.0.kerf";
  std::vector<IgnoredKey> ignored;
};

TEST_F(PackageTest, OpensInTheRuntime) {
  write(model.input());
  const kerf_library library = model.library();
  EXPECT_EQ(open(library, true), "");
}

TEST_F(PackageTest, IsRefusedWithTheLibraryOfAnotherCompilation) {
  PackageInput input = model.input();
  input.buildId[0] ^= 1;
  write(input);
  EXPECT_NE(open(model.library(), false).find("build id"), std::string::npos);
}

TEST_F(PackageTest, StatesTheModel) {
  const std::string bytes = write(model.input());
  const schema::Manifest &m = manifest(bytes);
  EXPECT_EQ(m.model_name()->str(), "tiny-1.0");
  EXPECT_EQ(m.architecture()->str(), "LlamaForCausalLM");
  EXPECT_EQ(m.compiler_version()->str(), "0.1.0-test");
  EXPECT_EQ(m.compiler_flags()->str(), "--flag");
  EXPECT_EQ(m.vocabulary(), 99u);
  EXPECT_EQ(m.hidden(), 24u);
  EXPECT_EQ(m.layers(), 1u);
  EXPECT_EQ(m.context(), 100u);
  EXPECT_EQ(m.compute_type(), schema::ElementType::BF16);
  EXPECT_EQ(m.attention_tile(), 9u);
  EXPECT_EQ(m.stack_bytes(), 320u);
  EXPECT_EQ(m.chat_template()->str(), "{{ messages }}");
  EXPECT_EQ(m.file_size(), bytes.size());
  ASSERT_EQ(m.programs()->size(), 1u);
  const schema::Program &program = *m.programs()->Get(0);
  EXPECT_EQ(program.dispatches(), 4u);
  EXPECT_EQ(program.dispatches_per_layer(), 2u);
  ASSERT_EQ(program.slots()->size(), 2u);
  EXPECT_EQ(program.slots()->Get(1)->bytes()->coefficients()->Get(KERF_EXTENT_WORK_ITEMS), 16);
  ASSERT_EQ(program.results()->size(), 1u);
  EXPECT_EQ(program.results()->Get(0)->kind(), schema::ResultKind::Logits);
  EXPECT_EQ(program.results()->Get(0)->columns(), 99u);
  ASSERT_EQ(program.work_lists()->size(), 1u);
  EXPECT_EQ(program.work_lists()->Get(0)->behind(), KERF_UNBOUNDED);
  EXPECT_EQ(program.work_lists()->Get(0)->ahead(), 0);
  const schema::CacheGroup &group = *m.groups()->Get(0);
  EXPECT_EQ(group.planes(), 2u);
  EXPECT_EQ(group.page_bytes(), 512u);
  EXPECT_EQ(group.element(), schema::ElementType::BF16);
  const schema::Weight &fused = *m.weights()->Get(0);
  EXPECT_EQ(fused.format()->str(), "#kerf.format<#kerf.dense<bf16>>");
  EXPECT_EQ(fused.layout()->str(), "n16k2");
  ASSERT_EQ(fused.sources()->size(), 2u);
  EXPECT_EQ(fused.sources()->Get(1)->str(), "b");
}

TEST_F(PackageTest, StatesHowTextIsGenerated) {
  const std::string bytes = write(model.input());
  const schema::Generation &generation = *manifest(bytes).generation();
  EXPECT_EQ(generation.bos()->Get(0), 1);
  ASSERT_EQ(generation.eos()->size(), 2u); // generation_config.json's, not config.json's
  EXPECT_EQ(generation.eos()->Get(0), 3);
  EXPECT_TRUE(generation.do_sample());
  EXPECT_EQ(generation.temperature(), 0.5f);
  EXPECT_EQ(generation.top_k(), 40);
  EXPECT_EQ(generation.top_p(), 0.75f);
  ASSERT_EQ(ignored.size(), 2u);
  EXPECT_EQ(ignored[0].key, "generation_config.json: min_p");
  EXPECT_EQ(ignored[1].key, "tokenizer.json");
}

TEST_F(PackageTest, TakesEndTokensFromTheConfigOtherwise) {
  model.directory.write("generation_config.json", "{}");
  const std::string bytes = write(model.input());
  ASSERT_EQ(manifest(bytes).generation()->eos()->size(), 1u);
  EXPECT_EQ(manifest(bytes).generation()->eos()->Get(0), 7);
}

// Whatever the runtime would refuse when the package is opened is refused when it is made.
TEST_F(PackageTest, RefusesTokenizersThatTheRuntimeWould) {
  std::string text = readAll(KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama/tokenizer.json");
  const std::string key = "\"Regex\": \"";
  text.insert(text.find(key) + key.size(), "(?<=a*)b|");
  model.directory.write("tokenizer.json", text);
  const std::string problem = message(writePackage(model.input(), path, &ignored));
  EXPECT_NE(problem.find("tokenizer.json: a split pattern must be a valid regular expression, got '(?<=a*)b|"),
            std::string::npos)
      << problem;
  EXPECT_NE(problem.find("lookbehind assertion is not fixed length"), std::string::npos) << problem;
}

TEST_F(PackageTest, PacksMatricesInBlocks) {
  const std::string bytes = write(model.input());
  EXPECT_EQ(unpack(packed(bytes, "fused"), 60, 24, 2, 2),
            model.tensors().at("a").bytes + model.tensors().at("b").bytes);
  EXPECT_EQ(unpack(packed(bytes, "again"), 37, 24, 2, 2), model.tensors().at("a").bytes);
  EXPECT_EQ(unpack(packed(bytes, "tall"), 3001, 700, 2, 2), model.tensors().at("tall").bytes);
  std::string wide, turned;
  for (int64_t row = 0; row < 37; ++row)
    wide += model.row("a", row) + model.row("c", row);
  EXPECT_EQ(unpack(packed(bytes, "wide"), 37, 45, 2, 2), wide);
  for (int64_t column = 0; column < 45; ++column)
    for (int64_t row = 0; row < 70; ++row)
      turned += model.row("d", row).substr(column * 4, 4);
  EXPECT_EQ(unpack(packed(bytes, "turned"), 45, 70, 4, 1), turned);
}

TEST_F(PackageTest, WidensVectors) {
  const std::string bytes = write(model.input());
  std::string expected;
  for (size_t i = 0; i < 24; ++i)
    expected += std::string(2, '\0') + model.tensors().at("norm").bytes.substr(2 * i, 2);
  EXPECT_EQ(packed(bytes, "norm"), expected);
  const float halves[] = {1, -2, 0x1p-24f, __builtin_inff(), 65504}, rope[] = {1, 0.25};
  EXPECT_EQ(packed(bytes, "halves"), std::string(reinterpret_cast<const char *>(halves), sizeof halves));
  EXPECT_EQ(packed(bytes, "rope"), std::string(reinterpret_cast<const char *>(rope), sizeof rope));
}

TEST_F(PackageTest, IsTheSameForAnyNumberOfThreadsAndAnyDirectory) {
  PackageInput input = model.input();
  const std::string one = write(input);
  for (unsigned threads : {2u, 4u, 16u, 0u}) {
    input.threads = threads;
    EXPECT_TRUE(write(input) == one) << threads;
  }
  TestModel copy;
  EXPECT_TRUE(write(copy.input()) == one);
}

TEST_F(PackageTest, TellsHowFarItIs) {
  PackageInput input = model.input();
  input.threads = 4;
  uint64_t last = 0, all = 0;
  input.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    last = done;
    all = total;
  };
  write(input);
  llvm::Expected<PackageSizes> sizes = measurePackage(input);
  ASSERT_TRUE(bool(sizes));
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, sizes->weightBytes);
  EXPECT_EQ(sizes->fileBytes, readAll(path).size());
}

TEST_F(PackageTest, ChecksumsTellDamage) {
  std::string bytes = write(model.input());
  const uint64_t at = manifest(bytes).weights()->Get(4)->offset() + 1234;
  bytes[at] ^= 1;
  out.write("tiny-1.0.kerf", bytes);
  EXPECT_EQ(open(model.library(), false), "");
  EXPECT_NE(open(model.library(), true).find("SHA-256 of weight 'tall'"), std::string::npos);
}

TEST_F(PackageTest, SaysThatTheDirectoryIsMissing) {
  const std::string text = message(writePackage(model.input(), out / "absent/x.kerf"));
  EXPECT_NE(text.find("absent/x.kerf': no such file or directory; make the output directory first"), std::string::npos)
      << text;
}

TEST_F(PackageTest, SaysThatTheDirectoryCannotBeWritten) {
  const PackageInput input = model.input();
  chmod(model.directory.path().c_str(), 0755);
  chmod(out.path().c_str(), 0555);
  // Root may write everywhere. Others must be able to reach a temporary directory that lit made for itself.
  const uid_t user = geteuid();
  if (user == 0) {
    chmod(std::filesystem::path(out.path()).parent_path().c_str(), 01777);
    ASSERT_EQ(seteuid(65534), 0);
  }
  const std::string text = message(writePackage(input, path));
  ASSERT_EQ(seteuid(user), 0);
  chmod(out.path().c_str(), 0755);
  EXPECT_NE(text.find("permission denied; choose an output directory that can be written to"), std::string::npos)
      << text;
}

// A limit on the file's size fails where a full disk does: in fallocate and pwrite.
TEST_F(PackageTest, LeavesNothingWhereTheDiskIsFull) {
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {100000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string text = message(writePackage(model.input(), path));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(text.find("file too large; the file system or a limit"), std::string::npos) << text;
  EXPECT_TRUE(files().empty());
}

// It would be removed on a failure.
TEST_F(PackageTest, RefusesWhatIsNoRegularFile) {
  EXPECT_EQ(message(writePackage(model.input(), "/dev/null")), "output must be a regular file, got '/dev/null'");
  EXPECT_TRUE(llvm::sys::fs::exists("/dev/null"));
}

TEST_F(PackageTest, LeavesNothingWhereTheCheckpointDisagrees) {
  PackageInput input = model.input();
  WeightOp weight = *input.module.getOps<WeightOp>().begin();
  weight.setSourceAttr(
      cast<SourceAttrInterface>(Attribute(TakeAttr::get(weight.getContext(), "gone", weight.getTensorType()))));
  const std::string text = message(writePackage(input, path));
  EXPECT_NE(text.find("weight 'fused': "), std::string::npos) << text;
  EXPECT_NE(text.find("must have a tensor 'gone', got none"), std::string::npos) << text;
  EXPECT_TRUE(files().empty());
}

TEST_F(PackageTest, RefusesEndTokensOutsideTheVocabulary) {
  model.directory.write("generation_config.json", "{\"eos_token_id\":99}");
  EXPECT_EQ(message(writePackage(model.input(), path)),
            "generation_config.json: eos_token_id must be below the vocabulary of 99, got 99");
}

TEST_F(PackageTest, RefusesAModuleWithoutKernels) {
  for (VariantOp variant : llvm::make_early_inc_range(model.module->getOps<VariantOp>()))
    variant.erase();
  EXPECT_EQ(message(writePackage(model.input(), path)),
            "the module must hold a kerf.variant, got none; run the kernels phase first");
}

TEST_F(PackageTest, RefusesProgramsThatStateTooLittle) {
  mlir::MLIRContext *context = model.module->getContext();
  ProgramOp program = *model.module->getOps<ProgramOp>().begin();
  mlir::Builder builder(context);
  const mlir::ArrayAttr results = program.getResultsAttr();
  program.setResultsAttr(builder.getArrayAttr({}));
  EXPECT_EQ(message(writePackage(model.input(), path)), "program 'step' must state its results, got none");
  program.setResultsAttr(builder.getArrayAttr({ResultAttr::get(context, ResultKind::Logits, 98)}));
  EXPECT_EQ(message(writePackage(model.input(), path)), "logits of program 'step' must have 99 columns, got 98");
  program.setResultsAttr(results);
  program.setWorkListsAttr(builder.getArrayAttr(
      {WorkAttr::get(context, mlir::FlatSymbolRefAttr::get(context, "other"), CausalAttr::get(context))}));
  EXPECT_EQ(message(writePackage(model.input(), path)),
            "work lists of program 'step' must be over a kerf.kv_group, got 'other'");
  program.erase();
  EXPECT_EQ(message(writePackage(model.input(), path)),
            "the module must hold a kerf.program, got none; run the kernels phase first");
}

TEST_F(PackageTest, RefusesANameThatMakesNoFile) {
  TestModel bad("../x");
  EXPECT_NE(message(writePackage(bad.input(), path)).find("model name must be 1 to 128"), std::string::npos);
}

} // namespace
