#include "runtime/support/Memory.h"

#include "runtime/support/Cgroups.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kerf::rt {
namespace {

uint64_t pageBytes() {
  static const uint64_t bytes = uint64_t(sysconf(_SC_PAGESIZE));
  return bytes;
}

uint64_t roundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// A cgroup file that holds one number; false when it is missing or says "max".
bool readNumber(const std::string &path, uint64_t &value) {
  std::ifstream file(path);
  return bool(file >> value);
}

// The value beside `key` in a file of "key value" lines (memory.stat, meminfo).
uint64_t readField(const std::string &path, std::string_view key) {
  std::ifstream file(path);
  std::string name;
  uint64_t value = 0;
  std::string rest;
  while (file >> name >> value) {
    if (name == key)
      return value;
    std::getline(file, rest);
  }
  return 0;
}

// What one cgroup leaves: its limit less its use, with reclaimable file pages not counted as use.
uint64_t cgroupLeaves(const std::string &limitFile, const std::string &useFile, const std::string &statFile,
                      const char *prefix) {
  uint64_t limit, use;
  if (!readNumber(limitFile, limit) || !readNumber(useFile, use))
    return UINT64_MAX;
  const uint64_t cache = readField(statFile, std::string(prefix) + "inactive_file") +
                         readField(statFile, std::string(prefix) + "active_file");
  use -= std::min(use, cache);
  return limit > use ? limit - use : 0;
}

} // namespace

GuardedBuffer::GuardedBuffer(uint64_t size, const char *what) : size_(size) {
  const uint64_t body = footprint(size);
  mapped_ = body + 2 * pageBytes();
  void *base = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    fail(KERF_OUT_OF_MEMORY, "the system gave no ", formatBytes(mapped_), " of address space for ", what);
  uint8_t *first = static_cast<uint8_t *>(base) + pageBytes();
  if (body && mprotect(first, body, PROT_READ | PROT_WRITE) != 0) {
    munmap(base, mapped_);
    fail(KERF_OUT_OF_MEMORY, "the system gave no ", formatBytes(body), " for ", what);
  }
  base_ = base;
  data_ = first + body - roundUp(size, KERF_ALIGNMENT);
}

GuardedBuffer::~GuardedBuffer() {
  if (base_)
    munmap(base_, mapped_);
}

uint64_t GuardedBuffer::footprint(uint64_t size) { return roundUp(size, pageBytes()); }

void GuardedBuffer::swap(GuardedBuffer &other) noexcept {
  std::swap(base_, other.base_);
  std::swap(mapped_, other.mapped_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
}

MappedFile::MappedFile(const std::string &path) : path_(path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    fail(KERF_IO, "cannot open '", path, "': ", std::strerror(errno));
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file);
    fail(KERF_IO, "'", path, "' must be a regular file");
  }
  size_ = uint64_t(status.st_size);
  if (size_) {
    void *data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    if (data == MAP_FAILED) {
      const int reason = errno;
      close(file);
      fail(KERF_IO, "cannot map '", path, "' (", size_, " bytes): ", std::strerror(reason));
    }
    data_ = static_cast<const uint8_t *>(data);
  }
  close(file);
}

MappedFile::~MappedFile() {
  if (data_)
    munmap(const_cast<uint8_t *>(data_), size_);
}

void MappedFile::willNeed(uint64_t offset, uint64_t size) const {
  const uint64_t begin = offset / pageBytes() * pageBytes();
  madvise(const_cast<uint8_t *>(data_) + begin, size + (offset - begin), MADV_WILLNEED);
}

void MappedFile::wontNeed(uint64_t offset, uint64_t size) const {
  const uint64_t begin = offset / pageBytes() * pageBytes();
  madvise(const_cast<uint8_t *>(data_) + begin, size + (offset - begin), MADV_DONTNEED);
}

uint64_t availableMemory(const std::string &root) {
  uint64_t least = UINT64_MAX;
  if (const uint64_t kib = readField(root + "/proc/meminfo", "MemAvailable:"))
    least = kib * 1024;

  forEachCgroup(root, "memory", [&](const std::string &folder, bool unified) {
    least = std::min(
        least, unified ? cgroupLeaves(folder + "memory.max", folder + "memory.current", folder + "memory.stat", "")
                       : cgroupLeaves(folder + "memory.limit_in_bytes", folder + "memory.usage_in_bytes",
                                      folder + "memory.stat", "total_"));
  });
  return least;
}

std::string formatBytes(uint64_t bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024)
    return std::to_string(bytes) + " bytes";
  double value = double(bytes);
  int unit = -1;
  while (value >= 1024 && unit < 4)
    value /= 1024, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, "%.2f %s (%llu bytes)", value, units[unit], (unsigned long long)bytes);
  return text;
}

} // namespace kerf::rt
