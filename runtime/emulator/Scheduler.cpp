#include "runtime/emulator/Cta.h"

#include <numeric>

namespace kerf::emulator {

void run(const Launch &launch, uint64_t &instructions, uint64_t &laneInstructions) {
  std::vector<uint64_t> order(launch.blocks());
  std::iota(order.begin(), order.end(), uint64_t(0));
  Random random(launch.seed);
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(i)]);
  for (uint64_t number : order) {
    Cta cta(launch, number);
    cta.run(0);
    for (const Warp &w : cta.warps) {
      instructions += w.instructions;
      laneInstructions += w.laneInstructions;
    }
  }
}

} // namespace kerf::emulator
