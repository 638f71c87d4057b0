//===- CacheMemory.h - a KV cache for tests of kernels ----------*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_X86_CACHEMEMORY_H
#define KERF_TEST_CODEGEN_X86_CACHEMEMORY_H

#include "codegen/x86/Kernels.h"
#include "test/codegen/x86/KernelHarness.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace kerf::test {

/// A cache plane of some pages, all NaN, and the pages that a number of sequences own, in no order.
class Cache {
public:
  Cache(const x86::CacheLayout &layout, const std::vector<int64_t> &lengths, std::mt19937 &random) : layout(layout) {
    int64_t count = 1;
    begin.push_back(0);
    for (int64_t length : lengths) {
      const int64_t own = (length + layout.pageSize - 1) / layout.pageSize;
      begin.push_back(begin.back() + own);
      count += own;
    }
    pages.resize(count);
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    // One page belongs to nobody.
    pages.pop_back();
    memory = std::make_unique<Tensor>(layout.element, count * layout.pageBytes() / x86::bytesOf(layout.element));
  }
  int64_t slot(int64_t sequence, int64_t position) const {
    return pages[begin[sequence] + position / layout.pageSize] * layout.pageSize + position % layout.pageSize;
  }
  size_t key(int64_t slot, int64_t head, int64_t d) const {
    return slot / layout.pageSize * (layout.pageBytes() / x86::bytesOf(layout.element)) +
           layout.keyIndex(head, slot % layout.pageSize, d);
  }
  size_t value(int64_t slot, int64_t head, int64_t d) const {
    return slot / layout.pageSize * (layout.pageBytes() / x86::bytesOf(layout.element)) +
           layout.valueIndex(head, slot % layout.pageSize, d);
  }

  const x86::CacheLayout layout;
  std::vector<int32_t> pages, begin;
  std::unique_ptr<Tensor> memory;
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_X86_CACHEMEMORY_H
