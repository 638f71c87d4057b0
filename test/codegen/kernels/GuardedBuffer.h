//===- GuardedBuffer.h - memory that ends at an inaccessible page -*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_KERNELS_GUARDEDBUFFER_H
#define KERF_TEST_CODEGEN_KERNELS_GUARDEDBUFFER_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <sys/mman.h>

namespace kerf::test {

/// Memory whose last byte is followed by a page that faults, and whose first page is preceded by one. The start is
/// as aligned as the size is: a size that is a multiple of 64 gives an address that is.
class GuardedBuffer {
public:
  /// Zeroed memory of that size.
  explicit GuardedBuffer(size_t bytes) {
    constexpr size_t page = 4096;
    const size_t inner = (bytes + page - 1) / page * page;
    total = inner + 2 * page;
    base = static_cast<char *>(mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base == MAP_FAILED || (inner && mprotect(base + page, inner, PROT_READ | PROT_WRITE) != 0))
      std::abort();
    start = base + page + inner - bytes;
    sizes()[start] = bytes;
  }
  ~GuardedBuffer() {
    sizes().erase(start);
    munmap(base, total);
  }
  GuardedBuffer(const GuardedBuffer &) = delete;
  GuardedBuffer &operator=(const GuardedBuffer &) = delete;

  /// Start of the memory.
  template <typename T = void> T *data() const { return reinterpret_cast<T *>(start); }

  /// What lies between the guard in front and the memory.
  char *front() const { return base + 4096; }
  /// Its size.
  size_t frontBytes() const { return start - front(); }

  /// Size of the buffer that starts there.
  static size_t sizeOf(void *start) { return sizes().at(static_cast<char *>(start)); }

private:
  static std::map<char *, size_t> &sizes() {
    static std::map<char *, size_t> known;
    return known;
  }

  char *base;
  size_t total;
  char *start;
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_KERNELS_GUARDEDBUFFER_H
