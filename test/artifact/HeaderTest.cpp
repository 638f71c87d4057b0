//===- HeaderTest.cpp - the typed header in the hands of compilers --------===//
#include "codegen/package/Header.h"
#include "test/artifact/TestModel.h"

#include "llvm/Support/Program.h"

#include <dlfcn.h>
#include <fstream>

using namespace kerf;
using namespace kerf::test;

namespace {

struct HeaderTest : testing::Test {
  void SetUp() override { EXPECT_EQ(message(writeHeader(model.input(), out / "tiny-1.0.h")), ""); }

  /// Runs a compiler; what it says, or nothing on success.
  std::string compile(const std::string &compiler, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), compiler);
    arguments.insert(arguments.end(), {"-I", out.path(), "-I", includes, "-Wall", "-Wextra", "-pedantic", "-Werror"});
    std::vector<llvm::StringRef> refs(arguments.begin(), arguments.end());
    const std::string log = out / "log";
    const llvm::StringRef redirects[3] = {"", log, log};
    std::optional<llvm::StringRef> streams[3] = {redirects[0], redirects[1], redirects[2]};
    llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName(compiler);
    if (!program)
      return "no " + compiler;
    const int result = llvm::sys::ExecuteAndWait(*program, refs, std::nullopt, streams);
    return result == 0 ? "" : "failed: " + readAll(log);
  }

  /// Compiles `source` as C into a library and loads it.
  void *load(const std::string &source, const std::string &name) {
    out.write(name + ".c", source);
    EXPECT_EQ(
        compile(KERF_TEST_CC, {"-std=c11", "-O1", "-shared", "-fPIC", out / (name + ".c"), "-o", out / (name + ".so")}),
        "");
    void *handle = dlopen((out / (name + ".so")).c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_TRUE(handle) << dlerror();
    return handle;
  }

  TestModel model;
  TempDir out;
  std::string includes = KERF_SOURCE_DIR "/runtime/include";
};

TEST_F(HeaderTest, IsCAndCpp) {
  const std::string user = "#include \"tiny-1.0.h\"\n#include \"tiny-1.0.h\"\n"
                           "kerf_code use(kerf_model **m);\n"
                           "kerf_code use(kerf_model **m) { return kerf_tiny_1_0_open(\"p\", NULL, m, NULL); }\n";
  out.write("user.c", user);
  out.write("user.cpp", user);
  EXPECT_EQ(compile(KERF_TEST_CC, {"-std=c11", "-fsyntax-only", out / "user.c"}), "");
  EXPECT_EQ(compile(KERF_TEST_CXX, {"-std=c++11", "-fsyntax-only", out / "user.cpp"}), "");
  EXPECT_EQ(compile(KERF_TEST_CXX, {"-std=c++20", "-fsyntax-only", out / "user.cpp"}), "");
}

TEST_F(HeaderTest, StatesTheModel) {
  const PackageInput input = model.input();
  llvm::Expected<PackageSizes> sizes = measurePackage(input);
  ASSERT_TRUE(bool(sizes));
  out.write("user.c", "#include \"tiny-1.0.h\"\n"
                      "_Static_assert(KERF_TINY_1_0_VOCABULARY == 99 && KERF_TINY_1_0_CONTEXT == 100, \"\");\n"
                      "_Static_assert(KERF_TINY_1_0_HIDDEN == 24 && KERF_TINY_1_0_LAYERS == 1, \"\");\n"
                      "_Static_assert(KERF_TINY_1_0_STEP_COLUMNS == 99, \"\");\n"
                      "_Static_assert(KERF_TINY_1_0_WEIGHT_BYTES == " +
                          std::to_string(sizes->weightBytes) +
                          ", \"\");\n"
                          "_Static_assert(KERF_TINY_1_0_FILE_BYTES == " +
                          std::to_string(sizes->fileBytes) +
                          ", \"\");\n"
                          "_Static_assert(sizeof KERF_TINY_1_0_BUILD_ID_BYTES == 33, \"\");\n"
                          "_Static_assert(sizeof KERF_TINY_1_0_BUILD_ID == 65, \"\");\n");
  EXPECT_EQ(compile(KERF_TEST_CC, {"-std=c11", "-fsyntax-only", out / "user.c"}), "");
}

TEST_F(HeaderTest, RefusesAnotherAbi) {
  std::string abi = readAll(includes + "/kerf/abi.h");
  const std::string version = "#define KERF_ABI_VERSION " + std::to_string(KERF_ABI_VERSION) + "u";
  ASSERT_NE(abi.find(version), std::string::npos);
  abi.replace(abi.find(version), version.size(), "#define KERF_ABI_VERSION 999u");
  ASSERT_FALSE(llvm::sys::fs::create_directory(out / "kerf"));
  out.write("kerf/abi.h", abi);
  out.write("kerf/kerf.h", readAll(includes + "/kerf/kerf.h"));
  out.write("user.c", "#include \"tiny-1.0.h\"\n");
  EXPECT_NE(compile(KERF_TEST_CC, {"-std=c11", "-fsyntax-only", out / "user.c"}).find("compile the model again"),
            std::string::npos);
}

