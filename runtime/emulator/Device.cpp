#include "runtime/emulator/Device.h"

#include "runtime/emulator/Emulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace kerf::emulator {

using namespace cuda;

static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = std::getenv(name);
  if (!text || !*text)
    return otherwise;
  char *end = nullptr;
  uint64_t value = std::strtoull(text, &end, 0);
  if (*end) {
    std::fprintf(stderr, "kerf-emulator: %s must be a number, got '%s'\n", name, text);
    std::abort();
  }
  return value;
}

Device::Device() {
  uint64_t capability = setting("KERF_EMULATOR_CAPABILITY", 80);
  limits.major = static_cast<int>(capability / 10);
  limits.minor = static_cast<int>(capability % 10);
  // CUDA C Programming Guide, "Technical Specifications per Compute Capability". 8.0 has more shared memory for a
  // block, but code for it must run on 8.6 and 8.9 too, and they have 99 KiB.
  if (capability == 86 || capability == 89 || capability >= 120) {
    limits.threadsOfMultiprocessor = 1536;
    limits.sharedOfMultiprocessor = 100 << 10;
  } else if (capability >= 90) {
    limits.sharedOfBlock = 227 << 10;
    limits.sharedOfMultiprocessor = 228 << 10;
  }
  limits.memory = setting("KERF_EMULATOR_MEMORY", limits.memory);
  limits.driver = static_cast<int>(setting("KERF_EMULATOR_DRIVER", 13000));
  limits.devices = static_cast<int>(setting("KERF_EMULATOR_DEVICES", 1));
  seed = setting("KERF_EMULATOR_SEED", 0);
  threads = static_cast<unsigned>(setting("KERF_EMULATOR_THREADS", 0));
  random = Random(seed);
  if (const char *text = std::getenv("KERF_EMULATOR_FAIL")) {
    std::optional<std::vector<Injection>> read = readInjections(text);
    if (!read) {
      std::fprintf(
          stderr, "kerf-emulator: KERF_EMULATOR_FAIL must be like cuMemAlloc_v2:3:CUDA_ERROR_OUT_OF_MEMORY, got '%s'\n",
          text);
      std::abort();
    }
    injections = *read;
  }
  if (const char *path = std::getenv("KERF_EMULATOR_COUNTS"))
    counts.emplace(path);
}

static std::unique_ptr<Device> &holder() {
  static std::unique_ptr<Device> one = std::make_unique<Device>();
  return one;
}
Device &device() { return *holder(); }

std::vector<CUcontext> &contextStack() {
  static thread_local std::vector<CUcontext> stack;
  return stack;
}

void resetDevice() {
  for (auto &[start, bytes] : device().pinned)
    std::free(reinterpret_cast<void *>(start));
  holder() = std::make_unique<Device>();
  contextStack().clear();
}

void Device::enqueue(CUstream stream, Operation operation) {
  if (!stream)
    stream = &defaultStream;
  if (stream->graph) {
    stream->graph->operations.push_back(std::move(operation));
    return;
  }
  waiting.push_back(std::move(operation));
  // Seed 0: nothing is done before it is waited for.
  if (seed && random.below(4) == 0)
    finish();
}

CUresult Device::finish() {
  while (!waiting.empty() && !fault) {
    Operation operation = std::move(waiting.front());
    waiting.pop_front();
    operation();
  }
  if (fault)
    waiting.clear();
  return fault;
}

void Device::setFault(CUresult error) {
  if (!fault)
    fault = error;
}

CUresult Device::injected(const char *function) {
  if (injections.empty())
    return CUDA_SUCCESS;
  uint64_t call = ++calls[function];
  for (const Injection &injection : injections)
    if (injection.function == function && injection.call == call)
      return injection.error;
  return CUDA_SUCCESS;
}

uint64_t Device::nextSeed() { return (seed + 1) * 0x9e3779b97f4a7c15 ^ ++launches * 0xd1342543de82ef95; }

void Device::launch(Launch launch) {
  launch.seed = nextSeed();
  launch.counts = counts.has_value();
  uint64_t before = findings.count();
  try {
    unsigned count = threads ? threads : std::max(1u, std::thread::hardware_concurrency());
    Executed executed = run(launch, workers, count);
    instructions += executed.instructions;
    laneInstructions += executed.laneInstructions;
    if (counts)
      counts->add(launch, executed.entered);
  } catch (const Fault &f) {
    findings.add(f.text, f.text);
    setFault(f.code);
  }
  if (findings.count() != before)
    setFault(CUDA_ERROR_LAUNCH_FAILED);
}

} // namespace kerf::emulator

using namespace kerf::emulator;

#define KERF_EXPORT extern "C" __attribute__((visibility("default")))

KERF_EXPORT void kerf_emulator_reset(void) { resetDevice(); }
KERF_EXPORT void kerf_emulator_set_seed(uint64_t seed) {
  std::lock_guard lock(device().mutex);
  device().seed = seed;
  device().launches = 0;
  device().random = Random(seed);
}
KERF_EXPORT void kerf_emulator_set_threads(unsigned threads) {
  std::lock_guard lock(device().mutex);
  device().threads = threads;
}
KERF_EXPORT int kerf_emulator_fail(const char *text) {
  std::lock_guard lock(device().mutex);
  auto read = readInjections(text ? text : "");
  if (!read)
    return -1;
  device().injections = *read;
  device().calls.clear();
  return 0;
}
KERF_EXPORT const char *kerf_emulator_report(void) {
  static thread_local std::string text;
  text = device().findings.report();
  return text.c_str();
}
KERF_EXPORT uint64_t kerf_emulator_findings(void) { return device().findings.count(); }
KERF_EXPORT void kerf_emulator_clear(void) { device().findings.clear(); }
KERF_EXPORT uint64_t kerf_emulator_instructions(int lanes) {
  std::lock_guard lock(device().mutex);
  return lanes ? device().laneInstructions : device().instructions;
}
