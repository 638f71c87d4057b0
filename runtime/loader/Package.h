/// MODEL.kerf: mapped, and checked before anything in it is used.
#ifndef KERF_RUNTIME_LOADER_PACKAGE_H
#define KERF_RUNTIME_LOADER_PACKAGE_H

#include "runtime/schema/package_generated.h"
#include "runtime/support/Memory.h"

#include <string>

namespace kerf::rt {

/// A verified package. Every offset, size and count that the manifest states has been checked against the file and
/// against the others; a file that fails is refused with a message that names file, field, expected and found.
class Package {
public:
  /// Maps and checks `path`; throws KERF_IO or KERF_BAD_ARTIFACT.
  explicit Package(const std::string &path);

  /// The manifest; vectors and tables marked (required) in the schema are there.
  const schema::Manifest &manifest() const { return *manifest_; }
  /// First byte of a weight; a multiple of 64.
  const uint8_t *weight(uint32_t index) const;
  /// Sum of the weights' sizes.
  uint64_t weightBytes() const { return weightBytes_; }
  /// Length of preamble and manifest.
  uint64_t manifestBytes() const { return manifestBytes_; }
  /// Length of the file.
  uint64_t fileBytes() const { return file_.size(); }
  /// As given.
  const std::string &path() const { return file_.path(); }
  /// Reads every weight and compares its SHA-256; throws KERF_BAD_ARTIFACT with the name of the first that differs.
  void verifyWeights() const;
  /// Asks the system to read the weights ahead.
  void readAhead() const;
  /// Gives back the memory that a weight takes now, where it is not read again soon.
  void release(uint32_t index) const;

private:
  MappedFile file_;
  const schema::Manifest *manifest_ = nullptr;
  uint64_t manifestBytes_ = 0;
  uint64_t weightBytes_ = 0;
};

/// Text of a manifest string that may be missing.
inline const char *textOr(const flatbuffers::String *text, const char *otherwise) {
  return text ? text->c_str() : otherwise;
}

} // namespace kerf::rt

#endif
