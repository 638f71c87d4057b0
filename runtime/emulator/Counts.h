/// Instructions by class, and the file that KERF_EMULATOR_COUNTS names.
#ifndef KERF_RUNTIME_EMULATOR_COUNTS_H
#define KERF_RUNTIME_EMULATOR_COUNTS_H

#include "runtime/emulator/Cta.h"

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::emulator {

/// What an instruction is, by its mnemonic: docs/emulator.md says what belongs to each class.
enum class Class : uint8_t {
  Mma,
  GlobalLoad,
  GlobalStore,
  Shared,
  AsyncCopy,
  Atomic,
  Integer,
  Float,
  Exchange,
  Control,
  Move,
  Other,
};
Class classify(std::string_view mnemonic);

/// The file to which each launch adds a line. What cannot be opened or written ends the process with a message.
class CountsFile {
public:
  explicit CountsFile(const std::string &path);
  /// `entered`: by instruction, how often a warp began to run there and went on to the next end of a block.
  void add(const Launch &launch, const std::vector<uint64_t> &entered);

private:
  [[noreturn]] void refuse(const char *what) const;
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file_;
};

} // namespace kerf::emulator

#endif
