#include "runtime/emulator/Findings.h"

#include <cstdio>
#include <cstdlib>

namespace kerf::emulator {

/// Texts that are kept; what is found after them is counted.
constexpr size_t kMostTexts = 256;

void Findings::add(const std::string &key, const std::string &text) {
  std::lock_guard lock(mutex_);
  ++count_;
  if (texts_.size() == kMostTexts || !keys_.insert(key).second)
    return;
  texts_.push_back(text);
  const char *print = std::getenv("KERF_EMULATOR_PRINT");
  if (print && *print && *print != '0')
    std::fprintf(stderr, "kerf-emulator: %s\n", text.c_str());
}

uint64_t Findings::count() const {
  std::lock_guard lock(mutex_);
  return count_;
}

std::string Findings::report() const {
  std::lock_guard lock(mutex_);
  std::string all;
  for (const std::string &text : texts_)
    all += text + "\n";
  return all;
}

void Findings::clear() {
  std::lock_guard lock(mutex_);
  count_ = 0;
  keys_.clear();
  texts_.clear();
}

} // namespace kerf::emulator
