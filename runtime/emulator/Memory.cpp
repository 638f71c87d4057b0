#include "runtime/emulator/Memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace kerf::emulator {

/// The least distance between two allocations.
constexpr uint64_t kGap = 256;

static void *reserve(uint64_t bytes) {
  void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw std::bad_alloc();
  return at;
}

// Twice the memory, since gaps and what freeing leaves between allocations count as free.
DeviceMemory::DeviceMemory(uint64_t bytes) : total_(bytes), reserved_(2 * bytes) {
  base_ = reinterpret_cast<uint64_t>(reserve(reserved_));
  written_ = static_cast<uint16_t *>(reserve(reserved_ / 8));
}

DeviceMemory::~DeviceMemory() {
  munmap(reinterpret_cast<void *>(base_), reserved_);
  munmap(written_, reserved_ / 8);
}

uint64_t DeviceMemory::allocate(uint64_t bytes) {
  if (bytes > free())
    return 0;
  uint64_t at = base_ + kGap;
  for (auto &[start, size] : allocations_) {
    if (start >= at + bytes + kGap)
      break;
    at = (start + size + 2 * kGap - 1) & ~(kGap - 1);
  }
  if (at + bytes + kGap > base_ + reserved_)
    return 0;
  allocations_.emplace(at, bytes);
  used_ += bytes;
  return at;
}

bool DeviceMemory::release(uint64_t address) {
  auto found = allocations_.find(address);
  if (found == allocations_.end())
    return false;
  uint64_t bytes = found->second;
  used_ -= bytes;
  allocations_.erase(found);
  // Allocations begin at multiples of 256 and have gaps, so whole marks are this allocation's alone.
  std::memset(&written_[(address - base_) >> 4], 0, (bytes + 15) / 16 * 2);
  constexpr uint64_t page = 4096;
  uint64_t from = (address + page - 1) & ~(page - 1), to = (address + bytes) & ~(page - 1);
  if (from < to)
    madvise(reinterpret_cast<void *>(from), to - from, MADV_DONTNEED);
  return true;
}

DeviceMemory::Allocation DeviceMemory::find(uint64_t address) const {
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin())
    return {};
  --after;
  return {after->first, after->first + after->second};
}

void DeviceMemory::write(uint64_t address, uint64_t bytes) {
  for (; bytes && (address & 15 || bytes < 16); ++address, --bytes)
    writeSmall(address, 1);
  std::memset(&written_[(address - base_) >> 4], 0xff, bytes / 16 * 2);
  address += bytes / 16 * 16;
  for (bytes %= 16; bytes; ++address, --bytes)
    writeSmall(address, 1);
}

void DeviceMemory::copyWritten(uint64_t to, uint64_t from, uint64_t bytes) {
  if (((to | from | bytes) & 15) == 0) {
    std::memmove(&written_[(to - base_) >> 4], &written_[(from - base_) >> 4], bytes / 8);
    return;
  }
  std::vector<bool> marks(bytes);
  for (uint64_t i = 0; i < bytes; ++i)
    marks[i] = isWritten(from + i, 1);
  for (uint64_t i = 0; i < bytes; ++i) {
    uint64_t at = to + i - base_;
    uint16_t bit = static_cast<uint16_t>(1u << (at & 15));
    written_[at >> 4] = static_cast<uint16_t>(marks[i] ? written_[at >> 4] | bit : written_[at >> 4] & ~bit);
  }
}

uint64_t DeviceMemory::firstUnwritten(uint64_t address, uint64_t bytes) const {
  for (uint64_t i = 0; i < bytes;) {
    if (((address + i) & 15) == 0 && bytes - i >= 16 && written_[(address + i - base_) >> 4] == 0xffff)
      i += 16;
    else if (isWritten(address + i, 1))
      ++i;
    else
      return i;
  }
  return bytes;
}

} // namespace kerf::emulator
