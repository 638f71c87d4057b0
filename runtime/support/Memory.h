/// Memory from the system: buffers between guard pages, mapped files, and how much there is.
#ifndef KERF_RUNTIME_SUPPORT_MEMORY_H
#define KERF_RUNTIME_SUPPORT_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace kerf::rt {

/// A zeroed buffer with an inaccessible page on each side. Its end, rounded up to 64 bytes, touches the upper guard
/// page, so that writing past it faults.
class GuardedBuffer {
public:
  /// An empty buffer.
  GuardedBuffer() = default;
  /// Maps `size` bytes for `what`; throws KERF_OUT_OF_MEMORY with both.
  GuardedBuffer(uint64_t size, const char *what);
  ~GuardedBuffer();
  GuardedBuffer(GuardedBuffer &&other) noexcept { swap(other); }
  GuardedBuffer &operator=(GuardedBuffer &&other) noexcept {
    swap(other);
    return *this;
  }
  /// First byte, a multiple of 64; NULL when empty.
  uint8_t *data() const { return data_; }
  /// Bytes asked for.
  uint64_t size() const { return size_; }
  /// Bytes that a buffer of `size` takes: whole pages, without the guards, which hold no memory.
  static uint64_t footprint(uint64_t size);

private:
  void swap(GuardedBuffer &other) noexcept;
  void *base_ = nullptr;
  uint64_t mapped_ = 0;
  uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
};

/// A file mapped read-only for as long as the object lives.
class MappedFile {
public:
  /// Maps a whole regular file; throws KERF_IO with the path and the system's reason.
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  /// First byte, page-aligned; NULL when the file is empty.
  const uint8_t *data() const { return data_; }
  /// Length of the file when it was opened.
  uint64_t size() const { return size_; }
  /// As given.
  const std::string &path() const { return path_; }
  /// Asks the system to read ahead.
  void willNeed(uint64_t offset, uint64_t size) const;
  /// Gives back the memory that holds these bytes now; who reads them again gets them from the file.
  void wontNeed(uint64_t offset, uint64_t size) const;

private:
  std::string path_;
  const uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
};

/// Bytes that this process can still use: the least of the system's available memory and what every enclosing memory
/// cgroup (version 1 or 2) leaves, file cache counted as free. `root` replaces "/" in tests. UINT64_MAX when unknown.
uint64_t availableMemory(const std::string &root = "");

/// "1.50 GiB (1610612736 bytes)", or plain bytes below 1 KiB.
std::string formatBytes(uint64_t bytes);

} // namespace kerf::rt

#endif
