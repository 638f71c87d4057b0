/// What was found, as text for people.
#ifndef KERF_RUNTIME_EMULATOR_FINDINGS_H
#define KERF_RUNTIME_EMULATOR_FINDINGS_H

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace kerf::emulator {

/// Findings of launches, in their order. Repetitions, which have the same key, are counted but told once.
class Findings {
public:
  /// Adds one; `key` names what makes it the same as another: its kind and lines.
  void add(const std::string &key, const std::string &text);
  /// Repetitions included.
  uint64_t count() const;
  /// All of them, a paragraph each.
  std::string report() const;
  void clear();

private:
  mutable std::mutex mutex_;
  uint64_t count_ = 0;
  std::set<std::string> keys_;
  std::vector<std::string> texts_;
};

} // namespace kerf::emulator

#endif
