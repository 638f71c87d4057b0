/// The tables of a model library, whose elements lie as far apart as the library states beside their count.
#ifndef KERF_RUNTIME_LOADER_TABLES_H
#define KERF_RUNTIME_LOADER_TABLES_H

#include "kerf/abi.h"

#include <cstddef>

namespace kerf::rt {

/// A view of `count` elements, `size` bytes apart.
template <typename T> class Table {
public:
  Table(const T *first, uint32_t size, uint32_t count) : first_(first), size_(size), count_(count) {}

  /// Number of elements.
  uint32_t count() const { return count_; }
  /// Element `index`, which must be below count().
  const T &operator[](uint32_t index) const {
    return *reinterpret_cast<const T *>(reinterpret_cast<const uint8_t *>(first_) + size_t(size_) * index);
  }
  /// Whether elements can be read: they are as large as here at least, aligned, and there.
  bool valid() const {
    return count_ == 0 || (size_ >= sizeof(T) && size_ % alignof(T) == 0 && first_ &&
                           reinterpret_cast<uintptr_t>(first_) % alignof(T) == 0);
  }

  /// Visits the elements in order.
  class Iterator {
  public:
    Iterator(const Table &table, uint32_t index) : table_(table), index_(index) {}
    const T &operator*() const { return table_[index_]; }
    Iterator &operator++() { return ++index_, *this; }
    bool operator!=(const Iterator &other) const { return index_ != other.index_; }

  private:
    const Table &table_;
    uint32_t index_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, count_}; }

private:
  const T *first_;
  uint32_t size_, count_;
};

inline Table<kerf_variant> variantsOf(const kerf_library &l) { return {l.variants, l.variant_size, l.variant_count}; }
inline Table<kerf_program> programsOf(const kerf_library &l) { return {l.programs, l.program_size, l.program_count}; }
inline Table<kerf_cache_group> groupsOf(const kerf_library &l) { return {l.groups, l.group_size, l.group_count}; }
inline Table<kerf_kernel> kernelsOf(const kerf_variant &v) { return {v.kernels, v.kernel_size, v.kernel_count}; }
/// Empty for a library made before GPUs, whose struct ends before the fields.
inline Table<kerf_gpu_variant> gpuVariantsOf(const kerf_library &l) {
  if (l.struct_size < offsetof(kerf_library, gpu_variants) + sizeof l.gpu_variants)
    return {nullptr, 0, 0};
  return {l.gpu_variants, l.gpu_variant_size, l.gpu_variant_count};
}
inline Table<kerf_gpu_kernel> kernelsOf(const kerf_gpu_variant &v) {
  return {v.kernels, v.kernel_size, v.kernel_count};
}
inline Table<kerf_gpu_launch> launchesOf(const kerf_gpu_kernel &k) {
  return {k.launches, k.launch_size, k.launch_count};
}
/// Variants of either kind.
inline uint32_t variantCount(const kerf_library &l) { return l.variant_count + gpuVariantsOf(l).count(); }
/// Name of one of them.
inline const char *variantName(const kerf_library &l, uint32_t index) {
  return l.variant_count ? variantsOf(l)[index].name : gpuVariantsOf(l)[index].name;
}
inline Table<kerf_dispatch> dispatchesOf(const kerf_program &p) {
  return {p.dispatches, p.dispatch_size, p.dispatch_count};
}
inline Table<kerf_slot> slotsOf(const kerf_program &p) { return {p.slots, p.slot_size, p.slot_count}; }
inline Table<kerf_work_list> workListsOf(const kerf_program &p) {
  return {p.work_lists, p.work_list_size, p.work_list_count};
}
inline Table<kerf_result> resultsOf(const kerf_program &p) { return {p.results, p.result_size, p.result_count}; }
/// What counts the rows of a result of this kind.
inline kerf_extent resultExtent(uint32_t kind) {
  return kind == KERF_RESULT_VECTORS ? KERF_EXTENT_SEQUENCES : KERF_EXTENT_LOGIT_ROWS;
}
/// Bytes of an element of any result.
inline constexpr int64_t kResultElementBytes = 4;
inline Table<kerf_operand> operandsOf(const kerf_dispatch &d) { return {d.operands, d.operand_size, d.operand_count}; }

} // namespace kerf::rt

#endif
