// Measures how fast this machine reads memory in sequence, the bound of decoding one token at a time: every weight is
// read once for each token. One stream for each thread, wide loads, a buffer far larger than the last cache.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <immintrin.h>
#include <sys/mman.h>

namespace {

constexpr int64_t lineBytes = 64;
constexpr int64_t blockBytes = 8 * lineBytes; // what one turn of a loop reads

using ReadLoop = uint64_t (*)(const char *, int64_t);

/// Reads `bytes` (a multiple of blockBytes) and returns their xor, so that no load can be dropped.
__attribute__((target("avx512f"))) uint64_t readAvx512(const char *data, int64_t bytes) {
  __m512i sums[8];
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < bytes; i += blockBytes)
    for (int lane = 0; lane < 8; ++lane)
      sums[lane] = _mm512_xor_si512(sums[lane], _mm512_load_si512(data + i + lane * lineBytes));
  for (int lane = 1; lane < 8; ++lane)
    sums[0] = _mm512_xor_si512(sums[0], sums[lane]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, sums[0]);
  uint64_t all = 0;
  for (uint64_t word : words)
    all ^= word;
  return all;
}

/// The same with 32-byte loads.
__attribute__((target("avx2"))) uint64_t readAvx2(const char *data, int64_t bytes) {
  __m256i sums[8];
  for (__m256i &sum : sums)
    sum = _mm256_setzero_si256();
  for (int64_t i = 0; i < bytes; i += blockBytes / 2)
    for (int lane = 0; lane < 8; ++lane)
      sums[lane] = _mm256_xor_si256(
          sums[lane], _mm256_load_si256(reinterpret_cast<const __m256i *>(data + i + lane * lineBytes / 2)));
  for (int lane = 1; lane < 8; ++lane)
    sums[0] = _mm256_xor_si256(sums[0], sums[lane]);
  alignas(32) uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i *>(words), sums[0]);
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

/// The largest cache of the first CPU in bytes, 0 where the kernel does not say. Not sysconf: under a hypervisor it
/// multiplies by the cores of the whole socket.
int64_t largestCache() {
  int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    int64_t size = 0;
    char unit = 0;
    if (file >> size >> unit)
      largest = std::max(largest, unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : size);
  }
  return largest;
}

struct Result {
  int threads;
  double best, median, worst; // GB/s, 10^9 bytes
};

/// An anonymous mapping; huge pages where asked, so that address translation is not what is measured.
class Buffer {
public:
  Buffer(int64_t bytes, bool huge) : bytes(bytes) {
    void *memory = ::mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw std::runtime_error("a buffer of " + std::to_string(bytes) +
                               " bytes cannot be mapped; give a smaller --bytes");
    data = static_cast<char *>(memory);
    ::madvise(data, size_t(bytes), huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { ::munmap(data, size_t(bytes)); }
  char *data;
  int64_t bytes;
};

Result measure(int threads, int64_t bytes, int runs, bool huge, ReadLoop read) {
  using Clock = std::chrono::steady_clock;
  const int64_t share = bytes / threads / blockBytes * blockBytes;
  Buffer buffer(share * threads, huge);
  std::barrier gate(threads + 1);
  std::atomic<uint64_t> sink = 0;

  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      char *mine = buffer.data + t * share;
      // Written by its reader: the page is then on the reader's memory node, and is not the shared zero page.
      for (int64_t i = 0; i < share; i += 8)
        *reinterpret_cast<uint64_t *>(mine + i) = uint64_t(i) * 0x9e3779b97f4a7c15ull;
      gate.arrive_and_wait();
      for (int run = 0; run < runs; ++run) {
        gate.arrive_and_wait();
        sink ^= read(mine, share);
        gate.arrive_and_wait();
      }
    });

  std::vector<double> speeds;
  gate.arrive_and_wait();
  for (int run = 0; run < runs; ++run) {
    gate.arrive_and_wait();
    const auto start = Clock::now();
    gate.arrive_and_wait();
    const std::chrono::duration<double> seconds = Clock::now() - start;
    speeds.push_back(double(share * threads) / seconds.count() * 1e-9);
  }
  for (std::thread &thread : pool)
    thread.join();
  std::sort(speeds.begin(), speeds.end());
  const size_t n = speeds.size();
  const double median = n % 2 ? speeds[n / 2] : 0.5 * (speeds[n / 2 - 1] + speeds[n / 2]);
  return {threads, speeds.back(), median, speeds.front()};
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Measures the bandwidth of sequential reads, one stream for each thread.");
  std::vector<int> threads;
  int64_t bytes = int64_t(1) << 30;
  int runs = 9;
  std::string isa = "auto", pages = "huge";
  bool json = false;
  app.add_option("--threads", threads, "Numbers of threads, e.g. 1,2 (default: 1 to the number of CPUs)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  app.add_option("--bytes", bytes, "Size of the buffer")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--runs", runs, "Runs for each number of threads")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--isa", isa, "Width of the loads")
      ->check(CLI::IsMember({"auto", "avx2", "avx512"}))
      ->capture_default_str();
  app.add_option("--pages", pages, "Size of the pages")->check(CLI::IsMember({"huge", "small"}))->capture_default_str();
  app.add_flag("--json", json, "Print one JSON object");
  CLI11_PARSE(app, argc, argv);

  try {
    const bool has512 = __builtin_cpu_supports("avx512f"), has256 = __builtin_cpu_supports("avx2");
    if (isa == "auto")
      isa = has512 ? "avx512" : "avx2";
    if (isa == "avx512" ? !has512 : !has256)
      throw std::runtime_error("--isa must be one that this CPU has, got " + isa);
    const int64_t cache = largestCache();
    if (bytes < 8 * cache)
      throw std::runtime_error("--bytes must be at least 8 times the largest cache (" + std::to_string(8 * cache) +
                               "), got " + std::to_string(bytes));
    if (threads.empty())
      for (int t = 1; t <= int(std::max(1u, std::thread::hardware_concurrency())); ++t)
        threads.push_back(t);

    std::vector<Result> results;
    for (int count : threads)
      results.push_back(measure(count, bytes, runs, pages == "huge", isa == "avx512" ? readAvx512 : readAvx2));
    if (!json) {
      std::printf("%s loads, %s pages, %lld bytes, %d runs\n", isa.c_str(), pages.c_str(),
                  static_cast<long long>(bytes), runs);
      for (const Result &r : results)
        std::printf("%3d thread(s): best %7.2f GB/s, median %7.2f, worst %7.2f\n", r.threads, r.best, r.median,
                    r.worst);
      return 0;
    }
    std::printf("{\"isa\": \"%s\", \"pages\": \"%s\", \"bytes\": %lld, \"runs\": %d, \"results\": [", isa.c_str(),
                pages.c_str(), static_cast<long long>(bytes), runs);
    for (size_t i = 0; i < results.size(); ++i)
      std::printf("%s{\"threads\": %d, \"best_gb_s\": %.3f, \"median_gb_s\": %.3f, \"worst_gb_s\": %.3f}",
                  i ? ", " : "", results[i].threads, results[i].best, results[i].median, results[i].worst);
    std::printf("]}\n");
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kerf-read-bandwidth: %s\n", error.what());
    return 1;
  }
  return 0;
}
