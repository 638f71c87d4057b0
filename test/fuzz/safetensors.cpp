// A safetensors file: refused with a reason, or tensors that lie inside it, side by side, and can be read.
// Input: two bytes that say how long the data are, then the header; with a first byte of 0xff, the whole file as it is.
#include "dialects/import/SafeTensors.h"
#include "test/fuzz/Fuzz.h"

#include "llvm/Support/Endian.h"

using namespace kerf;
using kerf::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::MemoryFile file;
  llvm::StringRef input(reinterpret_cast<const char *>(data), size);
  if (input.consume_front("\xff")) {
    file.write(input);
  } else {
    if (size < 2)
      return -1;
    const uint64_t dataBytes = llvm::support::endian::read16le(data);
    std::string bytes(8, '\0');
    llvm::support::endian::write64le(bytes.data(), size - 2);
    bytes += input.drop_front(2);
    file.write(bytes);
    file.extend(bytes.size() + dataBytes);
  }

  llvm::Expected<SafeTensorsFile> opened = SafeTensorsFile::open(file.path());
  if (!opened) {
    must(!llvm::toString(opened.takeError()).empty(), "a refusal says why");
    return 0;
  }
  uint64_t end = 0;
  for (const TensorInfo &tensor : opened->tensors()) {
    must(opened->find(tensor.name) == &tensor, "a tensor is found by its name");
    must(tensor.bytes <= opened->fileBytes() && tensor.offset <= opened->fileBytes() - tensor.bytes,
         "a tensor lies inside the file");
    must(!end || tensor.offset == end, "tensors lie side by side");
    end = tensor.offset + tensor.bytes;
    std::string bytes(tensor.bytes, '\0');
    must(!opened->read(tensor, 0, {bytes.data(), bytes.size()}), "a tensor can be read");
    char beyond[1];
    llvm::Error error = opened->read(tensor, tensor.bytes, beyond);
    must(bool(error), "nothing behind a tensor can be read");
    llvm::consumeError(std::move(error));
  }
  must(opened->tensors().empty() || end == opened->fileBytes(), "the last tensor ends the file");
  return 0;
}
