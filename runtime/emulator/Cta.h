/// One launch, its blocks of threads, and what goes wrong in them.
#ifndef KERF_RUNTIME_EMULATOR_CTA_H
#define KERF_RUNTIME_EMULATOR_CTA_H

#include "runtime/cuda/DriverApi.h"
#include "runtime/emulator/Memory.h"
#include "runtime/emulator/Warp.h"

#include <array>
#include <memory>
#include <set>

namespace kerf::emulator {

using cuda::CUresult;
using enum cuda::CUresult;

/// Numbers from a seed (SplitMix64: "Fast Splittable Pseudorandom Number Generators").
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 to n - 1.
  uint64_t below(uint64_t n) { return next() % n; }

private:
  uint64_t state_;
};

/// What ends a launch: the error that the driver gives for it, and why.
struct Fault {
  CUresult code;
  std::string text;
};

class Clocks;
struct Cell;
struct Knowledge;
class Findings;
class GlobalShadow;

/// What is launched.
struct Launch {
  const Kernel *kernel = nullptr;
  std::array<unsigned, 3> grid = {1, 1, 1}, block = {1, 1, 1};
  unsigned dynamicShared = 0;
  std::vector<uint8_t> parameters;
  DeviceMemory *memory = nullptr;
  GlobalShadow *shadow = nullptr;
  Findings *findings = nullptr;
  uint64_t seed = 0;
  unsigned multiprocessors = 1;
  /// Whether instructions are counted by where they stand.
  bool counts = false;

  uint64_t blocks() const { return static_cast<uint64_t>(grid[0]) * grid[1] * grid[2]; }
  unsigned threads() const { return block[0] * block[1] * block[2]; }
};

/// A copy from global into shared memory that is on its way: what one instruction of one warp began.
struct PendingCopy {
  const Instruction *instruction;
  uint32_t lanes;
  bool landed;
  uint8_t bytes;
  std::array<uint8_t, kLanes> sourceBytes;
  std::array<uint32_t, kLanes> to, group;
  std::array<uint64_t, kLanes> from;
};

/// One of the 16 barriers of a block.
struct Barrier {
  unsigned expected = 0, arrived = 0;
  /// Warps that wait at it, and those that came without waiting.
  uint32_t waiting = 0, passed = 0;
  /// What those that came had done and known.
  std::array<uint32_t, 32> arrivals = {};
  std::shared_ptr<const Knowledge> knowledge;
};

/// A block of threads.
struct Cta {
  /// All warps at the kernel's beginning.
  Cta(const Launch &launch, uint64_t number);
  ~Cta();
  /// Runs warps in an order drawn from the seed: until the block ends if `budget` is 0, or for about so many
  /// instructions. Returns whether it has ended. Throws Fault.
  bool run(uint64_t budget);
  /// `warp` comes to a barrier for `threads` threads; 0: all of the block.
  void arrive(Warp &warp, const Instruction &at, unsigned barrier, unsigned threads, bool waits);
  /// Lands copies of `lanes` of a warp that belong to groups before `lane`'s limit.
  void land(Warp &warp, uint32_t lanes, const std::array<uint32_t, kLanes> &before);

  const Launch &launch;
  const Kernel &kernel;
  uint64_t number;
  std::array<unsigned, 3> id;
  Random random;
  std::vector<uint8_t> shared, local;
  std::vector<Warp> warps;
  std::array<Barrier, 16> barriers;
  /// By warp.
  std::vector<std::vector<PendingCopy>> copies;
  std::vector<std::array<uint32_t, kLanes>> committed;
  /// The allocation that was used last.
  DeviceMemory::Allocation allocation;
  std::unique_ptr<Clocks> clocks;
  /// Of shared memory, each `kernel.sharedGrain` bytes.
  std::vector<Cell> cells;
  /// What each warp knows of other blocks, what it knew at its last fence, what it read without an acquire, and what it
  /// acquired and read last.
  std::vector<std::shared_ptr<const Knowledge>> knowledge, fenced, unfenced, acquired, seen;
  /// What was found, each kind at a pair of lines once: key and text.
  std::vector<std::pair<std::string, std::string>> found;
  uint64_t foundCount = 0;
  /// By instruction, how often a warp went on from there, if the launch counts.
  std::vector<uint64_t> entered;
  /// Reports `text` about the warp's current instruction and a lane, unless there was one with the same `key`.
  void find(const Warp &warp, unsigned lane, const std::string &key, const std::string &text);

private:
  void startWarp(Warp &warp);
  [[noreturn]] void deadlock();

  std::set<std::string> keys_;
  std::vector<uint8_t> registers_;
  std::vector<uint32_t> masks_;
};

/// "thread (3, 0, 0)".
std::string threadName(const Launch &launch, unsigned thread);
/// "kernel gemm, line 12: thread (3, 0, 0) of block (1, 0, 0)".
std::string place(const Warp &warp, const Instruction &instruction, unsigned lane);
/// Throws a fault of the current instruction.
[[noreturn]] void fault(const Warp &warp, CUresult code, unsigned lane, const std::string &text);

} // namespace kerf::emulator

#endif
