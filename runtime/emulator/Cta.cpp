#include "runtime/emulator/Cta.h"

#include "runtime/emulator/GlobalShadow.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <sstream>

namespace kerf::emulator {

/// What a warp runs before another may be drawn, at most.
constexpr uint64_t kLongestTurn = 4096;

Cta::Cta(const Launch &launch, uint64_t number)
    : launch(launch), kernel(*launch.kernel), number(number), random(launch.seed ^ (number * 0xd1342543de82ef95)) {
  random.next();
  id = {static_cast<unsigned>(number % launch.grid[0]), static_cast<unsigned>(number / launch.grid[0] % launch.grid[1]),
        static_cast<unsigned>(number / launch.grid[0] / launch.grid[1])};
  unsigned count = (launch.threads() + kLanes - 1) / kLanes;
  shared.resize(kernel.staticShared + launch.dynamicShared);
  local.resize(kernel.localBytes * kLanes * count);
  uint64_t units = kernel.units + 1;
  registers_.resize(units * kUnit * count + kUnit);
  masks_.resize((units + 2 * kernel.predicates) * count);
  if (launch.counts)
    entered.resize(kernel.code.size());
  copies.resize(count);
  committed.resize(count);
  warps.resize(count);
  clocks = std::make_unique<Clocks>(count);
  knowledge.resize(count);
  fenced.resize(count);
  unfenced.resize(count);
  acquired.resize(count);
  seen.resize(count);
  cells.resize((shared.size() + kernel.sharedGrain - 1) / kernel.sharedGrain);
  auto *first =
      reinterpret_cast<uint8_t *>((reinterpret_cast<uintptr_t>(registers_.data()) + kUnit - 1) & ~uintptr_t(kUnit - 1));
  for (unsigned i = 0; i < count; ++i) {
    Warp &w = warps[i];
    w.index = i;
    w.cta = this;
    w.base[0] = first + i * units * kUnit;
    w.base[1] = const_cast<uint8_t *>(kernel.constants.data());
    w.undef[0] = &masks_[i * (units + 2 * kernel.predicates)];
    w.undef[1] = const_cast<uint32_t *>(kernel.constantsUndefined.data());
    w.predicates = w.undef[0] + units;
    w.predicatesUndefined = w.predicates + kernel.predicates;
    startWarp(w);
  }
}

Cta::~Cta() = default;

void Cta::startWarp(Warp &w) {
  unsigned threads = launch.threads(), first = w.index * kLanes;
  w.live = w.mask = threads - first >= kLanes ? kAll : (1u << (threads - first)) - 1;
  std::fill_n(w.undef[0], kernel.units, kAll);
  std::fill_n(w.predicatesUndefined, kernel.predicates, kAll);
  w.predicatesUndefined[0] = w.predicatesUndefined[1] = 0;
  w.predicates[1] = kAll;
  for (const SpecialUse &special : kernel.specials) {
    std::string name = special.name;
    unsigned bytes = 4;
    if (name.size() > 2 && name[name.size() - 2] == '/') {
      bytes = static_cast<unsigned>(name.back() - '0');
      name.resize(name.size() - 2);
    }
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      unsigned thread = first + lane;
      unsigned axis = static_cast<unsigned>(name.back() - 'x');
      uint64_t value = 0;
      if (name.starts_with("%tid."))
        value = axis == 0   ? thread % launch.block[0]
                : axis == 1 ? thread / launch.block[0] % launch.block[1]
                            : thread / launch.block[0] / launch.block[1];
      else if (name.starts_with("%ntid."))
        value = launch.block[axis];
      else if (name.starts_with("%ctaid."))
        value = id[axis];
      else if (name.starts_with("%nctaid."))
        value = launch.grid[axis];
      else if (name == "%laneid")
        value = lane;
      else if (name == "%warpid")
        value = w.index;
      else if (name == "%nwarpid")
        value = warps.size();
      else if (name == "%smid")
        value = number % launch.multiprocessors;
      else if (name == "%nsmid")
        value = launch.multiprocessors;
      else if (name == "%lanemask_eq")
        value = 1u << lane;
      else if (name == "%lanemask_lt")
        value = (1u << lane) - 1;
      else if (name == "%lanemask_le")
        value = (1u << lane) | ((1u << lane) - 1);
      else if (name == "%lanemask_gt")
        value = ~((1u << lane) | ((1u << lane) - 1));
      else if (name == "%lanemask_ge")
        value = ~((1u << lane) - 1);
      else if (name == "%dynamic_smem_size")
        value = launch.dynamicShared;
      else if (name == "%total_smem_size")
        value = kernel.staticShared + launch.dynamicShared;
      if (bytes == 2)
        w.reg<uint16_t>(special.unit)[lane] = static_cast<uint16_t>(value);
      else if (bytes == 4)
        w.reg<uint32_t>(special.unit)[lane] = static_cast<uint32_t>(value);
      else
        w.reg<uint64_t>(special.unit)[lane] = value;
    }
    w.undefined(special.unit) = 0;
  }
}

