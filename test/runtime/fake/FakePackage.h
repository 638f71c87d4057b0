/// Writes packages for the hand-written library, whole or broken on purpose.
#ifndef KERF_TEST_RUNTIME_FAKE_FAKEPACKAGE_H
#define KERF_TEST_RUNTIME_FAKE_FAKEPACKAGE_H

#include "runtime/schema/Preamble.h"
#include "runtime/schema/package_generated.h"
#include "test/runtime/fake/FakeLibrary.h"

#include <string>

namespace kerf::test {

/// A package before it is written: every part may be changed.
struct FakePackage {
  schema::ManifestT manifest;
  FakeWeights weights;

  /// A package that fits fakeLibrary(), with a byte tokenizer whose id is the byte, and one end token.
  explicit FakePackage(uint64_t seed = 1);
  /// Lays out the weights after the manifest and returns the whole file. A weight's offset that is not 0 is kept.
  std::string bytes() const;
  /// Writes bytes() to a file.
  void write(const std::string &path) const;
};

/// Writes text to a file; fails the program when that does not work.
void writeFile(const std::string &path, const std::string &bytes);
/// The whole file.
std::string readFile(const std::string &path);
/// Puts a manifest that was changed as bytes back into a file: preamble with the right hash, then `manifest`, then
/// zeros up to `size`.
std::string withManifest(const std::string &manifest, size_t size);

} // namespace kerf::test

#endif
