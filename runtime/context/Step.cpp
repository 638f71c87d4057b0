// One step: check everything, then fill in the arrays, run, commit. Nothing here allocates unless it fails.
#include "runtime/context/Context.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kerf::rt {

const kerf_step_entry &Context::entry(const kerf_step &step, uint32_t index) const {
  const uint8_t *first = reinterpret_cast<const uint8_t *>(step.entries);
  return *reinterpret_cast<const kerf_step_entry *>(first + size_t(index) * step.entry_size);
}

Context::Counts Context::validate(const kerf_step &step) {
  Plan &plan = needPlan();
  const uint32_t vocabulary = model_->terms().vocabulary;
  if (step.entry_count && (!step.entries || step.entry_size < sizeof(kerf_step_entry)))
    fail(KERF_BAD_ARGUMENT, "a step with entries must have an entry_size of at least ", sizeof(kerf_step_entry),
         " and entries that are not NULL, got ", step.entry_size);
  ++steps_;
  Counts counts;
  for (uint32_t i = 0; i < step.entry_count; ++i) {
    const kerf_step_entry &e = entry(step, i);
    const kerf_sequence *first = plan.sequences.data(), *last = first + plan.sequences.size();
    // The pointer is compared before it is followed: it may be another context's or stale.
    if (std::less<>()(e.sequence, first) || !std::less<>()(e.sequence, last) || !e.sequence->open)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must be an open one of this context");
    if (e.sequence->step == steps_)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must be in the step only once");
    e.sequence->step = steps_;
    if (e.logits > KERF_LOGITS_ALL)
      fail(KERF_BAD_ARGUMENT, "logits of entry ", i, " must be none, last or all (0, 1, 2), got ", e.logits);
    if (e.count == 0)
      continue;
    if (!e.ids)
      fail(KERF_BAD_ARGUMENT, "ids of entry ", i, " must not be NULL");
    if (e.count > plan.ceilings.tokens - counts.tokens)
      fail(KERF_BAD_ARGUMENT, "a step must have at most the planned ", plan.ceilings.tokens, " tokens, got ",
           uint64_t(counts.tokens) + e.count, " or more; split it or plan for more");
    if (e.count > plan.ceilings.context - e.sequence->length)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must stay within the planned context of ",
           plan.ceilings.context, ", got ", e.sequence->length, " + ", e.count, " tokens");
    for (uint32_t t = 0; t < e.count; ++t)
      if (e.ids[t] < 0 || uint32_t(e.ids[t]) >= vocabulary)
        fail(KERF_BAD_ARGUMENT, "id ", t, " of entry ", i, " must be 0 to ", vocabulary - 1, ", got ", e.ids[t]);
    const uint32_t rows = e.logits == KERF_LOGITS_ALL ? e.count : e.logits;
    if (rows > plan.ceilings.logitRows - counts.logitRows)
      fail(KERF_BAD_ARGUMENT, "a step must ask for at most the planned ", plan.ceilings.logitRows,
           " rows of logits, got ", uint64_t(counts.logitRows) + rows, " or more; plan for more max_logit_rows");
    counts.tokens += e.count;
    counts.logitRows += rows;
    plan.growths[counts.members] = {e.sequence->index, e.sequence->length, e.count};
    plan.members[counts.members++] = e.sequence;
  }
  const KvPages::Shortage shortage = plan.pages.shortage(plan.growths.data(), counts.members);
  if (shortage.any)
    fail(KERF_OUT_OF_PAGES, "the step needs ", shortage.needed, " KV pages of group ", shortage.group, ", but only ",
         shortage.free, " are free; close or truncate a sequence, or plan for more kv_pages");
  return counts;
}

