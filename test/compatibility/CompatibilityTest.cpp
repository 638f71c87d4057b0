// Artifacts that earlier versions left behind, under stored/abi-N: what docs/compatibility.md promises to open opens
// and gives the bits of its time, and everything else is refused by name.
//
// With --write DIRECTORY the program writes what it found with the model there, for make.sh.
#include "kerf/kerf.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const char *const kText = "the cat and the hat";

using Bytes = std::vector<char>;

Bytes readBytes(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

void expect(kerf_code code, const kerf_error &error) { EXPECT_EQ(code, KERF_OK) << error.message; }

// What is kept of a model beside its files.
struct Found {
  Bytes ids;      // int32 of kText
  Bytes logits;   // f32, a row for each id
  Bytes sequence; // saved before the last id
};

// Runs a model on kText; where a saved sequence is given, also continues that one and gives its last row instead.
Found run(kerf_model *model, const Bytes *saved) {
  Found found;
  kerf_error error = {};
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  expect(kerf_model_get_info(model, &info, &error), error);
  int32_t ids[64];
  size_t count = 0;
  expect(kerf_tokenize(model, kText, std::strlen(kText), 0, ids, 64, &count, &error), error);
  found.ids.assign(reinterpret_cast<char *>(ids), reinterpret_cast<char *>(ids + count));

  kerf_context *context = nullptr;
  const kerf_context_options options = {sizeof options, 1, 1};
  const kerf_plan_options plan = {sizeof plan, 64, 2, 64, 64, 0, 0};
  expect(kerf_context_create(model, &options, &context, &error), error);
  expect(kerf_context_plan(context, &plan, nullptr, &error), error);
  kerf_sequence *sequence = nullptr;
  expect(kerf_sequence_create(context, &sequence, &error), error);
  const auto step = [&](const int32_t *from, uint32_t tokens) {
    const kerf_step_entry entry = {sequence, from, tokens, KERF_LOGITS_ALL, nullptr};
    const kerf_step step = {sizeof step, sizeof entry, 1, &entry};
    expect(kerf_context_step(context, &step, &error), error);
    for (uint32_t row = 0; row < kerf_context_logit_rows(context); ++row) {
      const char *bytes = reinterpret_cast<const char *>(kerf_context_logits(context, row));
      found.logits.insert(found.logits.end(), bytes, bytes + info.vocabulary * sizeof(float));
    }
  };
  step(ids, uint32_t(count) - 1);
  if (saved) {
    kerf_sequence_close(sequence);
    expect(kerf_sequence_restore(context, saved->data(), saved->size(), &sequence, &error), error);
  }
  size_t size = 0;
  expect(kerf_sequence_save(sequence, nullptr, 0, &size, &error), error);
  found.sequence.resize(size);
  expect(kerf_sequence_save(sequence, found.sequence.data(), size, &size, &error), error);
  step(ids + count - 1, 1);
  kerf_context_close(context);
  return found;
}

std::string packageOf(const fs::path &directory) { return directory / "stored.kerf"; }

fs::path directoryOf(uint32_t abi) {
  return fs::path(KERF_TEST_DATA) / "compatibility/stored" / ("abi-" + std::to_string(abi));
}

// The artifact of the ABI version that this runtime takes: same tokens, same bits, and a sequence saved then goes on.
TEST(CompatibilityTest, SameVersion) {
  const fs::path directory = directoryOf(kerf_abi_version());
  ASSERT_TRUE(fs::exists(directory)) << "a new ABI version needs a stored artifact: test/compatibility/make.sh";
  kerf_model *model = nullptr;
  kerf_error error = {};
  kerf_model_options options = {};
  options.struct_size = sizeof options;
  options.verify_checksums = 1;
  const kerf_code code = kerf_model_open_files(packageOf(directory).c_str(), &options, &model, &error);
  if (code == KERF_UNSUPPORTED_CPU)
    GTEST_SKIP() << error.message;
  ASSERT_EQ(code, KERF_OK) << error.message;
  const Bytes sequence = readBytes(directory / "sequence.bin");
  for (const Bytes *saved : {static_cast<const Bytes *>(nullptr), &sequence}) {
    const Found found = run(model, saved);
    EXPECT_EQ(found.ids, readBytes(directory / "ids.bin"));
    EXPECT_EQ(found.logits, readBytes(directory / "logits.bin")) << "logits differ from those of its time";
  }
  kerf_model_close(model);
}

// Those of other ABI versions are refused by name: the present one under another number, and what older ones left.
TEST(CompatibilityTest, OtherVersions) {
  const uint32_t present = kerf_abi_version();
  const auto refused = [](kerf_code code, const kerf_error &error, const std::string &message) {
    EXPECT_EQ(code, KERF_BAD_ARTIFACT);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
  };
  kerf_model *model = nullptr;
  kerf_error error = {};
  void *loaded = dlopen((directoryOf(present) / "libstored.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(loaded, nullptr) << dlerror();
  for (const auto &[abi, advice] :
       {std::pair(present - 1, "compile the model again"), std::pair(present + 1, "use a newer Kerf runtime")}) {
    kerf_library library = *static_cast<const kerf_library *>(dlsym(loaded, "kerf_stored_library"));
    library.abi_version = abi;
    const kerf_code code = kerf_model_open(packageOf(directoryOf(present)).c_str(), &library, nullptr, &model, &error);
    refused(code, error,
            "ABI version must be " + std::to_string(present) + ", got " + std::to_string(abi) + "; " + advice);
  }
  dlclose(loaded);
  for (uint32_t abi = 1; abi < present; ++abi)
    if (fs::exists(directoryOf(abi)))
      refused(kerf_model_open_files(packageOf(directoryOf(abi)).c_str(), nullptr, &model, &error), error,
              "compile the model again");
}

int write(const fs::path &directory) {
  kerf_model *model = nullptr;
  kerf_error error = {};
  if (kerf_model_open_files(packageOf(directory).c_str(), nullptr, &model, &error) != KERF_OK) {
    std::fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  const Found found = run(model, nullptr);
  kerf_model_close(model);
  const std::pair<const char *, const Bytes *> files[] = {
      {"ids.bin", &found.ids}, {"logits.bin", &found.logits}, {"sequence.bin", &found.sequence}};
  for (const auto &[name, bytes] : files)
    if (!std::ofstream(directory / name, std::ios::binary).write(bytes->data(), std::streamsize(bytes->size()))) {
      std::fprintf(stderr, "cannot write %s\n", (directory / name).c_str());
      return 1;
    }
  return 0;
}

} // namespace

int main(int count, char **arguments) {
  testing::InitGoogleTest(&count, arguments);
  if (count == 3 && std::string(arguments[1]) == "--write")
    return write(arguments[2]);
  return RUN_ALL_TESTS();
}
