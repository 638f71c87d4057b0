// Several output files that appear together or not at all.
#ifndef KERF_CODEGEN_DRIVER_OUTPUTS_H
#define KERF_CODEGEN_DRIVER_OUTPUTS_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace kerf {

/// Files of one directory, written under temporary names in that directory and renamed once all are whole. What was
/// not committed is removed, also on a signal that LLVM handles, and a directory made for it too.
class Outputs {
public:
  Outputs() = default;
  Outputs(const Outputs &) = delete;
  Outputs &operator=(const Outputs &) = delete;
  ~Outputs();

  /// Whether `begin` can be expected to succeed, without making anything: so that a long compilation fails early.
  static llvm::Error check(llvm::StringRef directory);
  /// Makes the directory where there is none and checks that it can be written.
  llvm::Error begin(llvm::StringRef directory);
  /// The path to write the file `name` to, until `commit`.
  std::string add(llvm::StringRef name);
  /// Flushes every file to the disk and gives it its name.
  llvm::Error commit();

private:
  struct File {
    std::string temporary, path;
  };
  std::string directory;
  bool made = false;
  std::vector<File> files;
};

} // namespace kerf
#endif // KERF_CODEGEN_DRIVER_OUTPUTS_H
