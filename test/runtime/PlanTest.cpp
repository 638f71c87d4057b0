// Plans: defaults, refusals, the certificate, guard pages, and what the system says it has.
#include "kerf/kerf.h"
#include "runtime/cpu/Threads.h"
#include "runtime/loader/Certificate.h"
#include "runtime/support/Error.h"
#include "runtime/support/Memory.h"
#include "runtime/support/Sha256.h"
#include "test/runtime/fake/Fixture.h"

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

using namespace kerf::test;
using namespace kerf::rt;

namespace {

class PlanTest : public testing::Test {
protected:
  OpenModel model;
  kerf_error error = {};
  kerf_context *context = nullptr;
  void SetUp() override {
    kerf_context_options options = {sizeof options, 2, 0};
    ASSERT_EQ(kerf_context_create(model.handle, &options, &context, &error), KERF_OK) << error.message;
  }
  void TearDown() override { kerf_context_close(context); }
  kerf_code plan(const kerf_plan_options &options, kerf_plan_report *report = nullptr) {
    return kerf_context_plan(context, &options, report, &error);
  }
};

TEST_F(PlanTest, DefaultsAndCertificate) {
  kerf_plan_report report = {}, certificate = {};
  report.struct_size = certificate.struct_size = sizeof report;
  ASSERT_EQ(kerf_context_plan(context, nullptr, &report, &error), KERF_OK) << error.message;
  EXPECT_EQ(report.max_tokens, kContext);
  EXPECT_EQ(report.max_sequences, 1u);
  EXPECT_EQ(report.context, kContext);
  EXPECT_EQ(report.max_logit_rows, 1u);
  EXPECT_EQ(report.threads, 2u);
  EXPECT_EQ(report.max_work_items, 22u); // tile of 3, one sequence: ceil(64 / 3)
  EXPECT_EQ(report.weights, kVocabulary * 36u);
  // Slots: 64 rows of 16 bytes, three times; 100 + 8 S + 4 R + 16 W rounded up to 64.
  EXPECT_EQ(report.arena, 4096u);
  // Group 0: 16 pages of 64 bytes in two planes; group 1: 22 pages of 48 bytes.
  EXPECT_EQ(report.cache, 2u * 4096);
  EXPECT_EQ(report.results, 4096u);
  EXPECT_EQ(report.stacks, 2 * (512 + kThreadStack));
  EXPECT_EQ(report.total, report.weights + report.manifest + report.cache + report.arena + report.step +
                              report.results + report.sampler + report.sequences + report.stacks);
  ASSERT_EQ(kerf_model_certificate(model.handle, 2, nullptr, &certificate, &error), KERF_OK);
  certificate.available = report.available; // the system's free memory moves
  EXPECT_EQ(std::memcmp(&report, &certificate, sizeof report), 0);
  kerf_plan_report again = {};
  again.struct_size = sizeof again;
  ASSERT_EQ(kerf_context_report(context, &again, &error), KERF_OK);
  EXPECT_EQ(std::memcmp(&report, &again, sizeof report), 0);
}

TEST_F(PlanTest, RefusesWithBothNumbers) {
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  kerf_plan_options options = planOf(16, 4);
  ASSERT_EQ(kerf_model_certificate(model.handle, 2, &options, &report, &error), KERF_OK);
  options.memory_limit = report.total - 1;
  EXPECT_EQ(plan(options), KERF_OUT_OF_MEMORY);
  const std::string message = error.message;
  EXPECT_NE(message.find("needs " + formatBytes(report.total)), std::string::npos) << message;
  EXPECT_NE(message.find("the memory limit allows " + formatBytes(report.total - 1)), std::string::npos) << message;
  kerf_sequence *sequence;
  EXPECT_EQ(kerf_sequence_create(context, &sequence, &error), KERF_BAD_ARGUMENT) << "there is no plan";
  EXPECT_STREQ(error.message, "kerf_context_plan must come first");
  options.memory_limit = report.total;
  EXPECT_EQ(plan(options), KERF_OK) << error.message;
}

TEST_F(PlanTest, RefusesBadCeilings) {
  EXPECT_EQ(plan(planOf(8, 1, kContext + 1)), KERF_BAD_ARGUMENT);
  EXPECT_STREQ(error.message, "context must be at most the model's 64, got 65");
  EXPECT_EQ(plan(planOf(1u << 25, 1)), KERF_BAD_ARGUMENT);
  EXPECT_EQ(plan(planOf(8, 1u << 24, 64, 0, 0xffffffff)), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("KV pages times page size"), std::string::npos) << error.message;
  kerf_plan_options options = planOf(8, 1);
  options.struct_size = 0;
  EXPECT_EQ(plan(options), KERF_BAD_ARGUMENT);
  // A newer caller's struct is fine as long as its extra fields are zero.
  struct {
    kerf_plan_options known;
    uint64_t extra;
  } newer = {planOf(8, 1), 0};
  newer.known.struct_size = sizeof newer;
  EXPECT_EQ(plan(newer.known), KERF_OK) << error.message;
  newer.extra = 1;
  EXPECT_EQ(plan(newer.known), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("use a newer Kerf runtime"), std::string::npos);
}

TEST_F(PlanTest, PlansAgainOnlyWithoutSequences) {
  ASSERT_EQ(plan(planOf(8, 1)), KERF_OK);
  kerf_sequence *sequence;
  ASSERT_EQ(kerf_sequence_create(context, &sequence, &error), KERF_OK);
  EXPECT_EQ(plan(planOf(16, 1)), KERF_BAD_ARGUMENT);
  kerf_sequence_close(sequence);
  EXPECT_EQ(plan(planOf(16, 1)), KERF_OK);
}

// The plan's work-list ceiling against the worst split of T rows over S sequences, by trying all.
TEST_F(PlanTest, WorkItemCeiling) {
  CertificateTerms terms;
  terms.context = 64;
  terms.vocabulary = 1;
  for (terms.attentionTile = 1; terms.attentionTile < 6; ++terms.attentionTile)
    for (uint32_t tokens = 1; tokens <= 12; ++tokens)
      for (uint32_t sequences = 1; sequences <= 4; ++sequences) {
        uint32_t worst = 0;
        for (uint32_t a = 0; a <= tokens; ++a)
          for (uint32_t b = 0; b <= (sequences > 1 ? tokens - a : 0); ++b)
            for (uint32_t c = 0; c <= (sequences > 2 ? tokens - a - b : 0); ++c) {
              uint32_t items = 0;
              for (uint32_t rows : {a, b, c, sequences > 3 ? tokens - a - b - c : 0})
                items += (rows + terms.attentionTile - 1) / terms.attentionTile;
              worst = std::max(worst, items);
            }
        const Ceilings c = resolveCeilings(terms, 1, planOf(tokens, sequences));
        EXPECT_EQ(c.workItems, worst) << tokens << " " << sequences << " " << terms.attentionTile;
      }
}

// A model that takes texts as a whole plans the pages of the worst step and no more: against all splits of T tokens.
TEST_F(PlanTest, TextsTakenAsAWholeKeepNoPages) {
  FakePackage fake;
  const TempFolder folder;
  fake.write(folder.file("both.kerf"));
  EXPECT_FALSE(certificateTerms(Package(folder.file("both.kerf"))).wholeTexts);
  std::erase_if(fake.manifest.programs, [](const auto &program) { return program->name == "step"; });
  fake.write(folder.file("encoder.kerf"));
  const CertificateTerms terms = certificateTerms(Package(folder.file("encoder.kerf")));
  EXPECT_TRUE(terms.wholeTexts);
  for (const kerf_cache_group &group : terms.groups)
    for (uint32_t tokens = 1; tokens <= 20; ++tokens)
      for (uint32_t sequences = 1; sequences <= 5; ++sequences)
        for (uint32_t context : {5u, 64u}) {
          // Most pages of `texts` texts with `rows` tokens together.
          const std::function<uint32_t(uint32_t, uint32_t)> worst = [&](uint32_t texts, uint32_t rows) {
            uint32_t most = 0;
            for (uint32_t first = 1; texts && first <= std::min(rows, context); ++first)
              most = std::max(most, (first + group.page_size - 1) / group.page_size + worst(texts - 1, rows - first));
            return most;
          };
          kerf_plan_options options = planOf(tokens, sequences);
          options.context = context;
          const GroupSizes sizes = groupSizes(group, resolveCeilings(terms, 1, options));
          if (tokens <= 10 && sequences <= 4)
            EXPECT_EQ(sizes.pages, worst(sequences, tokens)) << tokens << " " << sequences << " " << context;
          EXPECT_LE(sizes.pages, sizes.pagesPerSequence * sequences);
          options.kv_pages = 3;
          EXPECT_EQ(groupSizes(group, resolveCeilings(terms, 1, options)).pages, 3u);
        }
}

TEST(GuardedBufferTest, Guards) {
  for (uint64_t size : {uint64_t(1), uint64_t(64), uint64_t(4096), uint64_t(5000)}) {
    GuardedBuffer buffer(size, "test");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    std::memset(buffer.data(), 1, size);
    const uint64_t rounded = (size + 63) / 64 * 64;
    EXPECT_DEATH(const_cast<volatile uint8_t *>(buffer.data())[rounded] = 1, "");
    const uint64_t slack = GuardedBuffer::footprint(size) - rounded;
    EXPECT_DEATH((void)const_cast<volatile uint8_t *>(buffer.data() - slack)[-1], "");
  }
  EXPECT_THROW(GuardedBuffer(uint64_t(1) << 56, "test"), Error);
}

// Trees of files in the shape of /proc and /sys/fs/cgroup.
class SystemTest : public testing::Test {
protected:
  TempFolder root;
  void file(const std::string &path, const std::string &text) {
    std::filesystem::create_directories(std::filesystem::path(root.file(path)).parent_path());
    writeFile(root.file(path), text);
  }
};

TEST_F(SystemTest, AvailableMemory) {
  file("proc/meminfo", "MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:   8000 kB\n");
  EXPECT_EQ(availableMemory(root.file("")), 8000u * 1024);
  file("proc/self/cgroup", "0::/a/b\n");
  EXPECT_EQ(availableMemory(root.file("")), 8000u * 1024) << "no limit";
  file("sys/fs/cgroup/a/b/memory.max", "max\n");
  file("sys/fs/cgroup/a/memory.max", "5000000\n");
  file("sys/fs/cgroup/a/memory.current", "3000000\n");
  EXPECT_EQ(availableMemory(root.file("")), 2000000u) << "the parent limits";
  file("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 500000\nactive_file 250000\n");
  EXPECT_EQ(availableMemory(root.file("")), 2750000u) << "file cache can be reclaimed";
  file("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/m\n");
  file("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1000\n");
  file("sys/fs/cgroup/memory/m/memory.usage_in_bytes", "2000\n");
  EXPECT_EQ(availableMemory(root.file("")), 0u);
}

TEST_F(SystemTest, UsableThreads) {
  const uint32_t affinity = usableThreads(root.file(""));
  EXPECT_GE(affinity, 1u);
  file("proc/self/cgroup", "0::/a\n");
  file("sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(usableThreads(root.file("")), affinity);
  file("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(usableThreads(root.file("")), 1u) << "half a CPU is one thread";
  file("proc/self/cgroup", "3:cpu,cpuacct:/b\n");
  file("sys/fs/cgroup/cpu/b/cpu.cfs_quota_us", "100000\n");
  file("sys/fs/cgroup/cpu/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usableThreads(root.file("")), 1u);
}

// FIPS 180-4 examples, and pieces against the whole.
TEST(Sha256Test, KnownAnswers) {
  auto hex = [](const std::string &text) { return hexDigits(sha256(text.data(), text.size()).data(), 32); };
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += char(random());
  for (int round = 0; round < 50; ++round) {
    Sha256 hash;
    for (size_t at = 0; at < text.size();) {
      const size_t piece = std::min(text.size() - at, size_t(random() % 200));
      hash.update(text.data() + at, piece);
      at += piece;
    }
    EXPECT_EQ(hash.finish(), sha256(text.data(), text.size()));
  }
}

} // namespace
