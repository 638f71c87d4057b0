// What a compilation says while it runs, on what is no terminal, and in its log.
#include "codegen/driver/Progress.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <gtest/gtest.h>

using namespace kerf;
using namespace std::chrono_literals;

namespace {

/// A file that goes when the test ends.
struct TemporaryFile {
  TemporaryFile() { EXPECT_FALSE(llvm::sys::fs::createTemporaryFile("kerf-progress", "txt", path)); }
  ~TemporaryFile() { llvm::sys::fs::remove(path); }
  std::string text() const { return (*llvm::MemoryBuffer::getFile(path))->getBuffer().str(); }
  llvm::SmallString<128> path;
};

/// What `run` makes Progress write.
std::string written(bool quiet, EventLog &log, std::chrono::milliseconds first,
                    llvm::function_ref<void(Progress &)> run) {
  TemporaryFile file;
  std::error_code error;
  llvm::raw_fd_ostream stream(file.path, error);
  EXPECT_FALSE(error);
  {
    Progress progress(stream, quiet, log, first);
    run(progress);
  }
  stream.flush();
  return file.text();
}

std::string written(bool quiet, std::chrono::milliseconds first, llvm::function_ref<void(Progress &)> run) {
  EventLog log;
  return written(quiet, log, first, run);
}

} // namespace

TEST(Progress, ALongPhaseShowsThatItRuns) {
  const auto start = std::chrono::steady_clock::now();
  const std::string text = written(false, 20ms, [](Progress &progress) {
    progress.begin(Phase::Object);
    std::this_thread::sleep_for(300ms);
    progress.end({"4 objects", {}});
  });
  // At 20, 40, 80 and 160 ms, unless the machine sleeps through some of them or the 300 are more.
  size_t most = 0;
  for (auto sign = 20ms; sign <= std::chrono::steady_clock::now() - start; sign *= 2)
    ++most;
  const size_t signs = llvm::StringRef(text).count(" s …\n");
  EXPECT_GE(signs, 1u) << text;
  EXPECT_LE(signs, most) << text;
  EXPECT_TRUE(llvm::StringRef(text).starts_with("[6/7] object  0.")) << text;
  EXPECT_TRUE(llvm::StringRef(text).ends_with(" s  4 objects\n")) << text;
}

TEST(Progress, SaysHowFarALongPhaseIs) {
  const std::string text = written(false, 150ms, [](Progress &progress) {
    progress.begin(Phase::Package);
    std::this_thread::sleep_for(110ms);
    progress.update(3, 8, "MiB of weights");
    std::this_thread::sleep_for(400ms);
    progress.end({});
  });
  EXPECT_TRUE(llvm::StringRef(text).contains("[7/7] package 3/8 MiB of weights  0.")) << text;
}

TEST(Progress, AShortPhaseIsOneLine) {
  const std::string text = written(false, Progress::heartbeat, [](Progress &progress) {
    progress.begin(Phase::Import);
    progress.end({"1 ops", {}});
    progress.note("a remark");
  });
  EXPECT_EQ(llvm::StringRef(text).count('\n'), 2u) << text;
  EXPECT_TRUE(llvm::StringRef(text).ends_with(" s  1 ops\n      a remark\n")) << text;
}

TEST(Progress, QuietSaysNothing) {
  EXPECT_EQ(written(true, 5ms,
                    [](Progress &progress) {
                      progress.begin(Phase::Import);
                      std::this_thread::sleep_for(30ms);
                      progress.note("a remark");
                      progress.end({"1 ops", {}});
                    }),
            "");
}

TEST(EventLog, HasALineOfJsonForEachEvent) {
  TemporaryFile file;
  EventLog log;
  ASSERT_FALSE(log.open(file.path));
  written(true, log, Progress::heartbeat, [&](Progress &progress) {
    progress.begin(Phase::Import);
    progress.interrupt("error", "not \"valid\": \xff", [] {});
    progress.end({"133 ops", {{"ops", 133}}});
    progress.file(file.path);
    progress.file("/nonexistent");
  });
  ASSERT_FALSE(log.finish(1));
  const std::string text = file.text();
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(text).split(lines, '\n', -1, /*KeepEmpty=*/false);
  std::vector<llvm::json::Object> events;
  for (llvm::StringRef line : lines) {
    auto value = llvm::json::parse(line);
    ASSERT_TRUE(bool(value)) << line.str();
    ASSERT_TRUE(value->getAsObject());
    events.push_back(*value->getAsObject());
    EXPECT_GE(events.back().getNumber("time").value_or(-1), 0);
  }
  ASSERT_EQ(events.size(), 5u) << text;
  EXPECT_EQ(events[0].getString("event"), "begin");
  EXPECT_EQ(events[0].getString("phase"), "import");
  EXPECT_EQ(events[1].getString("event"), "error");
  EXPECT_EQ(events[1].getString("message"), "not \"valid\": \xEF\xBF\xBD");
  EXPECT_EQ(events[2].getString("event"), "end");
  EXPECT_EQ(events[2].getInteger("ops"), 133);
  EXPECT_TRUE(events[2].getNumber("seconds").has_value());
  EXPECT_EQ(events[3].getString("event"), "file");
  EXPECT_EQ(events[3].getString("path"), llvm::StringRef(file.path));
  EXPECT_GT(events[3].getInteger("bytes").value_or(0), 0);
  EXPECT_EQ(events[4].getString("event"), "exit");
  EXPECT_EQ(events[4].getInteger("status"), 1);
}

TEST(EventLog, SaysWhyItCannotBeWritten) {
  EventLog log;
  EXPECT_EQ(llvm::toString(log.open("/nonexistent/log")),
            "cannot write the log /nonexistent/log: No such file or directory; choose another with --log-jsonl");
  EventLog full;
  ASSERT_FALSE(full.open("/dev/full"));
  full.message("note", "x");
  EXPECT_EQ(llvm::toString(full.finish(0)), "cannot write the log /dev/full: No space left on device");
}
