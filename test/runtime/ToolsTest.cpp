// The sibling library and the tools that need no compiler, run as programs on a hand-written model.
#include "test/runtime/fake/Fixture.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <sys/wait.h>

using namespace kerf::test;

namespace {

class ToolsTest : public testing::Test {
protected:
  TempFolder folder;
  std::string package = folder.file("model.kerf");
  kerf_error error = {};

  void SetUp() override {
    FakePackage fake;
    const std::string circle = "abcdef";
    for (size_t i = 0; i < circle.size(); ++i)
      fake.weights.next[uint8_t(circle[i])] = uint8_t(circle[(i + 1) % circle.size()]);
    auto source = std::make_unique<kerf::schema::KeyValueT>();
    source->key = "config.json";
    source->value = "00ff";
    fake.manifest.source_hashes.push_back(std::move(source));
    fake.write(package);
    std::filesystem::copy_file(KERF_FAKE_MODULE, folder.file("libmodel.so"));
  }

  struct Output {
    int status;
    std::string out, err;
  };
  Output run(const std::string &tool, const std::string &arguments) {
    const std::string command =
        tool + " " + arguments + " >" + folder.file("out") + " 2>" + folder.file("err") + " </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, readFile(folder.file("out")), readFile(folder.file("err"))};
  }
};

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

TEST_F(ToolsTest, OpensSibling) {
  kerf_model *model = nullptr;
  ASSERT_EQ(kerf_model_open_files(package.c_str(), nullptr, &model, &error), KERF_OK) << error.message;
  OpenContext context(model, planOf(8, 1));
  EXPECT_EQ(context.step({{context.create(), {1, 2}}}), KERF_OK);
  kerf_model_close(model);

  // Both files under another name are the same model.
  std::filesystem::rename(package, folder.file("renamed.kerf"));
  EXPECT_EQ(kerf_model_open_files(folder.file("renamed.kerf").c_str(), nullptr, &model, &error), KERF_IO);
  EXPECT_TRUE(contains(error.message, "which must lie beside it as '" + folder.file("librenamed.so") + "'"))
      << error.message;
  std::filesystem::rename(folder.file("libmodel.so"), folder.file("librenamed.so"));
  ASSERT_EQ(kerf_model_open_files(folder.file("renamed.kerf").c_str(), nullptr, &model, &error), KERF_OK);
  kerf_model_close(model);

  // A library without the model's symbol, and a path that names no package.
  std::filesystem::copy_file(KERF_SHARED_RUNTIME, folder.file("libother.so"));
  std::filesystem::rename(folder.file("renamed.kerf"), folder.file("other.kerf"));
  EXPECT_EQ(kerf_model_open_files(folder.file("other.kerf").c_str(), nullptr, &model, &error), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(contains(error.message, "must export 'kerf_fake_model_library'")) << error.message;
  std::filesystem::rename(folder.file("other.kerf"), folder.file("other.bin"));
  EXPECT_EQ(kerf_model_open_files(folder.file("other.bin").c_str(), nullptr, &model, &error), KERF_BAD_ARGUMENT);
}

// Two copies of C++ code in one process must not meet: nothing but the C API is exported.
TEST_F(ToolsTest, ExportsOnlyTheApi) {
  const Output output = run("nm", std::string("-D --defined-only --format=posix ") + KERF_SHARED_RUNTIME);
  ASSERT_EQ(output.status, 0) << output.err;
  std::istringstream lines(output.out);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_EQ(line.rfind("kerf_", 0), 0u) << line;
  size_t declared = 0;
  std::istringstream header(readFile(KERF_SOURCE_DIR "/runtime/include/kerf/kerf.h"));
  for (std::string line; std::getline(header, line);)
    declared += line.rfind("KERF_API ", 0) == 0;
  EXPECT_GT(declared, 30u);
  EXPECT_EQ(count, declared) << output.out;
}

TEST_F(ToolsTest, RunGenerates) {
  for (const char *command : {"", "generate "}) {
    const Output output = run(KERF_RUN, std::string(command) + package + " --prompt ab --max-tokens 7 --threads 2");
    EXPECT_EQ(output.status, 0) << output.err;
    EXPECT_EQ(output.out, "cdefabc\n");
    EXPECT_TRUE(contains(output.err, "2 threads: 2 prompt tokens in")) << output.err;
    EXPECT_TRUE(contains(output.err, "7 new tokens")) << output.err;
    EXPECT_TRUE(contains(output.err, "end: length")) << output.err;
  }
  writeFile(folder.file("prompt"), "xxabc");
  Output output = run(KERF_RUN, package + " -f " + folder.file("prompt") + " --stop fa --variant narrow -q --echo");
  EXPECT_EQ(output.out, "xxabcde\n");
  EXPECT_EQ(output.err, "");
  output = run(KERF_RUN, package + " --prompt-ids 97,98 -n 2 -q");
  EXPECT_EQ(output.out, "cd\n");
}

TEST_F(ToolsTest, RunJson) {
  const Output output = run(KERF_RUN, package + " --prompt '\"a' --max-tokens 3 --json --variant narrow --threads 1");
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char *part : {"\"model\": \"fake-model\"", "\"variant\": \"narrow\"", "\"prompt\": \"\\\"a\"",
                           "\"text\": \"bcd\"", "\"finish\": \"length\"", "\"new_tokens\": 3", "\"prompt_tokens\": 2"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
}

TEST_F(ToolsTest, RunRefuses) {
  auto expect = [&](const std::string &arguments, int status, const std::string &message) {
    const Output output = run(KERF_RUN, arguments);
    EXPECT_EQ(output.status, status) << arguments;
    EXPECT_TRUE(contains(output.err, message)) << output.err;
  };
  expect(package + " --prompt a --variant other", 1, "kerf-run: error: variant must be one of narrow, wide, never");
  expect(folder.file("none.kerf") + " --prompt a", 1, "No such file");
  expect(package + " --prompt a --memory-limit 10kb", 1, "the memory limit allows 10.00 KiB");
  expect(package + " --prompt a --context 65", 1, "context must be at most the model's 64, got 65");
  EXPECT_NE(run(KERF_RUN, package).status, 0) << "a prompt is required";
  EXPECT_NE(run(KERF_RUN, "").status, 0);
  EXPECT_EQ(run(KERF_RUN, "--help").status, 0);
  EXPECT_EQ(run(KERF_RUN, "--version").out, "kerf 0.1.0\n");
}

TEST_F(ToolsTest, Bench) {
  Output output = run(KERF_BENCH, package + " --prompt-tokens 20 --gen-tokens 6 --threads 1,2 --repeat 3 --per-kernel");
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char *part : {"1 thread,", "2 threads,", "prefill ", "decode ", "3 runs", "attend", "GFLOP/s"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  output = run(KERF_BENCH, package + " --prompt-tokens 20 --gen-tokens 6 --sequences 2 --max-batch 7 --repeat 2 --json "
                                     "--per-kernel");
  EXPECT_EQ(output.status, 0) << output.err;
  // Two sequences in three pieces, then six steps of both.
  EXPECT_TRUE(contains(output.out, "\"tokens\": 40")) << output.out;
  EXPECT_TRUE(contains(output.out, "\"tokens\": 12")) << output.out;
  EXPECT_TRUE(contains(output.out, "\"calls\": 6")) << output.out;
  output = run(KERF_BENCH, package + " --prompt-tokens 60 --gen-tokens 6");
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "must fit the model's context of 64, got 66")) << output.err;
}

TEST_F(ToolsTest, Inspect) {
  std::filesystem::remove(folder.file("libmodel.so")); // the package alone is enough
  Output output = run(KERF_INSPECT, package + " -T 16 -S 2 --context 32 --threads 1 --weights --slots --verify");
  EXPECT_EQ(output.status, 0) << output.err;
  for (const char *part :
       {"fake-model: FakeForCausalLM", "arena of 'step'   100 + 48 T + 8 S + 4 R + 16 W",
        "at T = 16, S = 2, context = 32", "pages: S * ceil(context / 4)", "from checkpoint.embedding", "config.json",
        "verified: manifest and 3 weights", "results of 'step'   1056 R", "results of 'encode'   16 S",
        "causal within 5 over KV 'group1'", "gives vectors of 4", "slot2"})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  output = run(KERF_INSPECT, package + " --json");
  for (const char *part : {"\"config.json\": \"00ff\"", "\"mask\": \"causal within 5\"", "\"mask\": \"bidirectional\"",
                           "\"kind\": \"vectors\""})
    EXPECT_TRUE(contains(output.out, part)) << part << "\n" << output.out;
  std::string bytes = readFile(package);
  bytes[bytes.size() - 70] ^= 1;
  writeFile(package, bytes);
  EXPECT_EQ(run(KERF_INSPECT, package).status, 0);
  output = run(KERF_INSPECT, package + " --verify");
  EXPECT_EQ(output.status, 1);
  EXPECT_TRUE(contains(output.err, "SHA-256 of weight 'next'")) << output.err;
}

} // namespace
