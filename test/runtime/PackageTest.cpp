// Opening: what is refused, with which code and words.
#include "kerf/names.h"
#include "runtime/cpu/Features.h"
#include "test/runtime/fake/Fixture.h"

#include <functional>

using namespace kerf::test;
namespace schema = kerf::schema;

namespace {

class PackageTest : public testing::Test {
protected:
  TempFolder folder;
  kerf_error error = {};

  kerf_code open(const std::string &bytes, const kerf_library &library = fakeLibrary(), bool verify = false,
                 const char *variant = nullptr) {
    writeFile(folder.file("fake.kerf"), bytes);
    kerf_model_options options = {};
    options.struct_size = sizeof options;
    options.verify_checksums = verify;
    options.variant = variant;
    kerf_model *model = nullptr;
    const kerf_code code = kerf_model_open(folder.file("fake.kerf").c_str(), &library, &options, &model, &error);
    EXPECT_EQ(code == KERF_OK, model != nullptr);
    kerf_model_close(model);
    return code;
  }
  void refused(const std::string &bytes, const std::string &message) {
    EXPECT_EQ(open(bytes), KERF_BAD_ARTIFACT);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
    EXPECT_NE(std::string(error.message).find("fake.kerf"), std::string::npos) << "which file";
  }
  void refused(const std::function<void(FakePackage &)> &change, const std::string &message) {
    FakePackage package;
    change(package);
    refused(package.bytes(), message);
  }
  void refusedLibrary(const std::function<void(kerf_library &)> &change, const std::string &message) {
    kerf_library library = fakeLibrary();
    change(library);
    EXPECT_EQ(open(FakePackage().bytes(), library), KERF_BAD_ARTIFACT);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
  }
};

TEST_F(PackageTest, Opens) { EXPECT_EQ(open(FakePackage().bytes(), fakeLibrary(), true), KERF_OK) << error.message; }

TEST_F(PackageTest, Info) {
  OpenModel model;
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  ASSERT_EQ(kerf_model_get_info(model.handle, &info, nullptr), KERF_OK);
  EXPECT_STREQ(info.name, "fake-model");
  EXPECT_STREQ(info.variant, "narrow");
  EXPECT_STREQ(info.chat_template, "");
  EXPECT_EQ(info.vocabulary, kVocabulary);
  EXPECT_EQ(info.weight_bytes, kVocabulary * 36u);
  EXPECT_EQ(info.cache_bytes_per_token, 3u * 16);
  EXPECT_EQ(info.has_tokenizer, 1u);
  EXPECT_STREQ(kerf_model_variant(model.handle, 2), "never");
  EXPECT_EQ(kerf_model_variant(model.handle, 3), nullptr);
  EXPECT_EQ(kerf_model_variant_runs(model.handle, 0), 1);
  EXPECT_EQ(kerf_model_variant_runs(model.handle, 2), 0);
  // An older caller's shorter struct is filled in as far as it goes.
  struct {
    kerf_model_info info;
  } older = {};
  older.info.struct_size = offsetof(kerf_model_info, architecture);
  ASSERT_EQ(kerf_model_get_info(model.handle, &older.info, nullptr), KERF_OK);
  EXPECT_STREQ(older.info.name, "fake-model");
  EXPECT_EQ(older.info.architecture, nullptr);
  info.struct_size = 2;
  EXPECT_EQ(kerf_model_get_info(model.handle, &info, &error), KERF_BAD_ARGUMENT);
}

TEST_F(PackageTest, Variants) {
  const std::string bytes = FakePackage().bytes();
  EXPECT_EQ(open(bytes, fakeLibrary(), false, "other"), KERF_BAD_ARGUMENT);
  EXPECT_STREQ(error.message, "variant must be one of narrow, wide, never, got 'other'");
  EXPECT_EQ(open(bytes, fakeLibrary(), false, "never"), KERF_UNSUPPORTED_CPU);
  EXPECT_NE(std::string(error.message).find("lacks features unknown to this runtime"), std::string::npos)
      << error.message;
  setenv("KERF_CPU_VARIANT", "never", 1);
  EXPECT_EQ(open(bytes), KERF_UNSUPPORTED_CPU);
  EXPECT_EQ(open(bytes, fakeLibrary(), false, "narrow"), KERF_OK) << "the option wins";
  unsetenv("KERF_CPU_VARIANT");

  using kerf::rt::chooseVariant;
  EXPECT_EQ(chooseVariant(fakeLibrary(), nullptr, 0), 0u);
  EXPECT_EQ(chooseVariant(fakeLibrary(), nullptr, KERF_CPU_AVX2), 1u);
  EXPECT_EQ(chooseVariant(fakeLibrary(), nullptr, ~uint64_t(0)), 2u);
  EXPECT_EQ(chooseVariant(fakeLibrary(), "narrow", ~uint64_t(0)), 0u);
  kerf_library modern = fakeLibrary();
  modern.variants += 1;
  modern.variant_count = 1;
  try {
    chooseVariant(modern, nullptr, 0);
    FAIL() << "a CPU without AVX2 must be refused";
  } catch (const std::exception &e) {
    EXPECT_NE(std::string(e.what()).find("the CPU must have AVX2 at least"), std::string::npos) << e.what();
  }
}

TEST_F(PackageTest, File) {
  kerf_model *model = nullptr;
  EXPECT_EQ(kerf_model_open(folder.file("none.kerf").c_str(), &fakeLibrary(), nullptr, &model, &error), KERF_IO);
  EXPECT_NE(std::string(error.message).find("No such file"), std::string::npos) << error.message;
  EXPECT_EQ(kerf_model_open("/tmp", &fakeLibrary(), nullptr, &model, &error), KERF_IO);
  EXPECT_NE(std::string(error.message).find("must be a regular file"), std::string::npos);
  EXPECT_EQ(kerf_model_open(nullptr, &fakeLibrary(), nullptr, &model, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_model_open("x", nullptr, nullptr, &model, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_model_open("x", &fakeLibrary(), nullptr, nullptr, &error), KERF_BAD_ARGUMENT);

  const std::string good = FakePackage().bytes();
  refused(std::string(), "a package starts with 64 bytes, got 0");
  refused(good.substr(0, 63), "got 63; the file was cut off");
  refused(good.substr(0, 1000), "it was cut off, copy it again");
  refused(good.substr(0, good.size() - 1), "it was cut off, copy it again");
  refused(good + "x", "something was appended to it");
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "run 'git lfs pull'");
  refused(std::string(200, 'x'), "this is not a Kerf package");
  std::string changed = good;
  changed[5] = '\n';
  refused(changed, "copied as text");
  changed = good;
  changed[8] = 2;
  refused(changed, "preamble version must be 1, got 2; use a newer Kerf runtime");
  changed = good;
  changed[16] = 65;
  refused(changed, "manifest offset must be 64");
  changed = good;
  changed[31] = 1;
  refused(changed, "manifest must be 8 to");
  changed = good;
  changed[500] ^= 1;
  refused(changed, "manifest SHA-256 must be");
}

TEST_F(PackageTest, Manifest) {
  refused([](FakePackage &p) { p.manifest.schema_major = 2; },
          "schema version must be 1.x, got 2." + std::to_string(schema::kSchemaMinor) + "; use a newer");
  refused([](FakePackage &p) { p.manifest.schema_major = 0; }, "compile the model again");
  refused([](FakePackage &p) { p.manifest.build_id.pop_back(); }, "build id must be 32 bytes, got 31");
  refused([](FakePackage &p) { p.manifest.model_name = "../etc/x"; }, "model name must be");
  refused([](FakePackage &p) { p.manifest.vocabulary = 0; }, "vocabulary and context must be 1 to");
  refused([](FakePackage &p) { p.manifest.context = 0xffffffff; }, "vocabulary and context must be 1 to");
  refused([](FakePackage &p) { p.manifest.weights[1]->offset = 8192 + 32; },
          "weight 'output' must start at a multiple of 64, got 8224");
  refused([](FakePackage &p) { p.manifest.weights[1]->offset = 64; }, "weight 'output' must start after the manifest");
  refused([](FakePackage &p) { p.manifest.weights[1]->offset = uint64_t(-64); }, "weight 'output' must end inside");
  refused([](FakePackage &p) { p.manifest.weights[1]->size = uint64_t(-64); }, "weight 'output' must end inside");
  refused([](FakePackage &p) { p.manifest.weights[0]->size = 8192; }, "weight 'output' at");
  refused([](FakePackage &p) { p.manifest.weights[0]->shape = {-1}; }, "no negative extent, got -1");
  refused([](FakePackage &p) { p.manifest.weights[0]->shape.resize(17, 1); }, "at most 16 axes, got 17");
  refused([](FakePackage &p) { p.manifest.weights[0]->sha256 = {1, 2}; }, "SHA-256 of 32 bytes, got 2");
  refused([](FakePackage &p) { p.manifest.groups[1]->page_size = 0; }, "KV group 'group1' must have planes, page size");
  refused([](FakePackage &p) { p.manifest.groups[1]->page_bytes = uint64_t(1) << 60; },
          "KV group 'group1' is too large");
  refused([](FakePackage &p) { p.manifest.programs[0]->slots[1]->bytes->coefficients[1] = -1; },
          "slot 1 of program 'step' must have no negative coefficient, got -1");
  refused([](FakePackage &p) { p.manifest.programs[0]->slots[1]->bytes->coefficients.resize(8); },
          "at most 7 coefficients, got 8");
  refused([](FakePackage &p) { p.manifest.programs.clear(); }, "there must be a program, got none");
  refused([](FakePackage &p) { p.manifest.programs[1]->results.clear(); },
          "program 'encode' must state 1 to 64 results, got 0; compile the model again");
  refused([](FakePackage &p) { p.manifest.programs[0]->results[0]->columns = 3; },
          "logits of program 'step' must have a column for each of 264 token ids, got 3");
  refused([](FakePackage &p) { p.manifest.programs[1]->results[0]->columns = 1u << 31; },
          "result 0 of program 'encode' must have 1 to 2147483647 columns");
  refused([](FakePackage &p) { p.manifest.programs[1]->results[0]->kind = schema::ResultKind(3); },
          "result 0 of program 'encode' must be logits or vectors in f32, or tokens in i32, got kind 3 and element 0");
  refused([](FakePackage &p) { p.manifest.programs[1]->results[0]->kind = schema::ResultKind::Tokens; },
          "or tokens in i32, got kind 2 and element 0");
  refused(
      [](FakePackage &p) {
        p.manifest.programs[1]->results[0]->kind = schema::ResultKind::Tokens;
        p.manifest.programs[1]->results[0]->element = schema::ElementType::I32;
      },
      "tokens of program 'encode' must have one column, got 4");
  refused([](FakePackage &p) { p.manifest.programs[1]->results[0]->element = schema::ElementType::BF16; },
          "must be logits or vectors in f32, or tokens in i32, got kind 1 and element 2");
  refused([](FakePackage &p) { p.manifest.programs[0]->work_lists[1]->group = 2; },
          "work list 1 of program 'step' must be over one of 2 KV groups");
  refused([](FakePackage &p) { p.manifest.programs[0]->work_lists[1]->behind = 0; }, "behind at least 1");
  refused([](FakePackage &p) { p.manifest.programs[0]->work_lists[1]->ahead = -1; }, "ahead at least 0");
  refused(
      [](FakePackage &p) {
        while (p.manifest.programs[0]->work_lists.size() <= 64)
          p.manifest.programs[0]->work_lists.push_back(
              std::make_unique<schema::WorkListT>(*p.manifest.programs[0]->work_lists[0]));
      },
      "must have at most 64 work lists, got 65");
  refused([](FakePackage &p) { p.manifest.generation->eos = {int32_t(kVocabulary)}; }, "must be below the vocabulary");
  refused([](FakePackage &p) { p.manifest.tokenizer->token_offsets[3] = 1 << 30; }, "tokenizer: ");
}

TEST_F(PackageTest, Library) {
  refusedLibrary([](kerf_library &l) { l.abi_version = 3; }, "ABI version must be 2, got 3; use a newer Kerf runtime");
  refusedLibrary([](kerf_library &l) { l.abi_version = 1; }, "ABI version must be 2, got 1; compile the model again");
  refusedLibrary([](kerf_library &l) { l.struct_size = 8; }, "struct size must be at least");
  refusedLibrary([](kerf_library &l) { l.build_id[3] ^= 1; }, "build id of the library must be the package's");
  refusedLibrary([](kerf_library &l) { l.model_name = "other"; }, "model name must be the package's 'fake-model'");
  refusedLibrary([](kerf_library &l) { l.vocabulary = 5; }, "vocabulary must be the package's 264, got 5");
  refusedLibrary([](kerf_library &l) { l.context = 5; }, "context must be the package's 64, got 5");
  refusedLibrary([](kerf_library &l) { l.weight_count = 2; }, "weight count must be the package's 3, got 2");
  static const uint64_t sizes[] = {1, 2, 3};
  refusedLibrary([](kerf_library &l) { l.weight_bytes = sizes; }, "size of weight 'embedding' must be the package's");
  static kerf_cache_group groups[2];
  groups[0] = fakeLibrary().groups[0], groups[1] = fakeLibrary().groups[1];
  groups[1].page_size = 5;
  refusedLibrary([](kerf_library &l) { l.groups = groups; }, "page size of KV group 'group1' must be the package's 3");
  static kerf_variant variants[3];
  std::copy_n(fakeLibrary().variants, 3, variants);
  variants[1].name = "avx2";
  refusedLibrary([](kerf_library &l) { l.variants = variants; }, "variant 1 must be 'wide', got 'avx2'");
  refusedLibrary([](kerf_library &l) { l.program_size -= 8; }, "table of programs must be there, aligned");
  refusedLibrary([](kerf_library &l) { l.group_size += 1; }, "table of KV groups must be there, aligned");
  refusedLibrary([](kerf_library &l) { l.variants = nullptr; }, "table of variants must be there, aligned");
  refusedLibrary([](kerf_library &l) { l.weight_bytes = nullptr; }, "sizes of weights must be there");
}

TEST_F(PackageTest, LibraryPrograms) {
  // Changes the program "step" through a copy of what `change` may write to.
  struct Copy {
    kerf_program programs[2];
    kerf_slot slots[4];
    kerf_dispatch dispatches[5];
    kerf_work_list lists[2];
    kerf_result results[1];
    kerf_operand operand = {KERF_OPERAND_SLOT, 0, 0, 0};
  };
  auto refusedProgram = [&](const std::function<void(Copy &)> &change, const std::string &message) {
    Copy copy;
    const kerf_program &step = fakeLibrary().programs[0];
    std::copy_n(fakeLibrary().programs, 2, copy.programs);
    std::copy_n(step.slots, 4, copy.slots);
    std::copy_n(step.dispatches, 5, copy.dispatches);
    std::copy_n(step.work_lists, 2, copy.lists);
    std::copy_n(step.results, 1, copy.results);
    copy.dispatches[1].operands = &copy.operand;
    copy.dispatches[1].operand_count = 1;
    copy.programs[0].slots = copy.slots;
    copy.programs[0].dispatches = copy.dispatches;
    copy.programs[0].work_lists = copy.lists;
    copy.programs[0].results = copy.results;
    change(copy);
    refusedLibrary([&](kerf_library &l) { l.programs = copy.programs; }, message);
  };
  refusedProgram([](Copy &c) { c.slots[3].bytes.coefficient[3] = 5; },
                 "coefficient 3 of slot 3 of program 'step' must be the package's 4, got 5");
  refusedProgram([](Copy &c) { c.slots[3].bytes.coefficient[KERF_EXTENT_KNOWN] = 1; },
                 "coefficient 7 of slot 3 of program 'step' must be the package's 0, got 1");
  refusedProgram([](Copy &c) { c.programs[0].name = "stride"; }, "program 0 must be 'step', got 'stride'");
  refusedProgram([](Copy &c) { c.operand = {KERF_OPERAND_CACHE, 1, 1, 0}; },
                 "operand of 'layers.0.append' must name something");
  refusedProgram([](Copy &c) { c.operand = {KERF_OPERAND_STEP, KERF_STEP_WORK_ITEMS, 2, 0}; },
                 "operand of 'layers.0.append' must name something that exists, got kind 2, index 3, plane 2");
  refusedProgram([](Copy &c) { c.operand = {KERF_OPERAND_RESULT, 1, 0, 0}; },
                 "operand of 'layers.0.append' must name something that exists, got kind 4, index 1");
  refusedProgram([](Copy &c) { c.operand.reserved = 1; }, "plane 0, reserved 1");
  refusedProgram([](Copy &c) { c.dispatches[1].operand_size = 12; },
                 "table of operands of dispatch 1 of program 'step'");
  refusedProgram([](Copy &c) { c.dispatches[1].kernel = 5; }, "kernel of dispatch 1 of program 'step' must be below 5");
  refusedProgram([](Copy &c) { c.dispatches[1].extent = KERF_EXTENT_ATTENDED; },
                 "rows of dispatch 1 of program 'step' must be counted by an extent below 5, got 5");
  refusedProgram([](Copy &c) { c.dispatches[1].bytes.coefficient[9] = 1; },
                 "coefficient 9 of the bytes of dispatch 1 of program 'step' must be 0, as reserved, got 1");
  refusedProgram([](Copy &c) { c.dispatches[1].operations.coefficient[1] = -1; },
                 "coefficient 1 of the operations of dispatch 1 of program 'step' must be at least 0, got -1");
  refusedProgram([](Copy &c) { c.lists[1].behind = 6; },
                 "work list 1 of program 'step' must be the package's over group 1, behind 5, ahead 0, got 1, 6, 0");
  refusedProgram([](Copy &c) { c.lists[0].reserved = 1; }, "reserved 1");
  refusedProgram([](Copy &c) { c.programs[0].work_list_count = 1; }, "work list count of program 'step'");
  refusedProgram([](Copy &c) { c.results[0].extent = KERF_EXTENT_TOKENS; },
                 "result 0 of program 'step' must be the package's of kind 0, extent 3, 264 columns");
  refusedProgram([](Copy &c) { c.results[0].element = 1; }, "got 0, 3, 264, 1");
  refusedProgram([](Copy &c) { c.programs[0].result_count = 2; }, "result count of program 'step'");
}

// Tables of a later compiler, whose elements are longer, are read alike.
TEST_F(PackageTest, LongerElements) {
  struct LongKernel {
    kerf_kernel known;
    uint64_t appended;
  };
  struct LongProgram {
    kerf_program known;
    uint64_t appended;
  };
  LongKernel kernels[5];
  for (uint32_t i = 0; i < 5; ++i)
    kernels[i] = {fakeLibrary().variants[0].kernels[i], ~uint64_t(0)};
  kerf_variant variants[3];
  std::copy_n(fakeLibrary().variants, 3, variants);
  variants[0].kernels = &kernels[0].known;
  variants[0].kernel_size = sizeof(LongKernel);
  const LongProgram programs[] = {{fakeLibrary().programs[0], 1}, {fakeLibrary().programs[1], 2}};
  kerf_library library = fakeLibrary();
  library.variants = variants;
  library.programs = &programs[0].known;
  library.program_size = sizeof(LongProgram);
  FakePackage().write(folder.file("long.kerf"));
  kerf_model_options options = {};
  options.struct_size = sizeof options;
  options.variant = "narrow";
  kerf_model *model = nullptr;
  ASSERT_EQ(kerf_model_open(folder.file("long.kerf").c_str(), &library, &options, &model, &error), KERF_OK)
      << error.message;
  {
    OpenContext context(model, planOf(16, 1));
    const std::vector<int32_t> ids = randomIds(1, 9);
    ASSERT_EQ(context.step({{context.create(), ids}}), KERF_OK) << context.error.message;
    EXPECT_EQ(context.row(0), referenceLogits(FakePackage().weights, ids));
  }
  kerf_model_close(model);
}

TEST_F(PackageTest, Checksums) {
  FakePackage package;
  std::string bytes = package.bytes();
  bytes[bytes.size() - kVocabulary * 4 - 100] ^= 1; // in the last but one weight
  EXPECT_EQ(open(bytes), KERF_OK) << "weights are read only on request";
  EXPECT_EQ(open(bytes, fakeLibrary(), true), KERF_BAD_ARTIFACT);
  EXPECT_NE(std::string(error.message).find("SHA-256 of weight 'output'"), std::string::npos) << error.message;
}

TEST(NamesTest, Symbols) {
  char symbol[KERF_SYMBOL_MAX];
  EXPECT_EQ(kerf_library_symbol("SmolLM2-1.7B", symbol), 25u);
  EXPECT_STREQ(symbol, "kerf_SmolLM2_1_7B_library");
  for (const char *bad : {"", ".hidden", "-x", "a/b", "a b", "a\xc3\xa9"})
    EXPECT_EQ(kerf_library_symbol(bad, symbol), 0u) << bad;
  EXPECT_EQ(kerf_library_symbol(nullptr, symbol), 0u);
  EXPECT_EQ(kerf_library_symbol(std::string(129, 'x').c_str(), symbol), 0u);
  EXPECT_EQ(kerf_library_symbol(std::string(128, 'x').c_str(), symbol), 128u + 13);
}

} // namespace
