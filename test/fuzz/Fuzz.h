/// What the fuzz targets share: files in memory, and properties that must hold.
#ifndef KERF_TEST_FUZZ_FUZZ_H
#define KERF_TEST_FUZZ_FUZZ_H

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace kerf::fuzz {

/// Ends the run, which libFuzzer then reports with its input, unless `holds`.
inline void must(bool holds, const char *what) {
  if (holds)
    return;
  std::fprintf(stderr, "must hold: %s\n", what);
  std::abort();
}

/// A regular file without a disk, opened by its path.
class MemoryFile {
public:
  MemoryFile() : descriptor(memfd_create("kerf-fuzz", 0)), path_("/proc/self/fd/" + std::to_string(descriptor)) {
    must(descriptor >= 0, "the system gives a file in memory");
  }
  /// Its path, in this process only.
  const std::string &path() const { return path_; }
  /// Replaces its content.
  void write(std::string_view bytes) const {
    must(ftruncate(descriptor, 0) == 0 && pwrite(descriptor, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()),
         "the file in memory can be written");
  }
  /// Makes it `size` bytes long; what is new is zero.
  void extend(uint64_t size) const { must(ftruncate(descriptor, off_t(size)) == 0, "the file in memory can grow"); }

private:
  int descriptor;
  std::string path_;
};

} // namespace kerf::fuzz

#endif
