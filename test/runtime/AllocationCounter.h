// Counts what a program allocates and measures what it touches. Linked into a test, AllocationCounter.cpp replaces
// malloc and its kin and the mapping calls for the whole program and its shared libraries, so such a test stands by
// itself.
#ifndef KERF_TEST_RUNTIME_ALLOCATIONCOUNTER_H
#define KERF_TEST_RUNTIME_ALLOCATIONCOUNTER_H

#include <cstdint>

namespace kerf::test {

/// Counts allocations, frees and mappings of any thread while it lives. One at a time.
class AllocationWatch {
public:
  AllocationWatch();
  ~AllocationWatch();
  /// Stops counting and gives the number of calls.
  uint64_t stop();
};

/// While `paused`, what the calling thread does is not counted.
void pauseAllocationWatch(bool paused);

/// The largest resident set since the last reset, in bytes.
uint64_t peakMemory();

/// Sets the peak to the present resident set and gives it.
uint64_t resetPeakMemory();

} // namespace kerf::test
#endif // KERF_TEST_RUNTIME_ALLOCATIONCOUNTER_H
