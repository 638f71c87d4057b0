#include "codegen/driver/Outputs.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"

#include <fcntl.h>
#include <unistd.h>

using namespace kerf;

Outputs::~Outputs() {
  for (const File &file : files) {
    llvm::sys::fs::remove(file.temporary);
    llvm::sys::DontRemoveFileOnSignal(file.temporary);
  }
  // Fails, as it should, where something lies in it.
  if (made)
    (void)llvm::sys::fs::remove(directory);
}

llvm::Error Outputs::check(llvm::StringRef directory) {
  // Of a directory that is still to be made, the nearest one that is there decides.
  llvm::StringRef nearest = directory;
  while (!llvm::sys::fs::exists(nearest)) {
    nearest = llvm::sys::path::parent_path(nearest);
    if (nearest.empty())
      nearest = ".";
  }
  if (!llvm::sys::fs::is_directory(nearest))
    return llvm::createStringError("the output directory must be a directory, but %s is a file; choose another with -o",
                                   nearest.str().c_str());
  if (std::error_code error = llvm::sys::fs::access(nearest, llvm::sys::fs::AccessMode::Write))
    return llvm::createStringError(error, "cannot write to the output directory %s: %s; choose another with -o",
                                   nearest.str().c_str(), error.message().c_str());
  return llvm::Error::success();
}

llvm::Error Outputs::begin(llvm::StringRef path) {
  directory = path.str();
  if (llvm::Error error = check(directory))
    return error;
  made = !llvm::sys::fs::exists(directory);
  if (std::error_code error = llvm::sys::fs::create_directories(directory, true, llvm::sys::fs::all_all))
    return llvm::createStringError(error, "cannot make the output directory %s: %s; choose another with -o",
                                   directory.c_str(), error.message().c_str());
  return llvm::Error::success();
}

std::string Outputs::add(llvm::StringRef name) {
  llvm::SmallString<128> path(directory), temporary(directory);
  llvm::sys::path::append(path, name);
  llvm::sys::path::append(temporary, "." + name + "." + std::to_string(llvm::sys::Process::getProcessId()) + ".tmp");
  llvm::sys::RemoveFileOnSignal(temporary);
  files.push_back({temporary.str().str(), path.str().str()});
  return files.back().temporary;
}

/// Waits until the file or directory is on the disk.
static std::error_code flush(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return std::error_code(errno, std::generic_category());
  std::error_code error;
  if (::fsync(descriptor) != 0)
    error = std::error_code(errno, std::generic_category());
  ::close(descriptor);
  return error;
}

llvm::Error Outputs::commit() {
  for (const File &file : files)
    if (std::error_code error = flush(file.temporary))
      return llvm::createStringError(error, "cannot write %s: %s", file.path.c_str(), error.message().c_str());
  for (const File &file : files) {
    if (std::error_code error = llvm::sys::fs::rename(file.temporary, file.path))
      return llvm::createStringError(error, "cannot give %s its name: %s", file.path.c_str(), error.message().c_str());
    llvm::sys::DontRemoveFileOnSignal(file.temporary);
  }
  files.clear();
  made = false;
  flush(directory);
  return llvm::Error::success();
}
