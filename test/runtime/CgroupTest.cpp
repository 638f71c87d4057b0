// A real memory cgroup whose limit is lowered under a running context. Needs the right to make one (root); PlanTest has
// the same arithmetic over files in the shape of cgroups.
#include "test/runtime/fake/Fixture.h"

#include <csignal>
#include <functional>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace kerf::test;

namespace {

constexpr uint64_t kMiB = 1 << 20;

// A cgroup that is removed with the object: version 1 where its memory controller is mounted, else version 2.
class Cgroup {
public:
  Cgroup() {
    for (const auto &[root, limitFile] :
         {std::pair("/sys/fs/cgroup/memory", "/memory.limit_in_bytes"), std::pair("/sys/fs/cgroup", "/memory.max")}) {
      folder = std::string(root) + "/kerf-test-" + std::to_string(getpid());
      limitPath = folder + limitFile;
      if (mkdir(folder.c_str(), 0755) == 0 && limit(1024 * kMiB))
        return;
      rmdir(folder.c_str());
    }
    folder.clear();
  }
  ~Cgroup() {
    if (!folder.empty())
      rmdir(folder.c_str());
  }
  Cgroup(const Cgroup &) = delete;
  Cgroup &operator=(const Cgroup &) = delete;

  bool made() const { return !folder.empty(); }
  bool limit(uint64_t bytes) const { return put(limitPath, std::to_string(bytes)); }
  // Runs `body` in a child process in the cgroup; gives the status of waitpid. What body returns is the exit status.
  int run(const std::function<int()> &body) const {
    const pid_t child = fork();
    if (child == 0)
      _exit(put(folder + "/cgroup.procs", "0") ? body() : 99);
    int status = -1;
    waitpid(child, &status, 0);
    return status;
  }

private:
  static bool put(const std::string &path, const std::string &text) {
    FILE *file = std::fopen(path.c_str(), "w");
    if (!file)
      return false;
    const bool written = std::fputs(text.c_str(), file) >= 0;
    return std::fclose(file) == 0 && written;
  }
  std::string folder, limitPath;
};

class CgroupTest : public testing::Test {
protected:
  void SetUp() override {
    if (!cgroup.made())
      GTEST_SKIP() << "this user may not make a memory cgroup";
  }
  Cgroup cgroup;
  OpenModel model;
  // Some 80 MiB, nearly all of it logits.
  const kerf_plan_options large = planOf(65536, 1024, 0, 65536), small = planOf(kContext, 1);
  const std::vector<int32_t> ids = randomIds(1, 20);

  // The limit is lowered, and 20 tokens are run in what there is then. 0 when the bits are right.
  int shrinkAndStep(OpenContext &context, uint64_t bytes) {
    if (!cgroup.limit(bytes))
      return 1;
    return context.step({{context.create(), ids}}) != KERF_OK || context.row(0) != referenceLogits(model.weights, ids)
               ? 2
               : 0;
  }
};

// Between asking and planning: the plan is refused with what is there now, and a smaller one goes through.
TEST_F(CgroupTest, BeforeThePlan) {
  const int status = cgroup.run([&] {
    kerf_plan_report report = {};
    report.struct_size = sizeof report;
    if (kerf_model_certificate(model.handle, 1, &large, &report, nullptr) != KERF_OK || report.total > report.available)
      return 3;
    if (!cgroup.limit(48 * kMiB))
      return 1;
    kerf_context *context = nullptr;
    kerf_error error = {};
    if (kerf_context_create(model.handle, nullptr, &context, nullptr) != KERF_OK ||
        kerf_context_plan(context, &large, nullptr, &error) != KERF_OUT_OF_MEMORY)
      return 4;
    const std::string message = error.message;
    if (message.find("the plan needs 8") == std::string::npos ||
        message.find("but the system has only 4") == std::string::npos)
      return std::fprintf(stderr, "%s\n", error.message), 5;
    kerf_context_close(context);
    OpenContext other(model.handle, small);
    return shrinkAndStep(other, 40 * kMiB);
  });
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// After the plan, above what the steps touch: nothing happens.
TEST_F(CgroupTest, AfterThePlan) {
  const int status = cgroup.run([&] {
    OpenContext context(model.handle, large, 1, false);
    return shrinkAndStep(context, 48 * kMiB);
  });
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

// Below what a step touches: the system ends the process, or, where it can swap, the bits are right.
TEST_F(CgroupTest, BelowTheStep) {
  const int status = cgroup.run([&] {
    OpenContext context(model.handle, large, 1, true); // fills all logits before a step
    return shrinkAndStep(context, 32 * kMiB);
  });
  EXPECT_TRUE(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) << status;
}

} // namespace
