/// SHA-256 (FIPS 180-4) for the checks of a package; uses the CPU's SHA instructions where it has them.
#ifndef KERF_RUNTIME_SUPPORT_SHA256_H
#define KERF_RUNTIME_SUPPORT_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace kerf::rt {

/// A digest.
using Sha256Digest = std::array<uint8_t, 32>;

/// Hashes bytes that come in pieces.
class Sha256 {
public:
  /// Starts an empty message.
  Sha256();
  /// Appends bytes.
  void update(const void *data, size_t size);
  /// Ends the message; the object is spent.
  Sha256Digest finish();

private:
  uint32_t state_[8];
  uint8_t pending_[64];
  size_t pendingSize_ = 0;
  uint64_t total_ = 0;
};

/// Digest of one range of bytes.
Sha256Digest sha256(const void *data, size_t size);

/// Digest as 64 lower-case hexadecimal digits; `size` is 32, or less for an abbreviation.
std::string hexDigits(const uint8_t *bytes, size_t size);

} // namespace kerf::rt

#endif
