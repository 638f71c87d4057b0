/// Accesses to global memory during a launch: which pages were read and written, who touched which cell of them last,
/// and what they held before, so that the launch can be run again.
///
/// Blocks run on several host threads, and what two of them do to one address has no order that a report could follow.
/// So the first pass only decides whether two blocks are in each other's way; whether they are does not depend on the
/// order, because until then no block sees what another did. If they are, memory is put back and the launch runs once
/// more on one thread in the order of the seed, and that pass reports. Reads are recorded only in pages that a launch
/// both reads and writes: that a page is such a one is found the first time, by the same way back, and remembered.
#ifndef KERF_RUNTIME_EMULATOR_GLOBALSHADOW_H
#define KERF_RUNTIME_EMULATOR_GLOBALSHADOW_H

#include "runtime/emulator/Races.h"

#include <atomic>
#include <map>
#include <mutex>

namespace kerf::emulator {

/// Thrown to run a launch again: on one thread if blocks are in each other's way, otherwise recording all reads.
struct Restart {
  bool isConflict;
};

/// What is known of the accesses of other blocks, by a release and an acquire: for each block up to which stamp of each
/// warp, and for single threads (block * 1024 + thread) up to which stamp.
struct Knowledge {
  std::map<uint64_t, std::array<uint32_t, 32>> blocks;
  std::map<uint64_t, uint32_t> threads;
  void join(const Knowledge &other);
};

class GlobalShadow {
public:
  explicit GlobalShadow(DeviceMemory &memory);
  ~GlobalShadow();
  GlobalShadow(const GlobalShadow &) = delete;
  GlobalShadow &operator=(const GlobalShadow &) = delete;

  /// Begins a pass of a launch. `isSerial`: one block at a time, so races are reported.
  void begin(unsigned grain, bool recordsAll, bool isSerial);
  /// Puts memory back as it was at begin().
  void restore();
  /// Keeps what the pass did.
  void end();
  /// Checks and records an access whose addresses are inside allocations. Throws Restart.
  void access(Warp &w, const Instruction &i, const Lanes64 &addresses, unsigned bytes, Kind kind);
  /// What an atomic access, or one with an order, tells other blocks, and what it learns.
  void synchronize(Warp &w, const Instruction &i, const Lanes64 &addresses, bool reads, bool writes);
  /// A fence of a scope beyond the block.
  static void fence(Warp &w);

private:
  struct Touch {
    Mark mark;
    uint64_t block = 0; // plus one; 0: none
  };
  struct Reads {
    Touch last, otherWarp, otherBlock;
  };
  struct Page {
    /// The pass that touched it last, above flags.
    std::atomic<uint64_t> state;
    std::atomic<bool> lock;
    /// Launches read and write it.
    std::atomic<bool> isMixed;
    Touch *writes;
    Reads *reads;
    uint8_t *before;
  };
  static constexpr unsigned kPage = 4096;
  static constexpr uint64_t Read = 1, Written = 2;

  bool enter(Page &page, uint64_t number, bool writes);
  void record(Warp &w, const Instruction &i, Page &page, uint64_t address, unsigned lane, unsigned bytes, Kind kind,
              Mark me);
  bool races(const Warp &w, Mark me, const Touch &earlier) const;
  void found(Warp &w, unsigned lane, uint64_t address, Kind kind, const Touch &earlier, bool wasWrite);

  DeviceMemory &memory_;
  Page *pages_ = nullptr;
  uint64_t count_ = 0, pass_ = 0;
  unsigned grain_ = 4;
  bool recordsAll_ = false, isSerial_ = true;
  std::mutex mutex_;
  /// Pages whose state of before is kept, and those that have cells.
  std::vector<uint64_t> saved_, owned_;
  /// What was released at an address.
  std::map<uint64_t, std::shared_ptr<const Knowledge>> released_;
};

} // namespace kerf::emulator

#endif
