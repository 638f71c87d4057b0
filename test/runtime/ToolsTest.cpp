// The sibling library and the tools that need no compiler, run as programs on a hand-written model.
#include "test/runtime/ToolsFixture.h"

#include <sched.h>
#include <sstream>

using namespace kerf::test;

namespace {

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
  expectRefused(KERF_RUN, package + " --prompt a --variant other", 1,
                "kerf-run: error: variant must be one of narrow, wide, never");
  expectRefused(KERF_RUN, folder.file("none.kerf") + " --prompt a", 1, "No such file");
  expectRefused(KERF_RUN, package + " --prompt a --memory-limit 10kb", 1, "the memory limit allows 10.00 KiB");
  expectRefused(KERF_RUN, package + " --prompt a --context 65", 1, "context must be at most the model's 64, got 65");
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

// Whatever a package says, a terminal is not commanded, lines are Kerf's own, and JSON is JSON.
TEST_F(ToolsTest, InspectShowsHostileNames) {
  const std::string bad = "\x1b[2J\nok\x7f\xc2\x9b"
                          "1m\xff\xc3\xa9",
                    text = "\\x1b[2J\\nok\\x7f\\xc2\\x9b1m\\xffé", json = "\\u001b[2J\\u000aok\\u007f\\u009b1m\\ufffdé";
  FakePackage fake;
  fake.manifest.architecture = fake.manifest.target = fake.manifest.compiler_version = bad;
  fake.manifest.compiler_flags = bad;
  fake.manifest.plan = "first\n\x1b]second";
  fake.manifest.variants[0] = bad;
  auto source = std::make_unique<kerf::schema::KeyValueT>();
  source->key = source->value = bad;
  fake.manifest.source_hashes.push_back(std::move(source));
  for (auto &weight : fake.manifest.weights) {
    weight->name = weight->format = weight->layout = bad;
    weight->sources = {bad};
  }
  for (auto &group : fake.manifest.groups)
    group->name = bad;
  for (auto &program : fake.manifest.programs) {
    program->name = bad;
    for (auto &slot : program->slots)
      slot->name = bad;
  }
  const std::string path = put(fake, "hostile");
  const auto expectClean = [&](const std::string &out) {
    for (const std::string part : {"\x1b", "\x7f", "\xc2\x9b", "\xff", "\nok"})
      EXPECT_FALSE(contains(out, part)) << out;
  };
  const Output table = run(KERF_INSPECT, path + " --weights --slots --plan");
  EXPECT_EQ(table.status, 0) << table.err;
  expectClean(table.out);
  for (const std::string &part :
       {"fake-model: " + text + ",", "target        " + text + "; variants " + text + ", wide",
        "program       " + text + ":", "KV '" + text + "'", "arena of '" + text + "'", "results of '" + text + "'",
        "from " + text, "compiler " + text + "\n", "flags    " + text + "\n", "  " + text + "  " + text + "\n",
        "\nplan\nfirst\n" + std::string("\\x1b]second\n"), "    " + text + " "})
    EXPECT_TRUE(contains(table.out, part)) << part << "\n" << table.out;
  const Output object = run(KERF_INSPECT, path + " --weights --plan --json");
  expectClean(object.out);
  EXPECT_TRUE(contains(object.out, "\"architecture\": \"" + json + "\"")) << object.out;
  EXPECT_TRUE(contains(object.out, "\"" + json + "\": \"" + json + "\"")) << object.out;
  EXPECT_TRUE(contains(object.out, "\"plan\": \"first\\u000a\\u001b]second\"")) << object.out;
  // Refusals name things, too: of kerf-inspect itself and of the C API.
  fake.manifest.weights[0]->offset = 1;
  fake.write(path);
  for (const char *tool : {KERF_INSPECT, KERF_RUN}) {
    const Output refused = run(tool, path + (tool == std::string(KERF_RUN) ? " -p a" : ""));
    EXPECT_EQ(refused.status, 1);
    EXPECT_TRUE(contains(refused.err, "must start at a multiple of 64, got 1")) << refused.err;
    expectClean(refused.err);
  }
}

TEST_F(ToolsTest, LogsEvents) {
  const std::string log = folder.file("log");
  const auto events = [&] {
    std::vector<std::string> lines;
    std::istringstream text(readFile(log));
    for (std::string line; std::getline(text, line);) {
      EXPECT_EQ(line.rfind("{\"time\": ", 0), 0u) << line;
      EXPECT_EQ(line.back(), '}') << line;
      EXPECT_GE(numberOf(line, "time"), 0) << line;
      lines.push_back(line);
    }
    return lines;
  };
  const auto expect = [&](const std::vector<std::string> &starts) {
    const std::vector<std::string> lines = events();
    ASSERT_EQ(lines.size(), starts.size()) << readFile(log);
    for (size_t i = 0; i < lines.size(); ++i)
      EXPECT_TRUE(contains(lines[i], starts[i])) << lines[i];
  };
  EXPECT_EQ(run(KERF_RUN, package + " -p ab -n 3 --log-jsonl " + log).status, 0);
  expect({"\"start\"", "\"open\"", "\"plan\"", "\"result\"", "\"exit\""});
  EXPECT_TRUE(contains(events()[0], "\"tool\": \"kerf-run\"")) << events()[0];
  EXPECT_TRUE(contains(events()[3], "\"text\": \"cde\"")) << events()[3];
  EXPECT_EQ(numberOf(events()[4], "status"), 0);
  // By a variable, and a failure.
  EXPECT_EQ(run(KERF_RUN, package + " -p ab --context 65", "KERF_LOG_JSONL=" + log).status, 1);
  expect({"\"start\"", "\"open\"", "\"error\"", "\"exit\""});
  EXPECT_TRUE(contains(events()[2], "context must be at most the model's 64, got 65")) << events()[2];
  EXPECT_EQ(numberOf(events()[3], "status"), 1);
  EXPECT_EQ(run(KERF_BENCH, package + " --prompt-tokens 4 --gen-tokens 1 --repeat 1 --log-jsonl " + log).status, 0);
  expect({"\"start\"", "\"open\"", "\"plan\"", "\"prefill\"", "\"exit\""});
  EXPECT_EQ(run(KERF_INSPECT, package + " --log-jsonl " + log).status, 0);
  expect({"\"start\"", "\"certificate\"", "\"exit\""});
  EXPECT_TRUE(contains(run(KERF_INSPECT, package + " --log-jsonl -").out, "\"event\": \"exit\", \"status\": 0}\n"));
  expectRefused(KERF_RUN, package + " -p ab --log-jsonl " + folder.file("no/log"), 1, "cannot write the log");
  expectRefused(KERF_RUN, package + " -p ab --log-jsonl /dev/full", 1, "No space left on device");
}

TEST_F(ToolsTest, ReadsOptionsFromFilesAndVariables) {
  const std::string config = folder.file("options.toml");
  writeFile(config, "[generate]\nprompt = \"ab\"\nmax-tokens = 4\nquiet = true\n\n[perplexity]\nwindow = 16\n");
  for (const std::string &arguments :
       {"--config " + config + " generate " + package, "--config=" + config + " " + package,
        "generate " + package + " --config " + config, package + " --config " + config}) {
    const Output output = run(KERF_RUN, arguments);
    EXPECT_EQ(output.out, "cdef\n") << arguments << output.err;
    EXPECT_EQ(output.err, "") << arguments;
  }
  // The command line comes first, then the file, then variables.
  EXPECT_EQ(run(KERF_RUN, package + " -n 1 --config " + config).out, "c\n");
  writeFile(config, "[generate]\nprompt = \"ab\"\nthreads = 2\n");
  const auto threads = [&](const std::string &arguments) {
    return numberOf(run(KERF_RUN, package + " --json -q -p a -n 1 " + arguments, "KERF_THREADS=3").out, "threads");
  };
  EXPECT_EQ(threads(""), 3);
  EXPECT_EQ(threads("--config " + config), 2);
  EXPECT_EQ(threads("--config " + config + " -j 1"), 1);
  expectRefused(KERF_RUN, package + " -p a --config " + folder.file("none"), 103, "none was not readable");
  writeFile(config, "[generate]\nprompts = 1\n");
  expectRefused(KERF_RUN, package + " -p a --config " + config, 110, "prompts");
  expectRefused(KERF_RUN, "generate " + package + " -p a --memory-limit 5x", 105, "memory-limit");
  Output bench = run(KERF_BENCH, package + " --prompt-tokens 4 --gen-tokens 1 --repeat 1 --json", "KERF_THREADS=3");
  EXPECT_EQ(numberOf(bench.out, "threads"), 3) << bench.out << bench.err;
}

TEST_F(ToolsTest, KeepsToTheCpusItMayUse) {
  const auto threads = [&](const std::string &arguments, const std::string &before) {
    const Output output = run(KERF_RUN, package + " --json -p a -n 1 " + arguments, before);
    EXPECT_EQ(output.err, "");
    return numberOf(output.out, "threads");
  };
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<std::string> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set))
      cpus.push_back(std::to_string(cpu));
  EXPECT_EQ(threads("", "taskset -c " + cpus.back()), 1);
  EXPECT_EQ(threads("--cpus " + cpus.back(), ""), 1);
  EXPECT_EQ(threads("", "KERF_CPUS=" + cpus.back()), 1);
  if (cpus.size() > 1) {
    EXPECT_EQ(threads("--cpus " + cpus[0] + "," + cpus[1] + " -j 2", ""), 2);
    expectRefused("taskset -c " + cpus[0] + " " + KERF_RUN, package + " -p a --cpus " + cpus[1], 105,
                  "must be among those that this program may use, " + cpus[0] + "; got '" + cpus[1] + "'");
  }
  // More threads than CPUs work, and warn.
  const Output many = run(KERF_RUN, package + " -p ab -n 3 -j 3 --cpus " + cpus[0]);
  EXPECT_EQ(many.out, "cde\n");
  EXPECT_TRUE(contains(many.err, "kerf-run: warning: --threads asks for 3, but only 1 CPU may be used")) << many.err;
  EXPECT_EQ(run(KERF_RUN, package + " -p ab -n 3 -q -j 3 --cpus " + cpus[0]).err, "");
  for (const char *bad : {"x", "1-", "0,,1", "0-x", "99999", "0;1", "1-0"})
    expectRefused(KERF_RUN, package + " -p a --cpus '" + bad + "'", 105, "--cpus");
}

} // namespace
