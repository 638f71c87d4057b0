/// The first 64 bytes of MODEL.kerf, written by the packager and read by the loader.
///
///     offset  size  field
///          0     8  magic: 89 'K' 'E' 'R' 'F' 0D 0A 1A (a text-mode copy breaks it)
///          8     4  preamble version
///         12     4  preamble bytes (64)
///         16     8  manifest offset: 64
///         24     8  manifest bytes
///         32    32  SHA-256 of the manifest bytes
///
/// All integers are little endian. The manifest is a flatbuffer `kerf.schema.Manifest` with the identifier "KERF".
/// After it come the segments, each at a multiple of kSegmentAlignment; the gaps are zero. A weight starts at a
/// multiple of KERF_ALIGNMENT inside a segment.
#ifndef KERF_RUNTIME_SCHEMA_PREAMBLE_H
#define KERF_RUNTIME_SCHEMA_PREAMBLE_H

#include <cstdint>
#include <cstring>

namespace kerf::schema {

/// First bytes of every package.
inline constexpr uint8_t kMagic[8] = {0x89, 'K', 'E', 'R', 'F', 0x0d, 0x0a, 0x1a};

/// Raised when the preamble's layout changes; a reader refuses any other.
inline constexpr uint32_t kPreambleVersion = 1;

/// What the packager writes to Manifest.schema_major and schema_minor. A reader refuses another major; a newer minor
/// only appends fields.
inline constexpr uint32_t kSchemaMajor = 1;
inline constexpr uint32_t kSchemaMinor = 2;

/// Start of the manifest.
inline constexpr uint64_t kManifestOffset = 64;

/// Segments start at multiples of this, so that each can be mapped by itself.
inline constexpr uint64_t kSegmentAlignment = 4096;

/// The preamble in memory, field for field as on disk.
struct Preamble {
  uint8_t magic[8];
  uint32_t version;
  uint32_t bytes;
  uint64_t manifestOffset;
  uint64_t manifestSize;
  uint8_t manifestSha256[32];
};
static_assert(sizeof(Preamble) == kManifestOffset, "the preamble is 64 bytes on disk");
#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the preamble is copied as it lies in memory");
#endif

/// The preamble of a manifest of `manifestSize` bytes with that hash.
inline Preamble makePreamble(uint64_t manifestSize, const uint8_t (&manifestSha256)[32]) {
  Preamble preamble = {};
  std::memcpy(preamble.magic, kMagic, sizeof kMagic);
  preamble.version = kPreambleVersion;
  preamble.bytes = sizeof(Preamble);
  preamble.manifestOffset = kManifestOffset;
  preamble.manifestSize = manifestSize;
  std::memcpy(preamble.manifestSha256, manifestSha256, sizeof manifestSha256);
  return preamble;
}

/// First multiple of `alignment` at or after `offset`.
inline constexpr uint64_t alignUp(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

} // namespace kerf::schema

#endif
