//===- OutputFile.h - a file that is written whole or not at all -*- C++ -*-===//
#ifndef KERF_CODEGEN_PACKAGE_OUTPUTFILE_H
#define KERF_CODEGEN_PACKAGE_OUTPUTFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace kerf {

/// A file under construction; it is removed again unless it is completed. Messages say what to do about a full disk or
/// a directory that cannot be written. Move-only.
class OutputFile {
public:
  /// Creates or empties the file `path`.
  static llvm::Expected<OutputFile> create(llvm::StringRef path);

  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&other) noexcept;
  /// Removes the file if it was not completed.
  ~OutputFile();

  /// Takes `bytes` of disk for the file, so that a full disk shows before the work is done, and makes it that long.
  llvm::Error reserve(uint64_t bytes);
  /// Writes `data` at `offset`. Threads may write at the same time.
  llvm::Error write(uint64_t offset, llvm::ArrayRef<char> data);
  /// Brings the file to the disk and closes it. The object is then spent.
  llvm::Error complete();

private:
  OutputFile() = default;
  llvm::Error failure(const llvm::Twine &doing, int error) const;
  void discard();

  std::string path;
  int fd = -1;
};

} // namespace kerf

#endif // KERF_CODEGEN_PACKAGE_OUTPUTFILE_H
