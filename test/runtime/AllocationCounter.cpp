// Replaces malloc and its kin and the mapping calls with counting ones.
#include "test/runtime/AllocationCounter.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace kerf::test;

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);
}

namespace {

std::atomic<bool> watching{false};
std::atomic<uint64_t> calls{0};
thread_local bool pausedHere = false;

void count() {
  if (watching.load(std::memory_order_relaxed) && !pausedHere)
    calls.fetch_add(1, std::memory_order_relaxed);
}

} // namespace

void kerf::test::pauseAllocationWatch(bool paused) { pausedHere = paused; }

AllocationWatch::AllocationWatch() {
  calls = 0;
  watching = true;
}

AllocationWatch::~AllocationWatch() { watching = false; }

uint64_t AllocationWatch::stop() {
  watching = false;
  return calls;
}

uint64_t kerf::test::peakMemory() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == "VmHWM:") {
      uint64_t kib = 0;
      file >> kib;
      return kib * 1024;
    }
  return 0;
}

uint64_t kerf::test::resetPeakMemory() {
  std::ofstream("/proc/self/clear_refs") << 5; // proc(5): resets the peak resident set
  return peakMemory();
}

// Visible, so that the shared libraries find these before libc's.
#pragma GCC visibility push(default)
extern "C" {
void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}
void *realloc(void *old, size_t size) {
  count();
  return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  count();
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}
void free(void *old) {
  count();
  __libc_free(old);
}
void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  count();
  return reinterpret_cast<void *>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}
int munmap(void *address, size_t size) {
  count();
  return int(syscall(SYS_munmap, address, size));
}
int mprotect(void *address, size_t size, int protection) {
  count();
  return int(syscall(SYS_mprotect, address, size, protection));
}
int madvise(void *address, size_t size, int advice) {
  count();
  return int(syscall(SYS_madvise, address, size, advice));
}
void *sbrk(intptr_t) {
  count();
  errno = ENOMEM;
  return reinterpret_cast<void *>(-1);
}
}
#pragma GCC visibility pop
