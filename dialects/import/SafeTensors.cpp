//===- SafeTensors.cpp - the tensors of one safetensors file --------------===//

#include "dialects/import/SafeTensors.h"

#include "dialects/import/Json.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

using namespace kerf;
using namespace llvm;

/// The longest header that the format allows.
static constexpr uint64_t kMaxHeaderBytes = 100'000'000;

StringRef kerf::name(DType dtype) {
  switch (dtype) {
  case DType::BF16:
    return "BF16";
  case DType::F16:
    return "F16";
  case DType::F32:
    return "F32";
  case DType::Other:
    return "other";
  }
  llvm_unreachable("all types are named above");
}

std::string kerf::formatShape(ArrayRef<int64_t> shape) {
  return "[" + join(map_range(shape, [](int64_t extent) { return std::to_string(extent); }), ", ") + "]";
}

/// Bits of one element, 0 for a type that this version does not know (its size cannot be verified).
static unsigned elementBits(StringRef dtype) {
  return StringSwitch<unsigned>(dtype)
      .Case("F4", 4)
      .Cases({"F6_E2M3", "F6_E3M2"}, 6)
      .Cases({"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"}, 8)
      .Cases({"U16", "I16", "F16", "BF16"}, 16)
      .Cases({"U32", "I32", "F32"}, 32)
      .Cases({"U64", "I64", "F64", "C64"}, 64)
      .Default(0);
}

SafeTensorsFile::SafeTensorsFile(SafeTensorsFile &&other) noexcept { *this = std::move(other); }

SafeTensorsFile &SafeTensorsFile::operator=(SafeTensorsFile &&other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd, other.fd);
  std::swap(fileBytes_, other.fileBytes_);
  std::swap(tensors_, other.tensors_);
  std::swap(index, other.index);
  std::swap(headerHash_, other.headerHash_);
  return *this;
}

SafeTensorsFile::~SafeTensorsFile() {
  if (fd >= 0)
    ::close(fd);
}

const TensorInfo *SafeTensorsFile::find(StringRef name) const {
  auto it = index.find(name);
  return it == index.end() ? nullptr : &tensors_[it->second];
}