Extents Context::fill(const kerf_step &step, const Counts &counts) {
  Plan &plan = *plan_;
  const uint32_t tile = model_->variant().attention_tile, groupCount = plan.pages.groupCount();
  for (uint32_t g = 0; g < groupCount; ++g)
    plan.groups[g].pageBegin[0] = 0;

  uint32_t row = 0, logitRow = 0, item = 0, member = 0;
  int64_t attended = 0, cached = 0;
  for (uint32_t i = 0; i < step.entry_count; ++i) {
    const kerf_step_entry &e = entry(step, i);
    if (e.count == 0)
      continue;
    const uint32_t length = plan.growths[member].length, sequence = plan.growths[member].sequence;
    plan.pages.grow(plan.growths[member]);
    std::memcpy(plan.ids + row, e.ids, e.count * sizeof(int32_t));
    for (uint32_t t = 0; t < e.count; ++t)
      plan.positions[row + t] = int32_t(length + t);
    for (uint32_t g = 0; g < groupCount; ++g) {
      const int32_t *table = plan.pages.table(g, sequence);
      const uint32_t held = plan.pages.tableSize(g, sequence), pageSize = plan.pages.pageSize(g);
      Plan::GroupArrays &arrays = plan.groups[g];
      for (uint32_t t = 0; t < e.count; ++t) {
        const uint32_t position = length + t;
        arrays.slots[row + t] = table[position / pageSize] * int32_t(pageSize) + int32_t(position % pageSize);
      }
      std::memcpy(arrays.pages + arrays.pageBegin[member], table, held * sizeof(int32_t));
      arrays.pageBegin[member + 1] = arrays.pageBegin[member] + int32_t(held);
    }
    for (uint32_t t = 0; t < e.count; t += tile)
      plan.workItems[item++] = {int32_t(row + t), int32_t(std::min(tile, e.count - t)), int32_t(member),
                                int32_t(length + t)};
    if (e.logits == KERF_LOGITS_ALL)
      for (uint32_t t = 0; t < e.count; ++t)
        plan.logitRows[logitRow++] = int32_t(row + t);
    else if (e.logits == KERF_LOGITS_LAST)
      plan.logitRows[logitRow++] = int32_t(row + e.count - 1);
    attended += int64_t(e.count) * length + int64_t(e.count) * (e.count + 1) / 2;
    cached += length + e.count;
    row += e.count;
    ++member;
  }

  Extents extents = {};
  extents[KERF_EXTENT_ONE] = 1;
  extents[KERF_EXTENT_TOKENS] = row;
  extents[KERF_EXTENT_SEQUENCES] = member;
  extents[KERF_EXTENT_LOGIT_ROWS] = logitRow;
  extents[KERF_EXTENT_WORK_ITEMS] = item;
  extents[KERF_EXTENT_ATTENDED] = attended;
  extents[KERF_EXTENT_CACHED] = cached;
  return extents;
}

void Context::step(const kerf_step &step) {
  if (!cancelOwned_)
    clearCancel();
  logitRows_ = 0;
  const Counts counts = validate(step);
  if (counts.tokens == 0)
    return;
  Plan &plan = *plan_;
  const Extents extents = fill(step, counts);
  if (poison_) {
    std::memset(plan.arena.data(), 0xff, plan.arena.size());
    std::memset(plan.logits.data(), 0xff, plan.logits.size());
  }
  if (!plan.dispatcher->run(pool_, extents, cancelled_)) {
    // Rows written so far lie past the lengths, where nobody reads. A page copied for this step stays a copy.
    for (uint32_t i = 0; i < counts.members; ++i)
      plan.pages.shrink(plan.growths[i].sequence, plan.growths[i].length);
    throw Error(KERF_CANCELLED, "the step was cancelled");
  }
  for (uint32_t i = 0; i < counts.members; ++i)
    plan.members[i]->length += plan.growths[i].count;
  logitRows_ = counts.logitRows;
}

const float *Context::logits(uint32_t row) const {
  if (row >= logitRows_)
    return nullptr;
  return reinterpret_cast<const float *>(plan_->logits.data()) + size_t(row) * model_->terms().vocabulary;
}

} // namespace kerf::rt
