/// The device's memory: a reserved range of this process, so that a device address is the address here. Between
/// allocations there is always a gap, and of each byte it is known whether anyone wrote it.
#ifndef KERF_RUNTIME_EMULATOR_MEMORY_H
#define KERF_RUNTIME_EMULATOR_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace kerf::emulator {

class DeviceMemory {
public:
  /// [start, end)
  struct Allocation {
    uint64_t start = 0, end = 0;
    bool holds(uint64_t address, uint64_t bytes) const {
      return address >= start && bytes <= end - start && address <= end - bytes;
    }
  };

  /// Reserves addresses for `bytes`; pages come when they are touched. Throws std::bad_alloc.
  explicit DeviceMemory(uint64_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory &) = delete;
  DeviceMemory &operator=(const DeviceMemory &) = delete;

  /// `bytes` > 0 that nobody wrote yet, at a multiple of 256; 0: there is no room.
  uint64_t allocate(uint64_t bytes);
  /// False: no allocation begins there.
  bool release(uint64_t address);
  uint64_t total() const { return total_; }
  /// What allocations may still take.
  uint64_t free() const { return total_ - used_; }

  /// The allocation that holds `address`, or the nearest before it; an empty one if there is none.
  Allocation find(uint64_t address) const;
  /// Whether address lies in the range that the device reserved.
  bool isDevice(uint64_t address) const { return address >= base_ && address < base_ + reserved_; }

  /// Marks bytes as written.
  void write(uint64_t address, uint64_t bytes);
  /// Marks bytes as those of another place are.
  void copyWritten(uint64_t to, uint64_t from, uint64_t bytes);
  /// The first byte of a range that nobody wrote; `bytes`: all are written.
  uint64_t firstUnwritten(uint64_t address, uint64_t bytes) const;
  /// For an access of up to 16 bytes that does not cross a multiple of 16: whether all of it is written.
  bool isWritten(uint64_t address, unsigned bytes) const {
    uint64_t at = address - base_;
    unsigned wanted = ((1u << bytes) - 1) << (at & 15);
    return (__atomic_load_n(&written_[at >> 4], __ATOMIC_RELAXED) & wanted) == wanted;
  }
  /// Likewise, marks it.
  void writeSmall(uint64_t address, unsigned bytes) {
    uint64_t at = address - base_;
    uint16_t wanted = static_cast<uint16_t>(((1u << bytes) - 1) << (at & 15));
    if ((__atomic_load_n(&written_[at >> 4], __ATOMIC_RELAXED) & wanted) != wanted)
      __atomic_fetch_or(&written_[at >> 4], wanted, __ATOMIC_RELAXED);
  }
  uint64_t base() const { return base_; }
  uint64_t reserved() const { return reserved_; }
  /// The marks of 16 bytes each, from base() on.
  uint16_t *marks() { return written_; }

private:
  uint64_t base_ = 0, total_ = 0, reserved_ = 0, used_ = 0;
  uint16_t *written_ = nullptr;
  std::map<uint64_t, uint64_t> allocations_; // start, bytes
};

} // namespace kerf::emulator

#endif
