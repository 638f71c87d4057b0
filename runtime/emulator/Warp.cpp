#include "runtime/emulator/Warp.h"

#include "runtime/emulator/Cta.h"

#include <algorithm>

namespace kerf::emulator {

/// The current group is where it waits for the others, or has ended: the next one runs. Lanes that ended meanwhile are
/// gone from it.
void Warp::next() {
  do {
    Group group = others.back();
    others.pop_back();
    pc = group.pc;
    mask = group.mask & live;
    join = group.join;
  } while (!mask);
}

void Warp::run(uint64_t budget) {
  const Instruction *code = cta->kernel.code.data();
  uint64_t end = instructions + budget;
  while (state == Ready && instructions < end) {
    while (pc == join)
      next();
    const Instruction *i = code + pc;
    if (!cta->entered.empty())
      ++cta->entered[pc];
    uint64_t taken = 0, lanes = 0;
    for (;; ++i) {
      uint32_t active = mask;
      current = i;
      if (i->guard >= 0) {
        exec = active;
        need(predicateUndefined(i->guard), "whether an instruction executes");
        active &= predicate(i->guard);
      }
      ++taken;
      lanes += static_cast<unsigned>(__builtin_popcount(active));
      exec = active;
      if (i->flags & Instruction::EndsBlock)
        break;
      if (active)
        i->run(*this, *i);
    }
    instructions += taken;
    laneInstructions += lanes;
    bool jumps = exec && i->flags & Instruction::Control;
    if (exec)
      i->run(*this, *i);
    if (!jumps)
      pc = i->index + 1;
  }
}

void Warp::branch(const Instruction &at) {
  uint32_t stay = mask & ~exec;
  if (stay) {
    // All of them go on where the ways meet, first the one way, then the other.
    others.push_back({at.join, mask, join});
    others.push_back({at.index + 1, stay, at.join});
    mask = exec;
    join = at.join;
  }
  pc = at.target;
}

void Warp::exit(uint32_t after) {
  live &= ~exec;
  mask &= ~exec;
  pc = after;
  if (!live)
    state = Exited;
  else if (!mask)
    next();
}

void Warp::foundUndefined(uint32_t lanes, const char *use) {
  fault(*this, CUDA_ERROR_LAUNCH_FAILED, static_cast<unsigned>(__builtin_ctz(lanes)),
        std::string("an undefined value decides ") + use);
}

} // namespace kerf::emulator