bool Cta::run(uint64_t budget) {
  uint64_t taken = 0;
  for (;;) {
    uint32_t ready = 0, ended = 0;
    for (const Warp &w : warps) {
      ready |= static_cast<uint32_t>(w.state == Warp::Ready) << w.index;
      ended |= static_cast<uint32_t>(w.state == Warp::Exited) << w.index;
    }
    if (!ready) {
      if (ended == (warps.size() == 32 ? kAll : (1u << warps.size()) - 1))
        return true;
      deadlock();
    }
    if (budget && taken >= budget)
      return false;
    uint64_t pick = random.below(static_cast<uint64_t>(__builtin_popcount(ready)));
    for (; pick; --pick)
      ready &= ready - 1;
    Warp &w = warps[static_cast<unsigned>(__builtin_ctz(ready))];
    uint64_t before = w.instructions;
    w.run(1 + random.below(kLongestTurn));
    taken += w.instructions - before;
  }
}

void Cta::arrive(Warp &w, const Instruction &at, unsigned barrier, unsigned threads, bool waits) {
  if (barrier >= barriers.size())
    fault(w, CUDA_ERROR_LAUNCH_FAILED, 0, "barrier " + std::to_string(barrier) + " is not there: a block has 16");
  unsigned all = static_cast<unsigned>(warps.size()) * kLanes;
  if (threads == 0)
    threads = all;
  if (threads % kLanes || threads > all)
    fault(w, CUDA_ERROR_LAUNCH_FAILED, 0,
          "a barrier for " + std::to_string(threads) + " threads, which must be whole warps of the block's " +
              std::to_string(all));
  Barrier &b = barriers[barrier];
  if (b.arrived && b.expected != threads)
    fault(w, CUDA_ERROR_LAUNCH_FAILED, 0,
          "barrier " + std::to_string(barrier) + " for " + std::to_string(threads) + " threads, but warps came for " +
              std::to_string(b.expected));
  b.expected = threads;
  b.arrived += kLanes;
  clocks->arrive(w.index, b.arrivals);
  if (knowledge[w.index] && knowledge[w.index] != b.knowledge) {
    auto joined = std::make_shared<Knowledge>(*knowledge[w.index]);
    if (b.knowledge)
      joined->join(*b.knowledge);
    b.knowledge = joined;
  }
  (waits ? b.waiting : b.passed) |= 1u << w.index;
  if (waits)
    w.state = Warp::AtBarrier;
  if (b.arrived < b.expected)
    return;
  for (uint32_t rest = b.waiting; rest; rest &= rest - 1) {
    unsigned other = static_cast<unsigned>(__builtin_ctz(rest));
    warps[other].state = Warp::Ready;
    clocks->leave(other, b.arrivals);
    if (b.knowledge) // its own included
      knowledge[other] = b.knowledge;
  }
  b = {};
}

