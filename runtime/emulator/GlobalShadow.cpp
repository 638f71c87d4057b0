#include "runtime/emulator/GlobalShadow.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <sstream>
#include <sys/mman.h>

namespace kerf::emulator {

/// Marks of a page (Memory.h): 16 bits for 16 bytes.
constexpr size_t kMarkBytes = 4096 / 8;
/// Cells of a page at the finest grain.
constexpr size_t kMostCells = 4096;

void Knowledge::join(const Knowledge &other) {
  for (auto &[block, stamps] : other.blocks) {
    std::array<uint32_t, 32> &mine = blocks[block];
    for (unsigned i = 0; i < 32; ++i)
      mine[i] = std::max(mine[i], stamps[i]);
  }
  for (auto &[thread, stamp] : other.threads) {
    uint32_t &mine = threads[thread];
    mine = std::max(mine, stamp);
  }
}

GlobalShadow::GlobalShadow(DeviceMemory &memory) : memory_(memory), count_(memory.reserved() / kPage) {
  void *at =
      mmap(nullptr, count_ * sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw std::bad_alloc();
  pages_ = static_cast<Page *>(at);
}

GlobalShadow::~GlobalShadow() {
  // Pages that no launch touched are not looked at.
  for (uint64_t number : owned_) {
    Page &page = pages_[number];
    delete[] page.writes;
    delete[] page.reads;
    delete[] page.before;
  }
  munmap(pages_, count_ * sizeof(Page));
}

void GlobalShadow::begin(unsigned grain, bool recordsAll, bool isSerial) {
  ++pass_;
  grain_ = std::min(grain, 16u);
  recordsAll_ = recordsAll;
  isSerial_ = isSerial;
  saved_.clear();
  released_.clear();
}

void GlobalShadow::restore() {
  for (uint64_t number : saved_) {
    const Page &page = pages_[number];
    std::memcpy(reinterpret_cast<void *>(memory_.base() + number * kPage), page.before, kPage);
    std::memcpy(memory_.marks() + number * kPage / 16, page.before + kPage, kMarkBytes);
  }
  saved_.clear();
}

void GlobalShadow::end() {
  // What was read and written now will be again.
  for (uint64_t number : saved_)
    if ((pages_[number].state.load() & (Read | Written)) == (Read | Written))
      pages_[number].isMixed = true;
  saved_.clear();
}

/// Returns whether the access must be recorded; then the page is locked.
bool GlobalShadow::enter(Page &page, uint64_t number, bool writes) {
  bool records = writes || recordsAll_ || page.isMixed.load(std::memory_order_relaxed);
  uint64_t state = page.state.load(std::memory_order_acquire);
  if (!records && state == (pass_ << 8 | Read))
    return false;
  while (page.lock.exchange(true, std::memory_order_acquire))
    ;
  state = page.state.load(std::memory_order_relaxed);
  bool isFirst = state >> 8 != pass_;
  uint64_t flags = isFirst ? 0 : state & 255, wanted = writes ? Written : Read;
  records = writes || recordsAll_ || page.isMixed.load(std::memory_order_relaxed);
  bool recordsReads = recordsAll_ || page.isMixed.load(std::memory_order_relaxed);
  if ((flags | wanted) == (Read | Written) && !recordsReads) {
    page.isMixed = true;
    page.lock.store(false, std::memory_order_release);
    throw Restart{false};
  }
  size_t cells = kPage / grain_;
  if ((writes || recordsReads) && !page.writes) {
    page.writes = new Touch[kMostCells]();
    std::lock_guard guard(mutex_);
    owned_.push_back(number);
  }
  if (recordsReads && !page.reads)
    page.reads = new Reads[kMostCells]();
  if (isFirst) {
    if (page.writes)
      std::fill_n(page.writes, cells, Touch());
    if (page.reads)
      std::fill_n(page.reads, cells, Reads());
  }
  if (writes && !(flags & Written)) {
    if (!page.before)
      page.before = new uint8_t[kPage + kMarkBytes];
    std::memcpy(page.before, reinterpret_cast<const void *>(memory_.base() + number * kPage), kPage);
    std::memcpy(page.before + kPage, memory_.marks() + number * kPage / 16, kMarkBytes);
    std::lock_guard guard(mutex_);
    saved_.push_back(number);
  }
  page.state.store(pass_ << 8 | flags | wanted, std::memory_order_release);
  if (!records)
    page.lock.store(false, std::memory_order_release);
  return records;
}

void GlobalShadow::access(Warp &w, const Instruction &i, const Lanes64 &addresses, unsigned bytes, Kind kind) {
  struct Lock {
    Page *page = nullptr;
    ~Lock() { release(); }
    void release() {
      if (page)
        page->lock.store(false, std::memory_order_release);
      page = nullptr;
    }
  } lock;
  uint64_t flags = kind == Kind::Atomic || i.order != Order::Weak ? Mark::Strong : 0;
  Mark common = Mark::make(w.cta->clocks->stamp(), i.index, w.index, 0, flags);
  uint64_t current = ~uint64_t(0);
  bool records = false;
  for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    uint64_t at = addresses[lane] - memory_.base(), number = at / kPage;
    if (number != current) {
      lock.release();
      current = number;
      records = enter(pages_[number], number, kind != Kind::Read);
      if (records)
        lock.page = &pages_[number];
    }
    if (!records)
      continue;
    Mark me = common;
    me.bits |= lane << 6;
    record(w, i, pages_[number], addresses[lane], lane, bytes, kind, me);
  }
}

bool GlobalShadow::races(const Warp &w, Mark me, const Touch &earlier) const {
  if (!earlier.block || (me.isStrong() && earlier.mark.isStrong()))
    return false;
  const Cta &cta = *w.cta;
  uint64_t block = earlier.block - 1;
  if (block == cta.number) {
    if (earlier.mark.thread() == me.thread() && !(earlier.mark.bits & Mark::Several))
      return false;
    return earlier.mark.stamp() > cta.clocks->known(w.index, earlier.mark.warp());
  }
  const std::shared_ptr<const Knowledge> &known = cta.knowledge[w.index];
  if (!known)
    return true;
  auto stamps = known->blocks.find(block);
  if (stamps != known->blocks.end() && earlier.mark.stamp() <= stamps->second[earlier.mark.warp()] &&
      !(earlier.mark.bits & Mark::Several))
    return false;
  auto thread = known->threads.find(block << 10 | earlier.mark.thread());
  return thread == known->threads.end() || earlier.mark.stamp() > thread->second;
}

void GlobalShadow::found(Warp &w, unsigned lane, uint64_t address, Kind kind, const Touch &earlier, bool wasWrite) {
  Cta &cta = *w.cta;
  uint64_t block = earlier.block - 1;
  if (block != cta.number && !isSerial_)
    throw Restart{true};
  uint32_t line = cta.kernel.code[earlier.mark.instruction()].line;
  const auto &grid = cta.launch.grid;
  std::ostringstream text;
  text << (kind == Kind::Read    ? "read"
           : kind == Kind::Write ? "write"
                                 : "atomic")
       << " of " << grain_ << " bytes at 0x" << std::hex << address << std::dec << " of global memory (";
  DeviceMemory::Allocation allocation = memory_.find(address);
  text << "byte " << address - allocation.start << " of an allocation of " << allocation.end - allocation.start
       << ") races with the " << (wasWrite ? "write" : "read") << " of "
       << threadName(cta.launch, earlier.mark.thread()) << " of block (" << block % grid[0] << ", "
       << block / grid[0] % grid[1] << ", " << block / grid[0] / grid[1] << "), line " << line
       << (block == cta.number ? ": no barrier is between them" : ": no release and acquire order them");
  cta.find(w, lane, "global " + std::to_string(w.current->line) + " " + std::to_string(line), text.str());
}

void GlobalShadow::record(Warp &w, const Instruction &, Page &page, uint64_t address, unsigned lane, unsigned bytes,
                          Kind kind, Mark me) {
  Touch mine = {me, w.cta->number + 1};
  size_t first = (address - memory_.base()) % kPage / grain_;
  for (size_t n = 0; n < bytes / grain_; ++n) {
    Touch &write = page.writes[first + n];
    if (races(w, me, write))
      found(w, lane, address + n * grain_, kind, write, true);
    if (kind != Kind::Read) {
      if (page.reads) {
        Reads &reads = page.reads[first + n];
        for (const Touch *read : {&reads.last, &reads.otherWarp, &reads.otherBlock})
          if (races(w, me, *read)) {
            found(w, lane, address + n * grain_, kind, *read, false);
            break;
          }
        reads = {};
      }
      write = mine;
      continue;
    }
    Reads &reads = page.reads[first + n];
    Touch last = reads.last;
    if (last.block && last.block != mine.block) {
      reads.otherBlock = last;
      reads.otherWarp = {};
    } else if (last.block && last.mark.warp() != me.warp()) {
      reads.otherWarp = last;
    } else if (last.block && last.mark.stamp() > w.cta->clocks->known(w.index, w.index) &&
               (last.mark.thread() != me.thread() || last.mark.bits & Mark::Several)) {
      mine.mark.bits |= Mark::Several;
    }
    reads.last = mine;
    mine.mark = me;
  }
}

// "A Formal Analysis of the NVIDIA PTX Memory Consistency Model": a release, or a fence before a strong write, tells
// what the thread knows; an acquire, or a strong read before a fence, learns it.
static std::shared_ptr<const Knowledge> ownKnowledge(const Warp &w, uint32_t lanes) {
  const Cta &cta = *w.cta;
  auto result = std::make_shared<Knowledge>();
  if (cta.knowledge[w.index])
    *result = *cta.knowledge[w.index];
  result->blocks[cta.number] = cta.clocks->known(w.index);
  for (uint32_t rest = lanes; rest; rest &= rest - 1)
    result->threads[cta.number << 10 | w.index << 5 | static_cast<unsigned>(__builtin_ctz(rest))] = cta.clocks->stamp();
  return result;
}

static void add(std::shared_ptr<const Knowledge> &to, const std::shared_ptr<const Knowledge> &what) {
  if (!to) {
    to = what;
  } else if (to != what) {
    auto joined = std::make_shared<Knowledge>(*to);
    joined->join(*what);
    to = joined;
  }
}

void GlobalShadow::synchronize(Warp &w, const Instruction &i, const Lanes64 &addresses, bool reads, bool writes) {
  if (i.scope == Scope::Cta)
    return;
  Cta &cta = *w.cta;
  bool acquires = i.order == Order::Acquire || i.order == Order::AcquireRelease;
  bool releases = i.order == Order::Release || i.order == Order::AcquireRelease;
  for (uint32_t rest = w.exec; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    if (reads) {
      auto there = released_.find(addresses[lane]);
      // Who spins sees the same again and again.
      std::shared_ptr<const Knowledge> &last = (acquires ? cta.acquired : cta.seen)[w.index];
      if (there != released_.end() && there->second != last) {
        last = there->second;
        add(acquires ? cta.knowledge[w.index] : cta.unfenced[w.index], there->second);
      }
    }
    if (writes) {
      if (!reads) // a store ends what releases before it began, an atomic operation carries it on
        released_.erase(addresses[lane]);
      if (releases)
        add(released_[addresses[lane]], ownKnowledge(w, 1u << lane));
      else if (cta.fenced[w.index])
        add(released_[addresses[lane]], cta.fenced[w.index]);
    }
  }
  // What follows is not what was released.
  if (releases && writes)
    cta.clocks->next();
}

void GlobalShadow::fence(Warp &w) {
  Cta &cta = *w.cta;
  if (!cta.kernel.communicates)
    return;
  if (cta.unfenced[w.index])
    add(cta.knowledge[w.index], cta.unfenced[w.index]);
  cta.fenced[w.index] = ownKnowledge(w, w.exec);
  cta.clocks->next();
}

} // namespace kerf::emulator
