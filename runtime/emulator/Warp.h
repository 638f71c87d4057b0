/// What runs: decoded instructions, warps of 32 lanes in lock step, and blocks of threads (CTAs) with their shared
/// memory.
///
/// A register is a unit of 128 bytes, its 32 lanes side by side (64 bits: two units; 16 bits: half of one); a predicate
/// is a mask of lanes. Beside each stands the mask of lanes whose value is undefined: it comes from registers and
/// memory that nobody wrote, passes through arithmetic, and is a finding once it decides anything (docs/emulator.md).
#ifndef KERF_RUNTIME_EMULATOR_WARP_H
#define KERF_RUNTIME_EMULATOR_WARP_H

#include "runtime/emulator/Ptx.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kerf::emulator {

constexpr unsigned kLanes = 32, kUnit = 128;
constexpr uint32_t kAll = ~0u;
/// Generic addresses of shared and local memory; those of global memory are the addresses themselves.
constexpr uint64_t kSharedWindow = uint64_t(0x7e) << 56, kLocalWindow = uint64_t(0x7d) << 56,
                   kWindowMask = uint64_t(0xff) << 56;

enum class Space : uint8_t { Generic, Global, Shared, Local, Parameter };
/// How strong an access is: Weak ones race, the others do not race among themselves.
enum class Order : uint8_t { Weak, Relaxed, Acquire, Release, AcquireRelease };
enum class Scope : uint8_t { Cta, Gpu };

class Warp;
struct Instruction;
enum class Class : uint8_t;
using Execute = void (*)(Warp &, const Instruction &);

/// One decoded instruction. Operands, in the order of the text with groups laid flat: a unit of the warp's registers;
/// less than 0: without its top bit, a unit of the kernel's constants; predicates: Warp::predicate.
struct Instruction {
  static constexpr uint8_t EndsBlock = 1, Control = 2, Leader = 4, Jumps = 8, Leaves = 16;
  Execute run = nullptr;
  int32_t o[14] = {};
  /// What the instruction needs besides.
  int64_t immediate = 0;
  /// Of a branch: where to, and where its ways meet again; kAll: nowhere.
  uint32_t target = 0, join = kAll;
  uint32_t line = 0, index = 0;
  /// As Warp::predicate; -1: none.
  int32_t guard = -1;
  uint8_t flags = 0;
  /// Memory: bytes of an element, elements, bytes of a register, and whether narrow loads extend the sign.
  uint8_t bytes = 0, count = 1, registerBytes = 0;
  bool isSigned = false;
  Space space = Space::Generic;
  Order order = Order::Weak;
  Scope scope = Scope::Gpu;
  uint8_t operands = 0, variant = 0;
  Class kind = {};
};

/// A special register that a kernel reads: its unit, filled when a warp begins.
struct SpecialUse {
  std::string name;
  int32_t unit;
};

/// A decoded kernel.
struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  /// Constants, a unit each.
  std::vector<uint8_t> constants;
  std::vector<uint32_t> constantsUndefined;
  uint32_t units = 0, predicates = 2;
  std::vector<SpecialUse> specials;
  std::vector<PtxParameter> parameters;
  uint64_t parameterBytes = 0, staticShared = 0, localBytes = 0;
  unsigned requiredThreads = 0, maximumThreads = 0;
  /// Registers that a thread would need at least, from the longest list of living ones.
  unsigned registerEstimate = 0;
  /// The smallest access to shared and to global memory, which is the grain that races are tracked by.
  unsigned sharedGrain = 16, globalGrain = 16;
  /// It has atomics or acquires in global memory: its blocks may wait for each other.
  bool communicates = false;
  /// File and line by `.loc`, by instruction; 0: none.
  std::vector<std::pair<unsigned, unsigned>> locations;
  std::unordered_map<unsigned, std::string> files;
};

struct Cta;

/// Lanes that stand at the same instruction, and where they wait for the others of their branch.
struct Group {
  uint32_t pc, mask, join;
};

class Warp {
public:
  enum State : uint8_t { Ready, AtBarrier, Exited };

  /// The lanes of operand `o`.
  template <typename T> T *reg(int32_t o) const {
    return reinterpret_cast<T *>(base[o < 0] + (static_cast<uint64_t>(o & 0x7fffffff) * kUnit));
  }
  /// Its undefined lanes.
  uint32_t &undefined(int32_t o) const { return undef[o < 0][o & 0x7fffffff]; }
  /// Lanes where predicate operand `o` holds: twice its number, plus one if it is negated; numbers 0 and 1 are false
  /// and true.
  uint32_t predicate(int32_t o) const { return predicates[o >> 1] ^ (0u - (o & 1)); }
  uint32_t predicateUndefined(int32_t o) const { return predicatesUndefined[o >> 1]; }
  /// Writes the executing lanes.
  void setPredicate(int32_t o, uint32_t value, uint32_t undefinedLanes) {
    uint32_t &p = predicates[o >> 1], &u = predicatesUndefined[o >> 1];
    p = (p & ~exec) | (value & exec);
    u = (u & ~exec) | (undefinedLanes & exec);
  }
  /// Marks a result: undefined where an operand was.
  void mark(int32_t o, uint32_t undefinedLanes) {
    uint32_t &u = undefined(o);
    u = (u & ~exec) | (undefinedLanes & exec);
  }
  /// Reports undefined lanes among the executing ones: `use` says what they would decide.
  void need(uint32_t undefinedLanes, const char *use) {
    if (undefinedLanes & exec) [[unlikely]]
      foundUndefined(undefinedLanes & exec, use);
  }
  /// Runs until the warp waits, ends, or has taken about `budget` instructions.
  void run(uint64_t budget);
  /// The executing lanes take a branch, the others of the group go on.
  void branch(const Instruction &at);
  /// The executing lanes are done.
  void exit(uint32_t next);

  uint8_t *base[2] = {};
  uint32_t *undef[2] = {};
  uint32_t *predicates = nullptr, *predicatesUndefined = nullptr;
  /// Lanes that execute the current instruction, that stand at it, and that have not ended.
  uint32_t exec = 0, mask = 0, live = 0;
  uint32_t pc = 0, join = kAll;
  unsigned index = 0;
  State state = Ready;
  /// Below the current group, the next to run last: other ways of branches, and lanes that wait where ways meet.
  std::vector<Group> others;
  const Instruction *current = nullptr;
  Cta *cta = nullptr;
  uint64_t instructions = 0, laneInstructions = 0;

private:
  void next();
  void foundUndefined(uint32_t lanes, const char *use);
};

} // namespace kerf::emulator

#endif