void Cta::land(Warp &w, uint32_t lanes, const std::array<uint32_t, kLanes> &before) {
  std::vector<PendingCopy> &list = copies[w.index];
  for (PendingCopy &copy : list) {
    uint32_t done = 0;
    for (uint32_t rest = copy.lanes & lanes; rest; rest &= rest - 1) {
      unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
      if (copy.group[lane] >= before[lane])
        continue;
      done |= 1u << lane;
      // From now on it is like a write of this thread.
      Mark begun = Mark::make(Mark::kInFlight, copy.instruction->index, w.index, lane, 0);
      Mark waited = Mark::make(clocks->stamp(), copy.instruction->index, w.index, lane, 0);
      Cell *cell = &cells[copy.to[lane] / kernel.sharedGrain];
      for (unsigned n = copy.bytes / kernel.sharedGrain; n; --n, ++cell)
        if ((cell->write.bits & ~Mark::Undefined) == begun.bits)
          cell->write.bits = waited.bits | (cell->write.bits & Mark::Undefined);
      if (copy.landed)
        continue;
      uint8_t *to = shared.data() + copy.to[lane];
      std::memcpy(to, reinterpret_cast<const void *>(copy.from[lane]), copy.sourceBytes[lane]);
      std::memset(to + copy.sourceBytes[lane], 0, copy.bytes - copy.sourceBytes[lane]);
    }
    copy.lanes &= ~done;
  }
  std::erase_if(list, [](const PendingCopy &copy) { return !copy.lanes; });
}

void Cta::deadlock() {
  std::ostringstream text;
  text << "kernel " << kernel.name << ": block (" << id[0] << ", " << id[1] << ", " << id[2]
       << ") is stuck: no warp can go on";
  for (const Warp &w : warps) {
    text << "\n  warp " << w.index;
    if (w.state == Warp::Exited) {
      text << " has ended";
    } else {
      for (unsigned b = 0; b < barriers.size(); ++b)
        if (barriers[b].waiting >> w.index & 1)
          text << " waits at barrier " << b << ", line " << w.current->line << ", where " << barriers[b].arrived
               << " of " << barriers[b].expected << " threads have come";
    }
  }
  throw Fault{CUDA_ERROR_LAUNCH_TIMEOUT, text.str()};
}

void Cta::find(const Warp &w, unsigned lane, const std::string &key, const std::string &text) {
  ++foundCount;
  if (found.size() < 64 && keys_.insert(key).second)
    found.push_back({kernel.name + ": " + key, place(w, *w.current, lane) + ": " + text});
}

std::string threadName(const Launch &launch, unsigned thread) {
  return "thread (" + std::to_string(thread % launch.block[0]) + ", " +
         std::to_string(thread / launch.block[0] % launch.block[1]) + ", " +
         std::to_string(thread / launch.block[0] / launch.block[1]) + ")";
}

std::string place(const Warp &w, const Instruction &instruction, unsigned lane) {
  const Cta &cta = *w.cta;
  const Launch &launch = cta.launch;
  unsigned thread = w.index * kLanes + lane;
  std::ostringstream text;
  text << "kernel " << cta.kernel.name << ", line " << instruction.line;
  if (instruction.index < cta.kernel.locations.size() && cta.kernel.locations[instruction.index].second) {
    auto [file, line] = cta.kernel.locations[instruction.index];
    auto name = cta.kernel.files.find(file);
    text << " (" << (name == cta.kernel.files.end() ? "file " + std::to_string(file) : name->second) << ":" << line
         << ")";
  }
  text << ": " << threadName(launch, thread) << " of block (" << cta.id[0] << ", " << cta.id[1] << ", " << cta.id[2]
       << ")";
  return text.str();
}

void fault(const Warp &w, CUresult code, unsigned lane, const std::string &text) {
  throw Fault{code, place(w, *w.current, lane) + ": " + text};
}

} // namespace kerf::emulator
