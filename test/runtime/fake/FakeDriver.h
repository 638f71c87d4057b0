/// A CUDA driver without a GPU: "device" memory is the host's, under addresses that only the driver can follow, and the
/// functions of an image are those of FakeGpu.h. What goes into a stream happens when the host waits for it and no
/// sooner, so that a wait left out shows. Every handle, address and size is checked, and each call can be made to fail.
#ifndef KERF_TEST_RUNTIME_FAKE_FAKEDRIVER_H
#define KERF_TEST_RUNTIME_FAKE_FAKEDRIVER_H

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kerf::test {

/// What a test can set and see. One for the process.
struct FakeDriver {
  // What it says of itself and its GPU.
  int version = 12040, devices = 1, major = 8, minor = 6, shared = 99 * 1024;
  size_t memory = size_t(1) << 30;

  /// Makes the call of that name (as in cuda.h) after `after` more of it fail once, with this error; a sticky one is
  /// then the answer to every call, as after a fault of a kernel.
  const char *failing = nullptr;
  int after = 0, error = 0;
  bool sticky = false;
  /// The answer to everything since; 0: none.
  int lost = 0;
  /// What each kernel does first; NULL: nothing.
  std::atomic<void (*)()> onKernel{nullptr};

  /// Told when a call begins and ends; NULL: nothing.
  void (*onCall)(bool begins) = nullptr;

  // What has happened.
  uint64_t launches = 0, graphLaunches = 0, captured = 0, waits = 0, uploads = 0, downloads = 0, fills = 0;
  uint64_t downloadedBytes = 0;
  /// Bytes of device memory and objects of any kind that nobody has given back.
  uint64_t allocated = 0, objects = 0;

  /// Back to a driver in good order; what is alive stays.
  void reset() {
    version = 12040, devices = 1, major = 8, minor = 6, shared = 99 * 1024, memory = size_t(1) << 30;
    failing = nullptr, after = error = lost = 0, sticky = false, onKernel = nullptr, onCall = nullptr;
    launches = graphLaunches = captured = waits = uploads = downloads = fills = downloadedBytes = 0;
  }
};

/// The driver's state, in the driver library that KERF_CUDA_DRIVER names.
FakeDriver &fakeDriver();

} // namespace kerf::test

#endif
