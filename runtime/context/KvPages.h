/// The paged KV cache of a context: who holds which page.
///
/// Each KV group has a pool of physical pages. A sequence has, for each group, a table of pages in logical order. Forks
/// share pages by reference count; a page is copied when a sequence is about to write into one that others hold too.
/// All memory is taken in the constructor.
#ifndef KERF_RUNTIME_CONTEXT_KVPAGES_H
#define KERF_RUNTIME_CONTEXT_KVPAGES_H

#include "runtime/device/Device.h"
#include "runtime/loader/Certificate.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace kerf::rt {

/// Pages and page tables of all groups and sequences.
class KvPages {
public:
  /// Takes memory for the ceilings. A page that a sequence takes is filled with zeros, or with NaN for `poison`, so
  /// that nobody finds another sequence's tokens in it. `engine` must outlive this.
  KvPages(Engine &engine, const std::vector<kerf_cache_group> &groups, const Ceilings &ceilings, bool poison);

  /// Number of groups.
  uint32_t groupCount() const { return uint32_t(groups_.size()); }
  /// Positions in a page of a group.
  uint32_t pageSize(uint32_t group) const { return groups_[group].format.page_size; }
  /// Address of page 0 of a plane.
  uint64_t plane(uint32_t group, uint32_t plane) const { return pageAt(groups_[group], plane, 0); }
  /// Pages of a group that nobody holds.
  uint32_t freePages(uint32_t group) const { return uint32_t(groups_[group].free.size()); }
  /// Page table of a sequence: physical page numbers.
  const int32_t *table(uint32_t group, uint32_t sequence) const;
  /// Entries of that table.
  uint32_t tableSize(uint32_t group, uint32_t sequence) const { return groups_[group].held[sequence]; }

  /// A demand of one sequence: rows [length, length + count) are about to be written.
  struct Growth {
    uint32_t sequence, length, count;
  };
  /// Whether all demands can be met together, in this order; else the group that is short, with its need and what is
  /// free. Leaves everything as it is.
  struct Shortage {
    bool any;
    uint32_t group;
    uint64_t needed, free;
  };
  /// Checks the demands, see Shortage.
  Shortage shortage(const Growth *growths, uint32_t count);
  /// Meets one demand after shortage() has found none: takes pages and copies a shared last page. When the device
  /// fails, shrink() to the length it had makes that undone.
  void grow(const Growth &growth);
  /// Gives back every page that no position below `length` needs.
  void shrink(uint32_t sequence, uint32_t length);
  /// Makes `to`, which holds nothing, share the first `length` positions of `from`.
  void share(uint32_t from, uint32_t to, uint32_t length);
  /// Copies the pages of the first `length` positions to `out`: by group, then by page in logical order, then by plane.
  void store(uint32_t sequence, uint32_t length, uint8_t *out) const;
  /// The reverse, into pages that the sequence holds alone.
  void load(uint32_t sequence, uint32_t length, const uint8_t *from);

private:
  struct Group {
    kerf_cache_group format;
    GroupSizes sizes;
    uint64_t planeBytes; ///< from one plane to the next
    std::unique_ptr<Memory> pool;
    std::vector<uint32_t> references; ///< by physical page
    std::vector<int32_t> free;        ///< stack; capacity is all pages
    std::vector<int32_t> tables;      ///< by sequence, sizes.pagesPerSequence each
    std::vector<uint32_t> held;       ///< entries of each table
  };
  void clearNext(Group &group, uint64_t count);
  int32_t take(Group &group);
  void release(Group &group, int32_t page);
  static uint64_t pageAt(const Group &group, uint32_t plane, int32_t page);
  static uint64_t pagesFor(const Group &group, uint64_t length);

  Engine &engine_;
  std::vector<Group> groups_;
  bool poison_;
};

} // namespace kerf::rt

#endif
