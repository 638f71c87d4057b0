//===- SafeTensors.h - the tensors of one safetensors file ------*- C++ -*-===//
//
// Opening reads and verifies the header only; data are read range by range, so a file may be larger than memory.
//
//   ┌──────────────┬───────────────┬──────────────────────────────────────┐
//   │ u64 LE: size │ header (JSON) │ data: tensors, without gaps, in order │
//   └──────────────┴───────────────┴──────────────────────────────────────┘
//
// Format: https://github.com/huggingface/safetensors (README, "Format").
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_SAFETENSORS_H
#define KERF_DIALECTS_IMPORT_SAFETENSORS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace kerf {

/// Element types that Kerf reads. Files may hold others; those are `Other` until somebody needs such a tensor.
enum class DType { BF16, F16, F32, Other };

/// The name safetensors uses: `BF16`, `F16`, `F32`; `other` for `Other`.
llvm::StringRef name(DType dtype);

/// `[2, 3]`, as messages write a shape.
std::string formatShape(llvm::ArrayRef<int64_t> shape);

/// One tensor as its file's header states it; verified.
struct TensorInfo {
  /// The tensor's name in the file.
  std::string name;
  /// The element type as the header spells it; differs from `name(dtype)` only for `DType::Other`.
  std::string dtypeName;
  /// The element type.
  DType dtype = DType::Other;
  /// The shape; empty for a scalar.
  llvm::SmallVector<int64_t, 4> shape;
  /// Where its bytes begin, counted from the beginning of the file.
  uint64_t offset = 0;
  /// Its size in bytes: the product of `shape` times the element size, for every known element type.
  uint64_t bytes = 0;
};

/// An open safetensors file. Move-only; closes the file when destroyed. Reading is safe from several threads.
class SafeTensorsFile {
public:
  /// Opens `path` (symbolic links are followed) and verifies its header: length, JSON, element types and shapes
  /// against byte ranges, no overlap, no gap, nothing behind the end. Reads no data. Fails with a reason, also for a
  /// Git LFS pointer.
  static llvm::Expected<SafeTensorsFile> open(llvm::StringRef path);

  SafeTensorsFile(SafeTensorsFile &&other) noexcept;
  SafeTensorsFile &operator=(SafeTensorsFile &&other) noexcept;
  ~SafeTensorsFile();

  /// The path it was opened by.
  llvm::StringRef path() const { return path_; }
  /// All tensors, in the order of their bytes.
  llvm::ArrayRef<TensorInfo> tensors() const { return tensors_; }
  /// The tensor called `name`, or null.
  const TensorInfo *find(llvm::StringRef name) const;
  /// Size of the file in bytes when it was opened.
  uint64_t fileBytes() const { return fileBytes_; }
  /// SHA-256 of the header.
  const std::array<uint8_t, 32> &headerHash() const { return headerHash_; }

  /// Reads `destination.size()` bytes that begin `begin` bytes into `tensor`, a tensor of this file. Fails if they are
  /// not all inside the tensor, or on a read error.
  llvm::Error read(const TensorInfo &tensor, uint64_t begin, llvm::MutableArrayRef<char> destination) const;

private:
  SafeTensorsFile() = default;
  llvm::Error readAt(uint64_t offset, llvm::MutableArrayRef<char> destination) const;
  llvm::Error parseHeader(llvm::StringRef header, uint64_t dataBytes);

  std::string path_;
  int fd = -1;
  uint64_t fileBytes_ = 0;
  std::vector<TensorInfo> tensors_;
  llvm::StringMap<size_t> index;
  std::array<uint8_t, 32> headerHash_ = {};
};

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_SAFETENSORS_H