TEST_F(HeaderTest, RefusesTheLibraryOfAnotherCompilation) {
  const std::string source =
      "#include \"tiny-1.0.h\"\n"
      "kerf_code kerf_model_open(const char *p, const kerf_library *l, const kerf_model_options *o, kerf_model **m,\n"
      "                          kerf_error *e) {\n"
      "  (void)p, (void)l, (void)o, (void)m, (void)e;\n"
      "  return KERF_OK;\n"
      "}\n"
      "int try(char *text);\n"
      "int try(char *text) {\n"
      "  kerf_error error = {KERF_OK, \"\"};\n"
      "  kerf_model *model = NULL;\n"
      "  kerf_code code = kerf_tiny_1_0_open(\"p\", NULL, &model, &error);\n"
      "  strcpy(text, error.message);\n"
      "  return (int)code;\n"
      "}\n";
  char text[sizeof(kerf_error)] = "";
  void *wrong = load("#include <kerf/abi.h>\nextern const kerf_library kerf_tiny_1_0_library;\n"
                     "const kerf_library kerf_tiny_1_0_library = {.build_id = {1}};\n" +
                         source,
                     "wrong");
  ASSERT_TRUE(wrong);
  EXPECT_EQ(reinterpret_cast<int (*)(char *)>(dlsym(wrong, "try"))(text), KERF_BAD_ARTIFACT);
  EXPECT_NE(std::string(text).find("use header, library and package of one compilation"), std::string::npos);
  std::string id;
  for (uint8_t byte : model.input().buildId)
    id += std::to_string(byte) + ",";
  void *right = load("#include <kerf/abi.h>\nextern const kerf_library kerf_tiny_1_0_library;\n"
                     "const kerf_library kerf_tiny_1_0_library = {.build_id = {" +
                         id + "}};\n" + source,
                     "right");
  ASSERT_TRUE(right);
  EXPECT_EQ(reinterpret_cast<int (*)(char *)>(dlsym(right, "try"))(text), KERF_OK);
}

// The header's formula is the runtime's, for each variant no less and for the worst of all variants not much more.
TEST_F(HeaderTest, EvaluatesTheCertificate) {
  void *library = load("#include \"tiny-1.0.h\"\n"
                       "uint64_t peak(uint32_t t, uint32_t s, uint32_t c, uint32_t r, uint32_t n);\n"
                       "uint64_t peak(uint32_t t, uint32_t s, uint32_t c, uint32_t r, uint32_t n) {\n"
                       "  return kerf_tiny_1_0_peak_bytes(t, s, c, r, n);\n"
                       "}\n",
                       "peak");
  ASSERT_TRUE(library);
  const auto peak =
      reinterpret_cast<uint64_t (*)(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t)>(dlsym(library, "peak"));
  const std::string path = out / "tiny-1.0.kerf";
  ASSERT_EQ(message(writePackage(model.input(), path)), "");
  const kerf_library tables = model.library();
  for (const char *variant : {"narrow", "broad"}) {
    kerf_model_options options = {};
    options.struct_size = sizeof options;
    options.variant = variant;
    kerf_model *opened = nullptr;
    kerf_error error = {};
    ASSERT_EQ(kerf_model_open(path.c_str(), &tables, &options, &opened, &error), KERF_OK) << error.message;
    for (uint32_t tokens : {0u, 1u, 7u, 100u, 4096u})
      for (uint32_t sequences : {0u, 1u, 3u, 5000u, 1u << 24})
        for (uint32_t context : {0u, 1u, 33u, 100u})
          for (uint32_t rows : {0u, 2u, 10000u}) {
            kerf_plan_options plan = {sizeof plan, tokens, sequences, context, rows, 0, 0};
            kerf_plan_report report = {};
            report.struct_size = sizeof report;
            ASSERT_EQ(kerf_model_certificate(opened, 3, &plan, &report, &error), KERF_OK) << error.message;
            const uint64_t stated = peak(tokens, sequences, context, rows, 3);
            // "narrow" has both the smallest tile and the deepest stack, so the bound is exact for it.
            if (variant == std::string("narrow"))
              EXPECT_EQ(stated, report.total) << tokens << " " << sequences << " " << context << " " << rows;
            else
              EXPECT_GE(stated, report.total) << tokens << " " << sequences << " " << context << " " << rows;
          }
    kerf_plan_options large = {sizeof large, (1u << 24) + 1, 1, 0, 0, 0, 0};
    kerf_plan_report report = {};
    report.struct_size = sizeof report;
    EXPECT_EQ(kerf_model_certificate(opened, 1, &large, &report, &error), KERF_BAD_ARGUMENT);
    kerf_model_close(opened);
  }
  EXPECT_EQ(peak((1u << 24) + 1, 1, 0, 0, 1), UINT64_MAX);
  EXPECT_EQ(peak(1, 1, 101, 0, 1), UINT64_MAX);
}

TEST_F(HeaderTest, SaysThatTheDirectoryIsMissing) {
  EXPECT_NE(message(writeHeader(model.input(), out / "absent/x.h")).find("make the output directory first"),
            std::string::npos);
}

} // namespace
