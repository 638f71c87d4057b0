#include "test/numerics/Compiled.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kerf::test;
namespace fs = std::filesystem;

namespace {

std::string readText(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// What a compilation depends on: the compiler and the checkpoint's files, by size and time.
std::string fingerprint(const std::string &checkpoint) {
  std::vector<fs::path> files = {KERF_COMPILE};
  for (const fs::directory_entry &entry : fs::recursive_directory_iterator(checkpoint))
    if (entry.is_regular_file())
      files.push_back(entry.path());
  std::sort(files.begin() + 1, files.end());
  std::string text;
  for (const fs::path &file : files)
    text += file.string() + " " + std::to_string(fs::file_size(file)) + " " +
            std::to_string(fs::last_write_time(file).time_since_epoch().count()) + "\n";
  return text;
}

// Runs a program with its output in `log`; gives its exit status, or -1.
int runProgram(const std::vector<std::string> &arguments, const std::string &log) {
  std::vector<char *> raw;
  for (const std::string &argument : arguments)
    raw.push_back(const_cast<char *>(argument.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = -1;
  int status = -1;
  if (posix_spawn(&child, raw[0], &actions, nullptr, raw.data(), environ) == 0)
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
      ;
  posix_spawn_file_actions_destroy(&actions);
  return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Holds a file's lock, against the other processes of a test run.
class Lock {
public:
  explicit Lock(const std::string &path) : file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    flock(file, LOCK_EX);
  }
  ~Lock() { close(file); }

private:
  int file;
};

} // namespace

std::vector<const char *> kerf::test::gpuVariants() {
  if (KERF_SANITIZED)
    return {};
  return {gpuVariant};
}

std::vector<const char *> kerf::test::everyVariant() {
  std::vector<const char *> variants(std::begin(allVariants), std::end(allVariants));
  for (const char *variant : gpuVariants())
    variants.push_back(variant);
  return variants;
}

std::vector<std::string> kerf::test::optionsFor(const std::string &variant) {
  if (variant == gpuVariant)
    return {"--target=sm_80"};
  return {};
}

std::string kerf::test::compileCheckpoint(const std::string &checkpoint, const std::string &computeType,
                                          const std::vector<std::string> &options) {
  const std::string name = fs::path(checkpoint).filename();
  // Checkpoints of one name in different places have directories of their own.
  char place[20];
  std::snprintf(place, sizeof place, "-%zx", std::hash<std::string>()(checkpoint));
  std::string file = name + "-" + computeType;
  for (const std::string &option : options)
    file += option;
  const fs::path directory = fs::path(KERF_COMPILED_DIR) / (file + place);
  fs::create_directories(directory);
  const std::string stamp = directory / "stamp", log = directory / "log", package = directory / (name + ".kerf");
  const std::string wanted = fingerprint(checkpoint);
  Lock lock(directory / "lock");
  if (readText(stamp) == wanted)
    return package;
  fs::remove(stamp);
  std::vector<std::string> command = {KERF_COMPILE, checkpoint, "-o", directory, "--name", name};
  command.insert(command.end(), {"--compute-type=" + computeType, "--quiet"});
  command.insert(command.end(), options.begin(), options.end());
  const int status = runProgram(command, log);
  if (status != 0) {
    ADD_FAILURE() << KERF_COMPILE " " << checkpoint << " ended with " << status << "\n" << readText(log);
    return "";
  }
  std::ofstream(stamp, std::ios::binary) << wanted;
  return package;
}

CompiledModel::CompiledModel(const std::string &package, const std::string &variant) {
  if (package.empty())
    return; // reported already
  kerf_model_options options = {};
  options.struct_size = sizeof options;
  options.variant = variant.c_str();
  if (variant == gpuVariant && !std::getenv("KERF_CUDA_DRIVER"))
    options.driver = KERF_EMULATOR;
  kerf_error error = {};
  const kerf_code code = kerf_model_open_files(package.c_str(), &options, &handle, &error);
  if (code == KERF_UNSUPPORTED_CPU)
    unsupported = error.message;
  else if (code != KERF_OK)
    ADD_FAILURE() << package << ", " << variant << ": " << error.message;
  if (!handle)
    return;
  info.struct_size = sizeof info;
  EXPECT_EQ(kerf_model_get_info(handle, &info, nullptr), KERF_OK);
  EXPECT_EQ(info.variant, variant);
}

CompiledContext::CompiledContext(const CompiledModel &model, uint32_t tokens, uint32_t sequences, uint32_t context,
                                 uint32_t threads)
    : vocabulary(model.info.vocabulary) {
  const kerf_context_options options = {sizeof options, threads, 1};
  const kerf_plan_options plan = {sizeof plan, tokens, sequences, context, tokens, 0, 0};
  kerf_error error = {};
  if (kerf_context_create(model.handle, &options, &handle, &error) != KERF_OK ||
      kerf_context_plan(handle, &plan, nullptr, &error) != KERF_OK)
    ADD_FAILURE() << error.message;
}

kerf_sequence *CompiledContext::create() {
  kerf_sequence *sequence = nullptr;
  kerf_error error = {};
  EXPECT_EQ(kerf_sequence_create(handle, &sequence, &error), KERF_OK) << error.message;
  return sequence;
}

kerf_sequence *CompiledContext::fork(const kerf_sequence *sequence) {
  kerf_sequence *copy = nullptr;
  kerf_error error = {};
  EXPECT_EQ(kerf_sequence_fork(sequence, &copy, &error), KERF_OK) << error.message;
  return copy;
}

void CompiledContext::truncate(kerf_sequence *sequence, uint32_t length) {
  kerf_error error = {};
  EXPECT_EQ(kerf_sequence_truncate(sequence, length, &error), KERF_OK) << error.message;
}

LogitRows CompiledContext::step(const std::vector<StepPiece> &pieces) {
  std::vector<kerf_step_entry> entries;
  for (const StepPiece &piece : pieces)
    entries.push_back({piece.sequence, piece.ids.data(), uint32_t(piece.ids.size()), uint32_t(piece.logits), nullptr});
  const kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(entries.size()), entries.data()};
  kerf_error error = {};
  const kerf_code code = kerf_context_step(handle, &step, &error);
  EXPECT_EQ(code, KERF_OK) << error.message;
  LogitRows rows;
  for (uint32_t row = 0; row < kerf_context_logit_rows(handle); ++row) {
    const float *logits = kerf_context_logits(handle, row);
    rows.emplace_back(logits, logits + vocabulary);
  }
  return rows;
}

LogitRows kerf::test::logitsAlone(const CompiledModel &model, std::span<const int32_t> ids) {
  const uint32_t count = std::max<uint32_t>(1, uint32_t(ids.size()));
  CompiledContext context(model, count, 1, count);
  return context.step({{context.create(), ids}});
}

std::string kerf::test::firstDifference(const LogitRows &found, const LogitRows &expected) {
  if (found.size() != expected.size())
    return "got " + std::to_string(found.size()) + " rows, expected " + std::to_string(expected.size());
  for (size_t row = 0; row < found.size(); ++row) {
    if (found[row].size() != expected[row].size())
      return "row " + std::to_string(row) + " has another length";
    for (size_t column = 0; column < found[row].size(); ++column) {
      const float a = found[row][column], b = expected[row][column];
      // Poison that reaches a logit is a difference even where both have it.
      if (std::bit_cast<uint32_t>(a) != std::bit_cast<uint32_t>(b) || a != a)
        return "row " + std::to_string(row) + ", column " + std::to_string(column) + ": got " + std::to_string(a) +
               ", expected " + std::to_string(b);
    }
  }
  return "";
}
