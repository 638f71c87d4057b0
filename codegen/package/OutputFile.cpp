//===- OutputFile.cpp - a file that is written whole or not at all --------===//
#include "codegen/package/OutputFile.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Errno.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace llvm;
using namespace kerf;

namespace {

// What a user can do about it.
StringRef advice(int error) {
  switch (error) {
  case ENOSPC:
  case EDQUOT:
    return "; free space or choose another output directory";
  case EACCES:
  case EPERM:
  case EROFS:
    return "; choose an output directory that can be written to";
  case ENOENT:
  case ENOTDIR:
    return "; make the output directory first";
  case EFBIG:
    return "; the file system or a limit of the shell (ulimit -f) allows no file of that size";
  default:
    return "";
  }
}

} // namespace

Error OutputFile::failure(const Twine &doing, int error) const {
  return createStringError(std::error_code(error, std::generic_category()),
                           "cannot " + doing + " '" + path + "': " + StringRef(sys::StrError(error)).lower() +
                               advice(error));
}

Expected<OutputFile> OutputFile::create(StringRef path) {
  OutputFile file;
  file.path = path.str();
  do {
    file.fd = ::open(file.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  } while (file.fd < 0 && errno == EINTR);
  if (file.fd < 0)
    return file.failure("create", errno);
  // A device would be removed on a failure.
  struct stat status;
  if (::fstat(file.fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(file.fd, -1));
    return createStringError("output must be a regular file, got '" + Twine(path) + "'");
  }
  return file;
}

OutputFile::OutputFile(OutputFile &&other) noexcept : path(std::move(other.path)), fd(std::exchange(other.fd, -1)) {}

OutputFile &OutputFile::operator=(OutputFile &&other) noexcept {
  if (this != &other) {
    discard();
    path = std::move(other.path);
    fd = std::exchange(other.fd, -1);
  }
  return *this;
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() {
  if (fd < 0)
    return;
  ::close(std::exchange(fd, -1));
  ::unlink(path.c_str());
}

Error OutputFile::reserve(uint64_t bytes) {
  // Not posix_fallocate: where the file system cannot reserve, glibc would write zeros over the whole file.
  while (::fallocate(fd, 0, 0, off_t(bytes)) != 0) {
    if (errno == EINTR)
      continue;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
      return failure("take " + Twine(bytes) + " bytes of disk for", errno);
    break;
  }
  if (::ftruncate(fd, off_t(bytes)) != 0)
    return failure("make room for " + Twine(bytes) + " bytes in", errno);
  return Error::success();
}

Error OutputFile::write(uint64_t offset, ArrayRef<char> data) {
  while (!data.empty()) {
    const ssize_t written = ::pwrite(fd, data.data(), data.size(), off_t(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return failure("write", written < 0 ? errno : ENOSPC);
    offset += written;
    data = data.drop_front(written);
  }
  return Error::success();
}

Error OutputFile::complete() {
  if (::fsync(fd) != 0)
    return failure("bring to the disk", errno);
  // Network file systems tell a full disk here.
  if (::close(fd) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    fd = -1;
    return failure("write", error);
  }
  fd = -1;
  return Error::success();
}
