#include "runtime/context/KvPages.h"

#include <cassert>

namespace kerf::rt {

KvPages::KvPages(Engine &engine, const std::vector<kerf_cache_group> &groups, const Ceilings &ceilings, bool poison)
    : engine_(engine), poison_(poison) {
  for (const kerf_cache_group &format : groups) {
    Group group = {};
    group.format = format;
    group.sizes = groupSizes(format, ceilings);
    group.planeBytes = (group.sizes.pages * format.page_bytes + KERF_ALIGNMENT - 1) / KERF_ALIGNMENT * KERF_ALIGNMENT;
    group.pool = engine.allocate(group.planeBytes * format.planes, false, "the KV cache");
    group.references.assign(group.sizes.pages, 0);
    group.free.reserve(group.sizes.pages);
    for (uint32_t page = group.sizes.pages; page-- > 0;)
      group.free.push_back(int32_t(page));
    group.tables.assign(size_t(group.sizes.pagesPerSequence) * ceilings.sequences, 0);
    group.held.assign(ceilings.sequences, 0);
    groups_.push_back(std::move(group));
  }
}

const int32_t *KvPages::table(uint32_t group, uint32_t sequence) const {
  const Group &g = groups_[group];
  return g.tables.data() + size_t(g.sizes.pagesPerSequence) * sequence;
}

uint64_t KvPages::pagesFor(const Group &group, uint64_t length) {
  return (length + group.format.page_size - 1) / group.format.page_size;
}

// Fills the pages that will be taken next. Pages that lie side by side are filled at once: they come off the stack so
// until sequences begin to close.
void KvPages::clearNext(Group &group, uint64_t count) {
  const auto next = [&](uint64_t i) { return group.free[group.free.size() - 1 - i]; };
  for (uint64_t i = 0; i < count;) {
    const int32_t first = next(i);
    uint64_t run = 1;
    while (i + run < count && next(i + run) == first + int32_t(run))
      ++run;
    for (uint32_t plane = 0; plane < group.format.planes; ++plane)
      engine_.fill(pageAt(group, plane, first), poison_ ? 0xff : 0, run * group.format.page_bytes);
    i += run;
  }
}

int32_t KvPages::take(Group &group) {
  assert(!group.free.empty() && "shortage() must be asked first");
  const int32_t page = group.free.back();
  group.free.pop_back();
  group.references[page] = 1;
  return page;
}

void KvPages::release(Group &group, int32_t page) {
  assert(group.references[page] > 0 && "page released twice");
  if (--group.references[page] == 0)
    group.free.push_back(page);
}

uint64_t KvPages::pageAt(const Group &group, uint32_t plane, int32_t page) {
  return group.pool->address() + group.planeBytes * plane + uint64_t(page) * group.format.page_bytes;
}

KvPages::Shortage KvPages::shortage(const Growth *growths, uint32_t count) {
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    Group &group = groups_[g];
    uint64_t needed = 0;
    // A page that two growing sequences share is copied for all but the last of them: count as if already released.
    auto sharedLast = [&](const Growth &growth) -> uint32_t * {
      if (growth.count == 0 || growth.length % group.format.page_size == 0)
        return nullptr;
      return &group.references[table(g, growth.sequence)[growth.length / group.format.page_size]];
    };
    for (uint32_t i = 0; i < count; ++i) {
      needed += pagesFor(group, uint64_t(growths[i].length) + growths[i].count) - group.held[growths[i].sequence];
      if (uint32_t *references = sharedLast(growths[i])) {
        needed += *references > 1;
        --*references;
      }
    }
    for (uint32_t i = 0; i < count; ++i)
      if (uint32_t *references = sharedLast(growths[i]))
        ++*references;
    if (needed > group.free.size())
      return {true, g, needed, group.free.size()};
  }
  return {false, 0, 0, 0};
}

void KvPages::grow(const Growth &growth) {
  if (growth.count == 0)
    return;
  for (Group &group : groups_) {
    int32_t *table = group.tables.data() + size_t(group.sizes.pagesPerSequence) * growth.sequence;
    uint32_t &held = group.held[growth.sequence];
    const uint32_t first = growth.length / group.format.page_size;
    if (first < held && group.references[table[first]] > 1) {
      const int32_t shared = table[first];
      for (uint32_t plane = 0; plane < group.format.planes; ++plane)
        engine_.copy(pageAt(group, plane, group.free.back()), pageAt(group, plane, shared), group.format.page_bytes);
      table[first] = take(group);
      release(group, shared);
    }
    const uint64_t need = pagesFor(group, uint64_t(growth.length) + growth.count);
    clearNext(group, need - held);
    while (held < need)
      table[held++] = take(group);
  }
}

void KvPages::shrink(uint32_t sequence, uint32_t length) {
  for (Group &group : groups_) {
    int32_t *table = group.tables.data() + size_t(group.sizes.pagesPerSequence) * sequence;
    for (uint32_t &held = group.held[sequence]; held > pagesFor(group, length);)
      release(group, table[--held]);
  }
}

void KvPages::share(uint32_t from, uint32_t to, uint32_t length) {
  for (Group &group : groups_) {
    const size_t stride = group.sizes.pagesPerSequence;
    const uint32_t pages = uint32_t(pagesFor(group, length));
    assert(group.held[to] == 0 && pages <= group.held[from]);
    for (uint32_t i = 0; i < pages; ++i) {
      const int32_t page = group.tables[stride * from + i];
      ++group.references[page];
      group.tables[stride * to + i] = page;
    }
    group.held[to] = pages;
  }
}

void KvPages::store(uint32_t sequence, uint32_t length, uint8_t *out) const {
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const Group &group = groups_[g];
    for (uint64_t i = 0; i < pagesFor(group, length); ++i)
      for (uint32_t plane = 0; plane < group.format.planes; ++plane, out += group.format.page_bytes)
        engine_.read(out, pageAt(group, plane, table(g, sequence)[i]), group.format.page_bytes);
  }
  engine_.finish();
}

void KvPages::load(uint32_t sequence, uint32_t length, const uint8_t *from) {
  for (uint32_t g = 0; g < groups_.size(); ++g) {
    const Group &group = groups_[g];
    for (uint64_t i = 0; i < pagesFor(group, length); ++i)
      for (uint32_t plane = 0; plane < group.format.planes; ++plane, from += group.format.page_bytes)
        engine_.write(pageAt(group, plane, table(g, sequence)[i]), from, group.format.page_bytes);
  }
  engine_.finish();
}

} // namespace kerf::rt
