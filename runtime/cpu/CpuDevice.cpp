#include "runtime/cpu/CpuDevice.h"

#include "runtime/cpu/Dispatcher.h"
#include "runtime/cpu/Features.h"
#include "runtime/loader/Tables.h"
#include "runtime/support/Memory.h"

#include <algorithm>
#include <cstring>

namespace kerf::rt {
namespace {

// Host and kernels see the same bytes.
class CpuMemory final : public Memory {
public:
  CpuMemory(uint64_t bytes, const char *what) : Memory(bytes), buffer_(bytes, what) {
    host_ = buffer_.data();
    address_ = reinterpret_cast<uint64_t>(host_);
  }

private:
  GuardedBuffer buffer_;
};

template <typename T = void> T *pointer(uint64_t address) { return reinterpret_cast<T *>(address); }

class CpuEngine final : public Engine {
public:
  CpuEngine(uint32_t threads, const kerf_variant &variant) : pool_(threads), variant_(variant) {}

  uint32_t threads() const override { return pool_.count(); }
  std::unique_ptr<Memory> allocate(uint64_t bytes, bool, const char *what) override {
    return std::make_unique<CpuMemory>(bytes, what);
  }
  std::unique_ptr<Executable> prepare(const Preparation &preparation) override {
    return std::make_unique<Dispatcher>(pool_, variant_, preparation);
  }
  void send(const Memory &, uint64_t, uint64_t) override {}
  void fetch(const Memory &, uint64_t, uint64_t) override {}
  void fill(uint64_t to, uint8_t value, uint64_t bytes) override { std::memset(pointer(to), value, bytes); }
  void copy(uint64_t to, uint64_t from, uint64_t bytes) override { std::memcpy(pointer(to), pointer(from), bytes); }
  void read(void *to, uint64_t from, uint64_t bytes) override { std::memcpy(to, pointer(from), bytes); }
  void write(uint64_t to, const void *from, uint64_t bytes) override { std::memcpy(pointer(to), from, bytes); }
  void finish() override {}

private:
  const ThreadPool pool_;
  const kerf_variant &variant_;
};

class CpuDevice final : public Device {
public:
  CpuDevice(const Package &package, const kerf_library &library, const char *forced)
      : package_(package), library_(library),
        variant_(variantsOf(library)[chooseVariant(library, forced, cpuFeatures())]) {}

  const std::string &name() const override { return name_; }
  const char *variant() const override { return variant_.name; }
  uint32_t attentionTile() const override { return variant_.attention_tile; }
  uint64_t kernelStack() const override {
    uint64_t most = 0;
    for (const kerf_kernel &kernel : kernelsOf(variant_))
      most = std::max(most, kernel.stack_bytes);
    return most;
  }
  bool runs(uint32_t index) const override { return !(variantsOf(library_)[index].features & ~cpuFeatures()); }
  uint64_t weight(uint32_t index) const override { return reinterpret_cast<uint64_t>(package_.weight(index)); }
  std::optional<uint64_t> availableMemory() const override { return std::nullopt; }
  std::unique_ptr<Engine> makeEngine(uint32_t threads) const override {
    return std::make_unique<CpuEngine>(threads, variant_);
  }

private:
  const Package &package_;
  const kerf_library &library_;
  const kerf_variant &variant_;
  const std::string name_ = cpuName();
};

} // namespace

std::unique_ptr<Device> makeCpuDevice(const Package &package, const kerf_library &library, const char *forced) {
  return std::make_unique<CpuDevice>(package, library, forced);
}

} // namespace kerf::rt
