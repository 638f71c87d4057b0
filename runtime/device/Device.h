/// Where a model runs: all that the runtime needs of a CPU (runtime/cpu) or a GPU (runtime/cuda).
///
///     Device          of a model: the variant in use, weights at addresses that kernels read; any number of threads
///       Engine        of a context: memory, and work in order; one thread at a time
///         Executable  a program with the addresses of all its operands
///
/// An address is what kernels are given: on a CPU of host memory, on a GPU of its own. A GPU does its work while the
/// host goes on; Engine::finish waits for it. A CPU has done it when the call returns. All of this throws Error, on a
/// GPU also for what an earlier call started.
#ifndef KERF_RUNTIME_DEVICE_DEVICE_H
#define KERF_RUNTIME_DEVICE_DEVICE_H

#include "runtime/device/Profile.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace kerf::rt {

/// Memory that an engine gave.
class Memory {
public:
  virtual ~Memory() = default;
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  /// First byte for kernels, a multiple of 64.
  uint64_t address() const { return address_; }
  /// First byte for the host; NULL when the host has no part in this memory.
  uint8_t *host() const { return host_; }
  /// Bytes asked for.
  uint64_t size() const { return size_; }

protected:
  explicit Memory(uint64_t size) : size_(size) {}
  uint64_t address_ = 0, size_;
  uint8_t *host_ = nullptr;
};

/// Sizes of one step.
struct StepSizes {
  /// For each work list of the program, at least once; they differ in what rows attend to.
  std::span<const Extents> byWorkList;
  /// Whether some work item has one row, and whether some has more.
  bool singleRows, severalRows;
};

/// One program with the addresses of all its operands, ready to run any number of times.
class Executable {
public:
  virtual ~Executable() = default;
  /// Runs all dispatches in order; false when `cancel` was seen set between two of them. On a GPU this starts them.
  /// Allocates nothing.
  virtual bool run(const StepSizes &sizes, const std::atomic<bool> &cancel) = 0;
  /// Switches timing on or off and clears it.
  virtual void setProfiling(bool enable) { profile_.enable(enable); }
  /// What the dispatches have cost since.
  const Profile &profile() const { return profile_; }

protected:
  explicit Executable(Profile profile) : profile_(std::move(profile)) {}
  Profile profile_;
};

/// A program that is to be made executable. The program and what `resolve` gives must outlive the executable.
struct Preparation {
  const kerf_program &program;
  /// Address of an operand.
  std::function<uint64_t(const kerf_operand &)> resolve;
  /// Address of int32[KERF_EXTENT_COUNT], the sizes of the step.
  uint64_t extents;
  /// The sizes of the largest step.
  Extents largest;
};

/// What a context runs on.
class Engine {
public:
  virtual ~Engine() = default;
  /// Host threads that run a step, the calling one included.
  virtual uint32_t threads() const = 0;

  /// Memory for `what`; with `shared`, the host has its part in it, which send() and fetch() bring to the device and
  /// back. Throws KERF_OUT_OF_MEMORY with size and `what`.
  virtual std::unique_ptr<Memory> allocate(uint64_t bytes, bool shared, const char *what) = 0;
  /// Makes a program executable.
  virtual std::unique_ptr<Executable> prepare(const Preparation &preparation) = 0;

  // These allocate nothing and do nothing for 0 bytes. Host memory must stay as it is until finish().

  /// Makes `bytes` of shared memory from `offset` on what the host has there.
  virtual void send(const Memory &memory, uint64_t offset, uint64_t bytes) = 0;
  /// Makes the host's part of them what the kernels have there.
  virtual void fetch(const Memory &memory, uint64_t offset, uint64_t bytes) = 0;
  /// Fills memory.
  virtual void fill(uint64_t to, uint8_t value, uint64_t bytes) = 0;
  /// Copies between places that do not overlap.
  virtual void copy(uint64_t to, uint64_t from, uint64_t bytes) = 0;
  /// Copies to any host memory.
  virtual void read(void *to, uint64_t from, uint64_t bytes) = 0;
  /// Copies from any host memory.
  virtual void write(uint64_t to, const void *from, uint64_t bytes) = 0;
  /// Waits until all of it is done.
  virtual void finish() = 0;
};

/// What all contexts of a model share.
class Device {
public:
  virtual ~Device() = default;
  /// What the CPU or GPU calls itself.
  virtual const std::string &name() const = 0;
  /// Name of the variant in use.
  virtual const char *variant() const = 0;
  /// Most rows in one of its work items.
  virtual uint32_t attentionTile() const = 0;
  /// Most bytes of a host thread's stack that a task of any of its kernels uses.
  virtual uint64_t kernelStack() const = 0;
  /// Whether variant `index` of the library runs here.
  virtual bool runs(uint32_t index) const = 0;
  /// Address of a weight.
  virtual uint64_t weight(uint32_t index) const = 0;
  /// Bytes of memory of its own that a plan can use, with what the weights take already; nothing where it uses the
  /// host's.
  virtual std::optional<uint64_t> availableMemory() const = 0;
  /// Makes the engine of a context.
  virtual std::unique_ptr<Engine> makeEngine(uint32_t threads) const = 0;
};

} // namespace kerf::rt

#endif
