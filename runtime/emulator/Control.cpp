// Branches, barriers, and what orders memory.
#include "runtime/emulator/GlobalShadow.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

namespace kerf::emulator {
namespace {

constexpr uint8_t kStops = Instruction::EndsBlock | Instruction::Control, kJumps = kStops | Instruction::Jumps,
                  kLeaves = kStops | Instruction::Leaves;

void jump(Warp &w, const Instruction &i) { w.branch(i); }
void leave(Warp &w, const Instruction &i) { w.exit(i.index + 1); }
void trap(Warp &w, const Instruction &) {
  fault(w, CUDA_ERROR_LAUNCH_FAILED, static_cast<unsigned>(__builtin_ctz(w.exec)), "trap");
}
void nothing(Warp &, const Instruction &) {}
void fence(Warp &w, const Instruction &) { GlobalShadow::fence(w); }

/// An operand that must be the same in all executing lanes.
uint32_t uniform(Warp &w, int32_t o, const char *what) {
  w.need(w.undefined(o), what);
  const uint32_t *a = w.reg<uint32_t>(o);
  unsigned first = static_cast<unsigned>(__builtin_ctz(w.exec));
  for (uint32_t rest = w.exec; rest; rest &= rest - 1)
    if (a[__builtin_ctz(rest)] != a[first])
      fault(w, CUDA_ERROR_LAUNCH_FAILED, static_cast<unsigned>(__builtin_ctz(rest)),
            std::string("lanes of one warp differ in ") + what);
  return a[first];
}

void barrier(Warp &w, const Instruction &i) {
  if (w.exec != w.live) {
    uint32_t missing = w.live & ~w.exec;
    fault(w, CUDA_ERROR_LAUNCH_FAILED, static_cast<unsigned>(__builtin_ctz(missing ? missing : w.exec)),
          "a barrier that only some lanes of the warp came to; this thread did not");
  }
  uint32_t number = uniform(w, i.o[0], "the number of a barrier");
  uint32_t threads = i.operands > 1 && i.o[1] != -1 ? uniform(w, i.o[1], "the threads of a barrier") : 0;
  w.pc = i.index + 1;
  w.cta->arrive(w, i, number, threads, i.variant == 0);
}
void finishArrive(Instruction &i, const Parts &) { i.variant = 1; }

const Row kRows[] = {
    {"bra.uni?", "b", jump, nullptr, kJumps},
    {"ret|exit", "", leave, nullptr, kLeaves},
    {"ret.uni", "", leave, nullptr, kLeaves},
    {"trap", "", trap},
    {"bar.cta?.sync", "w?w", barrier, nullptr, kStops},
    {"barrier.cta?.sync.aligned?", "w?w", barrier, nullptr, kStops},
    {"bar.cta?.arrive", "ww", barrier, finishArrive, kStops},
    {"barrier.cta?.arrive.aligned?", "ww", barrier, finishArrive, kStops},
    {"membar.cta", "", nothing},
    {"membar.gl|sys", "", fence},
    {"fence.sc|acq_rel?.cta", "", nothing},
    {"fence.sc|acq_rel?.gpu|sys", "", fence},
    {"griddepcontrol.launch_dependents|wait", "", nothing},
    {"nanosleep.u32", "w", nothing},
};

} // namespace

std::span<const Row> controlRows() { return kRows; }

} // namespace kerf::emulator
