#include "runtime/emulator/Counts.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace kerf::emulator {

/// As the file names them, in the order of Class.
constexpr std::array kNames = {"mma",     "global_loads", "global_stores", "shared",  "async_copies", "atomics",
                               "integer", "float",        "exchange",      "control", "moves",        "other"};
static_assert(kNames.size() == static_cast<size_t>(Class::Other) + 1);

/// Whether one of the parts of `mnemonic` is any of `parts`.
template <size_t N> static bool has(std::string_view mnemonic, const std::array<std::string_view, N> &parts) {
  for (size_t dot = 0; dot != mnemonic.npos;) {
    mnemonic.remove_prefix(dot);
    if (mnemonic.starts_with('.'))
      mnemonic.remove_prefix(1);
    dot = mnemonic.find('.');
    for (std::string_view part : parts)
      if (mnemonic.substr(0, dot) == part)
        return true;
  }
  return false;
}

Class classify(std::string_view mnemonic) {
  std::string_view head = mnemonic.substr(0, mnemonic.find('.'));
  auto is = [&](auto... names) { return ((head == names) || ...); };
  if (is("mma"))
    return Class::Mma;
  if (is("ldmatrix"))
    return Class::Shared;
  if (is("cp"))
    return mnemonic.find("group") == mnemonic.npos && mnemonic.find("wait") == mnemonic.npos ? Class::AsyncCopy
                                                                                             : Class::Control;
  if (is("atom", "red"))
    return Class::Atomic;
  if (is("prefetch", "prefetchu"))
    return Class::GlobalLoad;
  if (is("ld", "st")) {
    if (has<1>(mnemonic, {"global"}))
      return head == "ld" ? Class::GlobalLoad : Class::GlobalStore;
    if (has<2>(mnemonic, {"shared", "shared::cta"}))
      return Class::Shared;
    return has<2>(mnemonic, {"param", "const"}) ? Class::Move : Class::Other;
  }
  if (is("mov", "cvta"))
    return Class::Move;
  if (is("shfl", "vote", "match", "redux", "activemask"))
    return Class::Exchange;
  if (is("bra", "ret", "exit", "trap", "bar", "barrier", "membar", "fence", "griddepcontrol", "nanosleep"))
    return Class::Control;
  return has<6>(mnemonic, {"f16", "f16x2", "bf16", "bf16x2", "f32", "f64"}) ? Class::Float : Class::Integer;
}

CountsFile::CountsFile(const std::string &path) : path_(path), file_(std::fopen(path.c_str(), "a"), std::fclose) {
  if (!file_)
    refuse("name a file that can be written");
}

void CountsFile::refuse(const char *what) const {
  std::fprintf(stderr, "kerf-emulator: KERF_EMULATOR_COUNTS must %s, got '%s': %s\n", what, path_.c_str(),
               std::strerror(errno));
  std::abort();
}

void CountsFile::add(const Launch &launch, const std::vector<uint64_t> &entered) {
  const std::vector<Instruction> &code = launch.kernel->code;
  std::array<uint64_t, kNames.size()> counts = {};
  // Each entry runs on through what follows, so an instruction runs as often as its block was entered before it.
  uint64_t running = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    running += entered[i];
    counts[static_cast<size_t>(code[i].kind)] += running;
    if (code[i].flags & Instruction::EndsBlock)
      running = 0;
  }
  std::string line = launch.kernel->name + " blocks=" + std::to_string(launch.blocks()) +
                     " threads=" + std::to_string(launch.threads()) +
                     " instructions=" + std::to_string(std::accumulate(counts.begin(), counts.end(), uint64_t(0)));
  for (size_t i = 0; i < counts.size(); ++i)
    line += std::string(" ") + kNames[i] + "=" + std::to_string(counts[i]);
  line += "\n";
  if (std::fputs(line.c_str(), file_.get()) < 0 || std::fflush(file_.get()))
    refuse("be a file with room for a line");
}

} // namespace kerf::emulator
