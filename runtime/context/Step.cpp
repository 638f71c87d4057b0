// One step: check everything, then fill in the arrays, run, commit. Nothing here allocates unless it fails.
#include "runtime/context/Context.h"

#include "runtime/generate/Sampler.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace kerf::rt {

// Fields that the caller's version does not have are zero.
kerf_step_entry Context::entry(const kerf_step &step, uint32_t index) const {
  kerf_step_entry entry = {};
  std::memcpy(&entry, reinterpret_cast<const uint8_t *>(step.entries) + size_t(index) * step.entry_size,
              std::min<size_t>(step.entry_size, sizeof entry));
  return entry;
}

namespace {

// Up to the first field that was appended.
constexpr size_t kLeastEntry = offsetof(kerf_step_entry, sampling);
// Of a row whose logits are wanted: no token.
constexpr kerf_sampling kNoToken = {-1, 0, 0, 0, 0};

// Whether rows see keys behind them, so that a text must be in one step.
bool seesAhead(const kerf_program &program) {
  for (const kerf_work_list &list : workListsOf(program))
    if (list.ahead != 0)
      return true;
  return false;
}

// The first result of a kind; the number of results where there is none.
uint32_t findResult(const kerf_program &program, kerf_result_kind kind) {
  uint32_t index = 0;
  while (index < program.result_count && resultsOf(program)[index].kind != uint32_t(kind))
    ++index;
  return index;
}
uint32_t logitsOf(const kerf_program &program) { return findResult(program, KERF_RESULT_LOGITS); }
bool drawsTokens(const kerf_program &program) { return findResult(program, KERF_RESULT_TOKENS) < program.result_count; }

// The keys [first, end) that some of the rows [position, position + count) of a sequence of `length` tokens see.
struct KeyRange {
  int64_t first, end;
};
KeyRange keysSeen(const kerf_work_list &list, int64_t position, int64_t count, int64_t length) {
  return {list.behind == KERF_UNBOUNDED ? 0 : std::max<int64_t>(0, position + 1 - list.behind),
          std::min<int64_t>(length, position + count + list.ahead)};
}

// The work of one entry's rows by one list; adds to the extents that differ between lists.
uint32_t fillItems(const kerf_work_list &list, kerf_work_item *items, uint32_t tile, const KvPages::Growth &growth,
                   int32_t row, int32_t member, Extents &extents) {
  const int64_t length = int64_t(growth.length) + growth.count;
  uint32_t count = 0;
  for (uint32_t t = 0; t < growth.count; t += tile) {
    const int64_t position = int64_t(growth.length) + t, rows = std::min(tile, growth.count - t);
    const KeyRange keys = keysSeen(list, position, rows, length);
    items[count++] = {row + int32_t(t),    int32_t(rows),     member,      int32_t(position),
                      int32_t(keys.first), int32_t(keys.end), list.behind, list.ahead};
  }
  for (int64_t position = growth.length; position < length; ++position) {
    const KeyRange keys = keysSeen(list, position, 1, length);
    extents[KERF_EXTENT_ATTENDED] += keys.end - keys.first;
  }
  const KeyRange keys = keysSeen(list, growth.length, growth.count, length);
  extents[KERF_EXTENT_CACHED] += keys.end - keys.first;
  return count;
}

} // namespace

