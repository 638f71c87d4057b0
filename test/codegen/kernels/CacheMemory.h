//===- CacheMemory.h - a KV cache for tests of kernels ----------*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_KERNELS_CACHEMEMORY_H
#define KERF_TEST_CODEGEN_KERNELS_CACHEMEMORY_H

#include "test/codegen/kernels/KernelHarness.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace kerf::test {

/// The sizes of a cache.
struct CacheShape {
  int64_t kvHeads, headDim, pageSize;
  kernels::Element element;
};

/// A cache plane of some pages, all NaN, and the pages that a number of sequences own, in no order.
class Cache {
public:
  Cache(const Target &target, const CacheShape &shape, const std::vector<int64_t> &lengths, std::mt19937 &random)
      : shape(shape), onGpu(target.gpu != nullptr), cpu{shape.kvHeads, shape.headDim, shape.pageSize, shape.element},
        gpu{shape.kvHeads, shape.headDim, shape.pageSize, shape.element} {
    int64_t count = 1;
    begin.push_back(0);
    for (int64_t length : lengths) {
      const int64_t own = (length + shape.pageSize - 1) / shape.pageSize;
      begin.push_back(begin.back() + own);
      count += own;
    }
    pages.resize(count);
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), random);
    // One page belongs to nobody.
    pages.pop_back();
    memory = std::make_unique<Tensor>(shape.element, count * pageElements());
  }
  int64_t slot(int64_t sequence, int64_t position) const {
    return pages[begin[sequence] + position / shape.pageSize] * shape.pageSize + position % shape.pageSize;
  }
  size_t key(int64_t slot, int64_t head, int64_t d) const {
    const int64_t position = slot % shape.pageSize;
    return slot / shape.pageSize * pageElements() +
           (onGpu ? gpu.keyIndex(head, position, d) : cpu.keyIndex(head, position, d));
  }
  size_t value(int64_t slot, int64_t head, int64_t d) const {
    const int64_t position = slot % shape.pageSize;
    return slot / shape.pageSize * pageElements() +
           (onGpu ? gpu.valueIndex(head, position, d) : cpu.valueIndex(head, position, d));
  }

  const CacheShape shape;
  std::vector<int32_t> pages, begin;
  std::unique_ptr<Tensor> memory;

private:
  int64_t pageElements() const { return (onGpu ? gpu.pageBytes() : cpu.pageBytes()) / kernels::bytesOf(shape.element); }

  const bool onGpu;
  const x86::CacheLayout cpu;
  const nvptx::CacheLayout gpu;
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_KERNELS_CACHEMEMORY_H
