//===- Layout.cpp - how x86 kernels store weights -------------------------===//
#include "codegen/x86/Layout.h"

#include <algorithm>
#include <cassert>
#include <cstring>

using namespace kerf::x86;

namespace {

/// Packs the block of `count` rows at `rows`.
template <typename T> void packBlock(const T *rows, int64_t count, int64_t k, int64_t group, T *packed) {
  if (count < WeightLayout::block || k % group)
    std::memset(packed, 0, (k + group - 1) / group * group * WeightLayout::block * sizeof(T));
  // A strip of k at a time, so that what is written stays in the L1 cache while the rows take turns.
  constexpr int64_t strip = 256;
  for (int64_t begin = 0; begin < k; begin += strip) {
    const int64_t end = std::min(begin + strip, k);
    for (int64_t row = 0; row < count; ++row)
      for (int64_t i = begin; i < end; ++i)
        packed[(i / group * WeightLayout::block + row) * group + i % group] = rows[row * k + i];
  }
}

template <typename T> void unpackBlock(const T *packed, int64_t count, int64_t k, int64_t group, T *rows) {
  for (int64_t row = 0; row < count; ++row)
    for (int64_t i = 0; i < k; ++i)
      rows[row * k + i] = packed[(i / group * WeightLayout::block + row) * group + i % group];
}

} // namespace

void WeightLayout::packRows(const void *rows, int64_t rowBegin, int64_t rowCount, void *packed) const {
  assert(rowBegin % block == 0 && "rows must begin at a block");
  assert((rowCount % block == 0 || rowBegin + rowCount == n) && "only the last rows may end within a block");
  const auto *from = static_cast<const char *>(rows);
  auto *to = static_cast<char *>(packed);
  for (int64_t row = 0; row < rowCount; row += block, to += blockBytes()) {
    const int64_t count = std::min(block, rowCount - row);
    const char *source = from + row * k * bytesOf(element);
    if (element == Element::F32)
      packBlock(reinterpret_cast<const uint32_t *>(source), count, k, 1, reinterpret_cast<uint32_t *>(to));
    else
      packBlock(reinterpret_cast<const uint16_t *>(source), count, k, 2, reinterpret_cast<uint16_t *>(to));
  }
}

void WeightLayout::unpack(const void *packed, void *rows) const {
  const auto *from = static_cast<const char *>(packed);
  auto *to = static_cast<char *>(rows);
  for (int64_t row = 0; row < n; row += block, from += blockBytes()) {
    const int64_t count = std::min(block, n - row);
    char *target = to + row * k * bytesOf(element);
    if (element == Element::F32)
      unpackBlock(reinterpret_cast<const uint32_t *>(from), count, k, 1, reinterpret_cast<uint32_t *>(target));
    else
      unpackBlock(reinterpret_cast<const uint16_t *>(from), count, k, 2, reinterpret_cast<uint16_t *>(target));
  }
}
