#include "runtime/emulator/Flow.h"

#include <algorithm>

namespace kerf::emulator {
namespace {

/// A set of registers.
class Set {
public:
  explicit Set(size_t size) : words_((size + 63) / 64) {}
  bool has(size_t i) const { return words_[i / 64] >> (i % 64) & 1; }
  void add(size_t i) { words_[i / 64] |= uint64_t(1) << (i % 64); }
  /// this |= a & ~b; whether it grew.
  bool addAllBut(const Set &a, const Set &b) {
    bool grew = false;
    for (size_t i = 0; i < words_.size(); ++i) {
      uint64_t old = words_[i];
      words_[i] |= a.words_[i] & ~b.words_[i];
      grew |= words_[i] != old;
    }
    return grew;
  }

private:
  std::vector<uint64_t> words_;
};

/// From the first to the last instruction that a register lives at.
struct Interval {
  uint32_t first = ~0u, last = 0;
  unsigned reg = 0;
  void reach(uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

} // namespace

void shareUnits(Kernel &kernel, const std::vector<Block> &blocks, const std::vector<RegisterUse> &uses,
                const std::vector<uint8_t> &sizes, const std::vector<int32_t> &fixed) {
  size_t count = sizes.size();
  std::vector<Set> reads(blocks.size(), Set(count)), writes = reads, in = reads;
  std::vector<Interval> intervals(count);
  size_t next = 0;
  for (size_t b = 0; b < blocks.size(); ++b)
    while (next < uses.size() && uses[next].instruction < blocks[b].end) {
      // Of one instruction what it reads first. A write that a guard may leave out keeps what was there.
      uint32_t at = uses[next].instruction;
      size_t end = next;
      for (; end < uses.size() && uses[end].instruction == at; ++end) {
        unsigned reg = static_cast<unsigned>(kernel.code[at].o[uses[end].operand]);
        intervals[reg].reach(at);
        if ((!uses[end].isWritten || kernel.code[at].guard >= 0) && !writes[b].has(reg))
          reads[b].add(reg);
      }
      for (; next < end; ++next)
        if (uses[next].isWritten && kernel.code[at].guard < 0)
          writes[b].add(static_cast<unsigned>(kernel.code[at].o[uses[next].operand]));
    }
  const Set none(count);
  for (size_t b = 0; b < blocks.size(); ++b)
    in[b].addAllBut(reads[b], none);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks.size(); b-- > 0;)
      for (unsigned to : blocks[b].to)
        changed |= in[b].addAllBut(in[to], writes[b]);
  }
  for (size_t b = 0; b < blocks.size(); ++b)
    for (unsigned reg = 0; reg < count; ++reg) {
      if (in[b].has(reg))
        intervals[reg].reach(blocks[b].begin);
      for (unsigned to : blocks[b].to)
        if (in[to].has(reg))
          intervals[reg].reach(blocks[b].end - 1);
    }
  for (const SpecialUse &special : kernel.specials)
    intervals[static_cast<unsigned>(special.unit)].reach(0);
  for (int32_t reg : fixed) {
    intervals[static_cast<unsigned>(reg)].reach(0);
    intervals[static_cast<unsigned>(reg)].reach(blocks.back().end);
  }

  std::vector<Interval> order;
  for (unsigned reg = 0; reg < count; ++reg)
    if (sizes[reg] && intervals[reg].first != ~0u) {
      intervals[reg].reg = reg;
      order.push_back(intervals[reg]);
    }
  std::sort(order.begin(), order.end(),
            [](const Interval &a, const Interval &b) { return std::pair(a.first, a.reg) < std::pair(b.first, b.reg); });
  std::vector<int32_t> place(count, 0);
  // When each unit is free again: after the last instruction of who has it.
  std::vector<uint32_t> freeAfter;
  // What each unit is for good: a register of 2, of 4, or the first or second half of one of 8 bytes. Lanes lie
  // elsewhere in each size, so that where ways part, a lane ahead would write over what another lane has still to read.
  constexpr uint8_t First = 8, Second = 9;
  std::vector<uint8_t> parts;
  for (const Interval &interval : order) {
    const uint8_t size = sizes[interval.reg];
    const unsigned units = size == First ? 2 : 1;
    unsigned unit = 0;
    auto isFree = [&](unsigned at, uint8_t part) {
      return at >= freeAfter.size() || (parts[at] == part && freeAfter[at] < interval.first);
    };
    while (!isFree(unit, size) || (units == 2 && !isFree(unit + 1, Second)))
      ++unit;
    if (freeAfter.size() < unit + units) {
      freeAfter.resize(unit + units);
      parts.resize(unit + units);
    }
    for (unsigned i = 0; i < units; ++i) {
      freeAfter[unit + i] = interval.last;
      parts[unit + i] = static_cast<uint8_t>(size + i);
    }
    place[interval.reg] = static_cast<int32_t>(unit);
  }
  for (const RegisterUse &use : uses) {
    int32_t &operand = kernel.code[use.instruction].o[use.operand];
    operand = place[static_cast<unsigned>(operand)];
  }
  for (SpecialUse &special : kernel.specials)
    special.unit = place[static_cast<unsigned>(special.unit)];
  kernel.units = static_cast<uint32_t>(freeAfter.size());
  // The hardware has a few for itself, and 255 at most; what is above spills.
  kernel.registerEstimate = std::min(kernel.units + 8, 255u);
}

} // namespace kerf::emulator
