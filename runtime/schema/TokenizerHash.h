//===- TokenizerHash.h - where the packaged tokenizer's tables keep an entry -===//
//
// The compiler fills the tables of tokenizer.fbs and the runtime reads them where they are mapped: both must agree on
// the first slot that is looked at. A search goes on to the next slot, around the end, until it meets an empty one.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_RUNTIME_SCHEMA_TOKENIZERHASH_H
#define KERF_RUNTIME_SCHEMA_TOKENIZERHASH_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kerf::schema {

/// Marks an empty slot, and a byte without a token.
inline constexpr uint32_t kNoToken = 0xffffffffu;

/// Most full slots in a row, around the end, that a table may have. A search goes on to the next empty slot; where at
/// most three quarters are full, as the compiler fills them, it passes a few, and a thousand with a probability below
/// 10^-9 whatever the vocabulary. A hostile table would have millions.
inline constexpr uint32_t kMostFullSlots = 1024;

/// Spreads the bits of `x`: the finalizer of MurmurHash3 (Appleby, 2011).
inline uint64_t mixBits(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

/// Hash of a pair of token ids; its low bits are the first slot of `BpeModel.merges`.
inline uint64_t mergeHash(uint32_t left, uint32_t right) { return mixBits(uint64_t(left) << 32 | right); }

/// Hash of a piece's bytes (FNV-1a, mixed), which may come in parts; its low bits are the first slot of
/// `BpeModel.whole_pieces` and `WordPieceModel.pieces`.
class PieceHash {
public:
  void add(std::string_view bytes) {
    for (unsigned char byte : bytes)
      state = (state ^ byte) * 0x100000001b3ull;
  }
  uint64_t value() const { return mixBits(state); }

private:
  uint64_t state = 0xcbf29ce484222325ull;
};

/// The same for bytes that are all at hand.
inline uint64_t pieceHash(std::string_view bytes) {
  PieceHash hash;
  hash.add(bytes);
  return hash.value();
}

} // namespace kerf::schema

#endif // KERF_RUNTIME_SCHEMA_TOKENIZERHASH_H