Error SafeTensorsFile::readAt(uint64_t offset, MutableArrayRef<char> destination) const {
  while (!destination.empty()) {
    // Linux reads at most 2 GiB less one page at once.
    size_t piece = std::min<size_t>(destination.size(), 1u << 30);
    ssize_t got = ::pread(fd, destination.data(), piece, offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return importError(path_ + ": cannot read at byte " + Twine(offset) + ": " + sys::StrError());
    if (got == 0)
      return importError(path_ + ": must have " + Twine(fileBytes_) + " bytes as when it was opened, ends at byte " +
                         Twine(offset));
    destination = destination.drop_front(got);
    offset += got;
  }
  return Error::success();
}

Error SafeTensorsFile::read(const TensorInfo &tensor, uint64_t begin, MutableArrayRef<char> destination) const {
  if (begin > tensor.bytes || destination.size() > tensor.bytes - begin)
    return importError(path_ + ": a read of '" + tensor.name + "' must stay within its " + Twine(tensor.bytes) +
                       " bytes, got " + Twine(destination.size()) + " bytes at " + Twine(begin));
  return readAt(tensor.offset + begin, destination);
}

Expected<SafeTensorsFile> SafeTensorsFile::open(StringRef path) {
  SafeTensorsFile file;
  file.path_ = path.str();
  // Not blocking: opening a FIFO must not wait for a writer.
  file.fd = ::open(file.path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (file.fd < 0 || ::fstat(file.fd, &status) < 0)
    return importError(path + ": cannot be opened: " + sys::StrError());
  if (!S_ISREG(status.st_mode))
    return importError(path + ": must be a regular file");
  file.fileBytes_ = status.st_size;

  char head[40];
  size_t headBytes = std::min<uint64_t>(sizeof(head), file.fileBytes_);
  if (Error error = file.readAt(0, MutableArrayRef(head, headBytes)))
    return std::move(error);
  if (isGitLfsPointer(StringRef(head, headBytes)))
    return gitLfsPointerError(path);
  if (headBytes < 8)
    return importError(path + ": must begin with the 8-byte length of its header, got a file of " + Twine(headBytes) +
                       " bytes; it is truncated, download it again");
  uint64_t headerBytes = support::endian::read64le(head);
  if (headerBytes < 2 || headerBytes > kMaxHeaderBytes)
    return importError(path + ": the header must have 2 to " + Twine(kMaxHeaderBytes) + " bytes, got " +
                       Twine(headerBytes) + "; it is not a safetensors file");
  if (headerBytes > file.fileBytes_ - 8)
    return importError(path + ": the header must lie inside the file, got a header of " + Twine(headerBytes) +
                       " bytes in a file of " + Twine(file.fileBytes_) + "; it is truncated, download it again");
  std::string header(headerBytes, '\0');
  if (Error error = file.readAt(8, MutableArrayRef(header.data(), header.size())))
    return std::move(error);
  file.headerHash_ = SHA256::hash(arrayRefFromStringRef(header));
  if (Error error = file.parseHeader(header, file.fileBytes_ - 8 - headerBytes))
    return std::move(error);
  return std::move(file);
}

/// Reads the members of one tensor's entry. Offsets stay relative to the data.
static void readTensor(ObjectReader &entry, TensorInfo &tensor) {
  tensor.dtypeName = entry.string("dtype");
  tensor.dtype = StringSwitch<DType>(tensor.dtypeName)
                     .Case("BF16", DType::BF16)
                     .Case("F16", DType::F16)
                     .Case("F32", DType::F32)
                     .Default(DType::Other);
  constexpr IntRange sizes{0, std::numeric_limits<int64_t>::max()};
  for (StringRef key : {"shape", "data_offsets"})
    if (!entry.has(key))
      entry.wrong(key, "be an array of integers");
  for (int64_t extent : entry.integerOrList("shape", sizes))
    tensor.shape.push_back(extent);
  std::vector<int64_t> range = entry.integerOrList("data_offsets", sizes);
  entry.finish("a tensor has dtype, shape and data_offsets");
  if (range.size() != 2 || range[0] > range[1])
    return entry.wrong("data_offsets", "be [begin, end] with begin not above end");
  tensor.offset = range[0];
  tensor.bytes = range[1] - range[0];

  unsigned bits = elementBits(tensor.dtypeName);
  if (!bits)
    return;
  uint64_t expected = bits;
  // A zero extent makes the size zero whatever the others are, so it is looked for before they can overflow.
  if (is_contained(tensor.shape, 0))
    expected = 0;
  for (int64_t extent : tensor.shape) {
    bool overflow = false;
    expected = SaturatingMultiply<uint64_t>(expected, extent, &overflow);
    if (overflow)
      return entry.problem("shape " + formatShape(tensor.shape) + " must fit in 64 bits");
  }
  if (expected % 8)
    entry.problem("shape " + formatShape(tensor.shape) + " of " + tensor.dtypeName +
                  " must have a whole number of bytes, got " + Twine(expected) + " bits");
  else if (expected / 8 != tensor.bytes)
    entry.problem("shape " + formatShape(tensor.shape) + " of " + tensor.dtypeName + " must have " +
                  Twine(expected / 8) + " bytes, got " + Twine(tensor.bytes));
}

Error SafeTensorsFile::parseHeader(StringRef header, uint64_t dataBytes) {
  std::string where = sys::path::filename(path_).str();
  Expected<JsonDocument> document = JsonDocument::parse(where, header, {kMaxHeaderBytes, 4});
  if (!document)
    return document.takeError();
  Problems problems;
  std::vector<IgnoredKey> ignored;
  ObjectReader reader(where, document->root(), problems, ignored);
  ObjectReader metadata = reader.object("__metadata__");
  metadata.forEach([&](StringRef key, simdjson::dom::element value) {
    if (!value.is_string())
      metadata.wrong(key, "be a string");
  });
  reader.forEach([&](StringRef key, simdjson::dom::element value) {
    if (key == "__metadata__")
      return;
    TensorInfo &tensor = tensors_.emplace_back();
    tensor.name = key.str();
    ObjectReader entry(where + ": tensor '" + key.str() + "'", value, problems, ignored);
    readTensor(entry, tensor);
  });
  if (Error error = problems.take())
    return error;

  llvm::sort(tensors_, [](const TensorInfo &a, const TensorInfo &b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  uint64_t end = 0;
  for (auto [position, tensor] : enumerate(tensors_)) {
    if (tensor.offset != end)
      return importError(path_ + ": tensor '" + tensor.name + "' must begin at byte " + Twine(end) +
                         " of the data, where the one before it ends, got " + Twine(tensor.offset) +
                         (tensor.offset < end ? "; tensors overlap" : "; there is a gap"));
    end += tensor.bytes;
    tensor.offset += fileBytes_ - dataBytes;
    index[tensor.name] = position;
  }
  if (end > dataBytes)
    return importError(path_ + ": must have " + Twine(end) + " bytes of data, got " + Twine(dataBytes) +
                       "; it is truncated, download it again");
  if (end < dataBytes)
    return importError(path_ + ": must end with its last tensor at byte " + Twine(end) + " of the data, got " +
                       Twine(dataBytes) + " bytes");
  return Error::success();
}
