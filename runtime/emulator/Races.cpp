#include "runtime/emulator/Races.h"

#include <algorithm>

namespace kerf::emulator {

void Clocks::update(unsigned warp) {
  least_[warp] = *std::min_element(known_[warp].begin(), known_[warp].begin() + static_cast<long>(known_.size()));
}

void Clocks::meet(unsigned warp) {
  known_[warp][warp] = stamp_++;
  update(warp);
}

void Clocks::arrive(unsigned warp, std::array<uint32_t, 32> &arrivals) {
  for (unsigned i = 0; i < known_.size(); ++i)
    arrivals[i] = std::max(arrivals[i], known_[warp][i]);
  arrivals[warp] = stamp_++;
}

void Clocks::leave(unsigned warp, const std::array<uint32_t, 32> &arrivals) {
  for (unsigned i = 0; i < known_.size(); ++i)
    known_[warp][i] = std::max(known_[warp][i], arrivals[i]);
  update(warp);
}

} // namespace kerf::emulator
