/// Who touched what when: the order of accesses within a block, and the last accesses to each cell of shared memory.
///
/// A block counts stamps: each barrier, `bar.warp.sync` and arrival begins a new one, and an access bears the stamp of
/// its time. A warp knows, of each warp, the stamp up to which that warp's accesses come before its own. Of two
/// accesses to a cell, one of them a write, the later must know the earlier, be of the same thread, or both must be
/// strong (atomic). Lanes of one warp are threads like others: being in lock step orders nothing. ("FastTrack:
/// Efficient and Precise Dynamic Race Detection", with stamps of the block instead of clocks of each thread.)
#ifndef KERF_RUNTIME_EMULATOR_RACES_H
#define KERF_RUNTIME_EMULATOR_RACES_H

#include "runtime/emulator/Access.h"

namespace kerf::emulator {

/// An access in 64 bits, the stamp on top, so that a later one is a greater number; 0: none.
struct Mark {
  static constexpr unsigned kStampShift = 36;
  static constexpr uint64_t kInFlight = (uint64_t(1) << 28) - 1;
  static constexpr uint64_t Strong = 1, Several = 2, Undefined = 4;
  uint64_t bits = 0;

  static Mark make(uint64_t stamp, uint32_t instruction, unsigned warp, unsigned lane, uint64_t flags) {
    return {stamp << kStampShift | static_cast<uint64_t>(instruction & 0xfffff) << 16 | warp << 11 | lane << 6 | flags};
  }
  uint32_t stamp() const { return static_cast<uint32_t>(bits >> kStampShift); }
  uint32_t instruction() const { return static_cast<uint32_t>(bits >> 16) & 0xfffff; }
  unsigned warp() const { return bits >> 11 & 31; }
  unsigned lane() const { return bits >> 6 & 31; }
  /// Warp and lane.
  unsigned thread() const { return bits >> 6 & 1023; }
  bool isStrong() const { return bits & Strong; }
  /// A copy that has not been waited for.
  bool isInFlight() const { return stamp() == kInFlight; }
};

/// What warps of a block know of each other.
class Clocks {
public:
  explicit Clocks(unsigned warps) : known_(warps), least_(warps) {}
  uint32_t stamp() const { return stamp_; }
  /// The stamp up to which all accesses of the block come before those of `warp`.
  uint32_t least(unsigned warp) const { return least_[warp]; }
  uint32_t known(unsigned warp, unsigned of) const { return known_[warp][of]; }
  const std::array<uint32_t, 32> &known(unsigned warp) const { return known_[warp]; }
  /// A new stamp begins.
  void next() { ++stamp_; }
  /// All lanes of a warp meet.
  void meet(unsigned warp);
  /// A warp comes to a barrier: what it did, and what it knows, is in `arrivals`.
  void arrive(unsigned warp, std::array<uint32_t, 32> &arrivals);
  /// The barrier opens for a warp.
  void leave(unsigned warp, const std::array<uint32_t, 32> &arrivals);

private:
  void update(unsigned warp);
  uint32_t stamp_ = 1;
  std::vector<std::array<uint32_t, 32>> known_;
  std::vector<uint32_t> least_;
};

/// The last accesses to a cell of shared memory. A write forgets the reads before it: they are ordered, or were found.
struct Cell {
  Mark write, read, otherRead;
};

/// Checks and records an access to `cells` of `lane`; `found(mark, isWrite)` is called with an earlier access that it
/// races with. Returns whether what it reads is undefined.
template <typename Found>
inline bool accessCell(Cell &cell, Mark me, bool writes, const Clocks &clocks, Found &&found) {
  unsigned warp = me.warp();
  uint64_t limit = (static_cast<uint64_t>(clocks.least(warp)) + 1) << Mark::kStampShift;
  auto races = [&](Mark other) {
    if (other.bits < limit)
      return false;
    if (other.isInFlight())
      return true;
    if (me.isStrong() && other.isStrong())
      return false;
    if (other.thread() == me.thread() && !(other.bits & Mark::Several))
      return false;
    return other.stamp() > clocks.known(warp, other.warp());
  };
  Mark write = cell.write;
  if (write.bits >= limit && races(write)) [[unlikely]]
    found(write, true);
  bool undefined = !write.bits || write.bits & Mark::Undefined;
  if (writes) {
    if (cell.read.bits >= limit && races(cell.read)) [[unlikely]]
      found(cell.read, false);
    else if (cell.otherRead.bits >= limit && races(cell.otherRead)) [[unlikely]]
      found(cell.otherRead, false);
    cell.write = me;
    cell.read = cell.otherRead = {};
  } else {
    Mark read = cell.read;
    if (read.bits >= limit) {
      if (read.warp() != warp)
        cell.otherRead = read;
      else if (read.thread() != me.thread() || read.bits & Mark::Several)
        me.bits |= Mark::Several;
    }
    cell.read = me;
  }
  return undefined;
}

} // namespace kerf::emulator

#endif