Context::Counts Context::validate(const kerf_step &step, const kerf_program &program) {
  Plan &plan = needPlan();
  const uint32_t vocabulary = model_->terms().vocabulary;
  if (step.entry_count &&
      (!step.entries || step.entry_size < kLeastEntry || step.entry_size % alignof(kerf_step_entry) != 0))
    fail(KERF_BAD_ARGUMENT, "a step with entries must have an entry_size of at least ", kLeastEntry, ", a multiple of ",
         alignof(kerf_step_entry), ", and entries that are not NULL, got ", step.entry_size);
  ++steps_;
  Counts counts;
  const bool whole = seesAhead(program), logits = logitsOf(program) < program.result_count;
  for (uint32_t i = 0; i < step.entry_count; ++i) {
    const kerf_step_entry e = entry(step, i);
    const uint8_t *bytes = reinterpret_cast<const uint8_t *>(step.entries) + size_t(i) * step.entry_size;
    for (size_t at = sizeof e; at < step.entry_size; ++at)
      if (bytes[at])
        fail(KERF_BAD_ARGUMENT, "entry ", i, " must have no field set that version ", KERF_VERSION_STRING,
             " does not know; use a newer Kerf runtime");
    const kerf_sequence *first = plan.sequences.data(), *last = first + plan.sequences.size();
    // The pointer is compared before it is followed: it may be another context's or stale.
    if (std::less<>()(e.sequence, first) || !std::less<>()(e.sequence, last) || !e.sequence->open)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must be an open one of this context");
    if (e.sequence->step == steps_)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must be in the step only once");
    e.sequence->step = steps_;
    if (e.logits > KERF_LOGITS_ALL)
      fail(KERF_BAD_ARGUMENT, "logits of entry ", i, " must be none, last or all (0, 1, 2), got ", e.logits);
    if (e.logits && !logits)
      fail(KERF_BAD_ARGUMENT, "logits of entry ", i, " must be none, since program '", program.name, "' gives none");
    if (e.sampling && e.logits != KERF_LOGITS_LAST)
      fail(KERF_BAD_ARGUMENT, "logits of entry ", i, " must be last (1), since a token is to be drawn, got ", e.logits);
    if (e.sampling)
      checkSampling(*e.sampling, i);
    if (e.count == 0)
      continue;
    if (whole && e.sequence->length)
      fail(KERF_BAD_ARGUMENT, "sequence of entry ", i, " must be empty, since program '", program.name,
           "' takes a text as a whole, got ", e.sequence->length, " tokens");
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

void Context::fill(const kerf_step &step, const Counts &counts, const kerf_program &program) {
  Plan &plan = *plan_;
  const uint32_t tile = model_->device().attentionTile(), groupCount = plan.pages.groupCount();
  for (uint32_t g = 0; g < groupCount; ++g)
    plan.groups[g].pageBegin[0] = 0;

  const uint32_t lists = program.work_list_count;
  for (Extents &extents : plan.extents) {
    extents = {};
    extents[KERF_EXTENT_ONE] = 1;
    extents[KERF_EXTENT_TOKENS] = counts.tokens;
    extents[KERF_EXTENT_SEQUENCES] = counts.members;
    extents[KERF_EXTENT_LOGIT_ROWS] = counts.logitRows;
  }
  uint32_t row = 0, logitRow = 0, item = 0, member = 0;
  plan.singleRows = plan.severalRows = plan.draws = false;
  std::fill_n(plan.samplings, counts.logitRows, kNoToken);
  for (uint32_t i = 0; i < step.entry_count; ++i) {
    const kerf_step_entry e = entry(step, i);
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
    uint32_t items = 0;
    for (uint32_t list = 0; list < lists; ++list)
      items = fillItems(workListsOf(program)[list], plan.workItems[list] + item, tile, plan.growths[member],
                        int32_t(row), int32_t(member), plan.extents[list]);
    item += items;
    plan.singleRows |= tile == 1 || e.count % tile == 1;
    plan.severalRows |= tile > 1 && e.count > 1;
    if (e.logits == KERF_LOGITS_ALL)
      for (uint32_t t = 0; t < e.count; ++t)
        plan.logitRows[logitRow++] = int32_t(row + t);
    else if (e.logits == KERF_LOGITS_LAST) {
      if (e.sampling) {
        plan.samplings[logitRow] = *e.sampling;
        plan.draws = true;
      }
      plan.logitRows[logitRow++] = int32_t(row + e.count - 1);
    }
    plan.firstRows[member] = int32_t(row);
    plan.rowCounts[member] = int32_t(e.count);
    row += e.count;
    ++member;
  }
  for (Extents &extents : plan.extents)
    extents[KERF_EXTENT_WORK_ITEMS] = item;
  for (uint32_t e = 0; e < KERF_EXTENT_COUNT; ++e)
    plan.rowsByExtent[e] = e < KERF_EXTENT_ATTENDED ? int32_t(plan.extents[0][e]) : 0;
}

namespace {

// Sends parts of shared memory, given in the order in which they lie there, as one where little is between them: moving
// 64 KiB takes some 2 us over PCIe 4, about what it costs to start another copy.
class Sender {
public:
  Sender(Engine &engine, const Memory &memory) : engine_(engine), memory_(memory) {}
  template <typename T> void add(const T *first, uint64_t count) {
    constexpr uint64_t kMostBetween = 64 * 1024;
    const uint64_t offset = uint64_t(reinterpret_cast<const uint8_t *>(first) - memory_.host());
    if (offset > end_ + kMostBetween) {
      finish();
      begin_ = offset;
    }
    end_ = offset + count * sizeof(T);
  }
  void finish() { engine_.send(memory_, begin_, end_ - begin_); }

private:
  Engine &engine_;
  const Memory &memory_;
  uint64_t begin_ = 0, end_ = 0;
};

} // namespace

void Context::sendArrays(const Counts &counts, const kerf_program &program) {
  const Plan &plan = *plan_;
  Sender sender(*engine_, *plan.stepArrays);
  sender.add(plan.rowsByExtent, KERF_EXTENT_COUNT);
  sender.add(plan.ids, counts.tokens);
  sender.add(plan.positions, counts.tokens);
  sender.add(plan.logitRows, counts.logitRows);
  if (drawsTokens(program))
    sender.add(plan.samplings, counts.logitRows);
  sender.add(plan.firstRows, counts.members);
  sender.add(plan.rowCounts, counts.members);
  for (uint32_t list = 0; list < program.work_list_count; ++list)
    sender.add(plan.workItems[list], uint64_t(plan.extents[list][KERF_EXTENT_WORK_ITEMS]));
  for (const Plan::GroupArrays &arrays : plan.groups) {
    sender.add(arrays.slots, counts.tokens);
    sender.add(arrays.pageBegin, uint64_t(counts.members) + 1);
    sender.add(arrays.pages, uint64_t(arrays.pageBegin[counts.members]));
  }
  sender.finish();
}

// False when the step was cancelled.
bool Context::execute(const kerf_step &step, const Counts &counts, const Plan::Program &program) {
  Plan &plan = *plan_;
  fill(step, counts, *program.tables);
  sendArrays(counts, *program.tables);
  if (poison_) {
    engine_->fill(plan.arena->address(), 0xff, plan.arena->size());
    engine_->fill(plan.results->address(), 0xff, plan.results->size());
  }
  const bool ran = program.executable->run({plan.extents, plan.singleRows, plan.severalRows}, cancelled_);
  if (ran)
    fetchResults(program);
  engine_->finish();
  if (!ran || cancelled())
    return false;
  if (plan.draws && !drawsTokens(*program.tables))
    drawTokens(program);
  return true;
}

// What the host will read.
void Context::fetchResults(const Plan::Program &program) {
  const Plan &plan = *plan_;
  for (uint32_t i = 0; i < program.tables->result_count; ++i) {
    const kerf_result &result = resultsOf(*program.tables)[i];
    if (result.kind == KERF_RESULT_LOGITS && plan.draws && drawsTokens(*program.tables))
      fetchLogits(program, i);
    else if (result.kind != KERF_RESULT_TOKENS || plan.draws)
      engine_->fetch(*plan.results, program.results[i],
                     uint64_t(plan.extents[0][result.extent]) * result.columns * kResultElementBytes);
  }
}

// The rows of logits from which no token is drawn, neighbours at once.
void Context::fetchLogits(const Plan::Program &program, uint32_t index) {
  const Plan &plan = *plan_;
  const uint64_t rowBytes = uint64_t(resultsOf(*program.tables)[index].columns) * kResultElementBytes;
  const auto wanted = [&](uint32_t row) { return plan.samplings[row].temperature < 0; };
  const uint32_t rows = uint32_t(plan.extents[0][KERF_EXTENT_LOGIT_ROWS]);
  for (uint32_t first = 0, end = 0; first < rows; first = end + 1) {
    for (end = first; end < rows && wanted(end);)
      ++end;
    engine_->fetch(*plan.results, program.results[index] + first * rowBytes, (end - first) * rowBytes);
  }
}

void Context::drawTokens(const Plan::Program &program) {
  Plan &plan = *plan_;
  const uint32_t index = logitsOf(*program.tables), vocabulary = resultsOf(*program.tables)[index].columns;
  const float *logits = reinterpret_cast<const float *>(plan.results->host() + program.results[index]);
  Candidate *scratch = reinterpret_cast<Candidate *>(plan.sampler.data());
  for (uint32_t row = 0; row < uint32_t(plan.extents[0][KERF_EXTENT_LOGIT_ROWS]); ++row)
    if (plan.samplings[row].temperature >= 0)
      plan.tokens[row] = drawToken(plan.samplings[row], logits + size_t(row) * vocabulary, vocabulary, scratch);
}

void Context::run(uint32_t index, const kerf_step &step) {
  if (!cancelOwned_)
    clearCancel();
  ran_ = nullptr;
  Plan &plan = needPlan();
  const Plan::Program &program = plan.programs[index];
  const Counts counts = validate(step, *program.tables);
  if (counts.tokens == 0)
    return;
  try {
    if (!execute(step, counts, program))
      throw Error(KERF_CANCELLED, "the step was cancelled");
  } catch (...) {
    try { // what a failing step had started, so that it does not use what is given back
      engine_->finish();
    } catch (const Error &) { // a device that is lost does nothing any more
    }
    // Rows written so far lie past the lengths, where nobody reads. A page copied for this step stays a copy.
    for (uint32_t i = 0; i < counts.members; ++i)
      plan.pages.shrink(plan.growths[i].sequence, plan.growths[i].length);
    throw;
  }
  for (uint32_t i = 0; i < counts.members; ++i)
    plan.members[i]->length += plan.growths[i].count;
  ran_ = &program;
  ranWith_ = plan.extents.front();
}

uint32_t Context::logitsResult() const { return ran_ ? logitsOf(*ran_->tables) : 0; }

uint32_t Context::resultRows(uint32_t index) const {
  if (!ran_ || index >= ran_->tables->result_count)
    return 0;
  return uint32_t(ranWith_[resultsOf(*ran_->tables)[index].extent]);
}

const float *Context::resultRow(uint32_t index, uint32_t row) const {
  if (row >= resultRows(index))
    return nullptr;
  return reinterpret_cast<const float *>(plan_->results->host() + ran_->results[index]) +
         size_t(row) * resultsOf(*ran_->tables)[index].columns;
}

const float *Context::logits(uint32_t row) const {
  return row < logitRows() && plan_->samplings[row].temperature < 0 ? resultRow(logitsResult(), row) : nullptr;
}

int32_t Context::token(uint32_t row) const {
  if (row >= logitRows() || plan_->samplings[row].temperature < 0)
    return -1;
  if (!drawsTokens(*ran_->tables))
    return plan_->tokens[row];
  const uint32_t index = findResult(*ran_->tables, KERF_RESULT_TOKENS);
  return reinterpret_cast<const int32_t *>(plan_->results->host() + ran_->results[index])[row];
}

} // namespace kerf::rt
