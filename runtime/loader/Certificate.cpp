#include "runtime/loader/Certificate.h"

#include "runtime/cpu/Threads.h"
#include "runtime/loader/Library.h"
#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kerf::rt {
namespace {

uint64_t roundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Adds and multiplies what a hostile package or caller may have made huge.
uint64_t checkedBytes(unsigned __int128 value, const char *what) {
  if (value > kMostBytes)
    fail(KERF_BAD_ARGUMENT, what, " must take at most ", formatBytes(kMostBytes), "; lower the plan's ceilings");
  return uint64_t(value);
}

} // namespace

std::vector<uint64_t> placeWeights(const Package &package) {
  std::vector<uint64_t> offsets = {0};
  for (const schema::Weight *weight : *package.manifest().weights())
    offsets.push_back(roundUp(offsets.back() + weight->size(), kDeviceWeightAlignment));
  return offsets;
}

CertificateTerms certificateTerms(const Package &package) {
  const schema::Manifest &manifest = package.manifest();
  CertificateTerms terms;
  terms.weightBytes = package.weightBytes();
  terms.gpu = manifest.target()->str() == kGpuTarget;
  terms.deviceWeightBytes = terms.gpu ? placeWeights(package).back() : 0;
  terms.manifestBytes = package.manifestBytes() + (manifest.tokenizer() ? kTokenizerRecords : 0);
  for (const schema::CacheGroup *group : *manifest.groups())
    terms.groups.push_back({group->planes(), group->page_size(), group->page_bytes()});
  for (const schema::Program *program : *manifest.programs()) {
    ProgramTerms needs;
    if (program->slots())
      for (const schema::Slot *slot : *program->slots()) {
        kerf_linear_form form = {};
        if (const auto *coefficients = slot->bytes()->coefficients())
          std::copy(coefficients->begin(), coefficients->end(), form.coefficient);
        needs.slots.push_back(form);
      }
    for (const schema::Result *result : *program->results())
      needs.results.push_back(resultBytes(uint32_t(result->kind()), result->columns()));
    needs.workLists = program->work_lists() ? program->work_lists()->size() : 0;
    bool whole = false;
    for (uint32_t i = 0; i < needs.workLists; ++i)
      whole |= program->work_lists()->Get(i)->ahead() != 0;
    terms.wholeTexts = (terms.wholeTexts || terms.programs.empty()) && whole;
    terms.programs.push_back(std::move(needs));
    terms.dispatches += program->dispatches();
  }
  terms.attentionTile = std::max(1u, manifest.attention_tile());
  terms.kernelStack = manifest.stack_bytes();
  terms.vocabulary = manifest.vocabulary();
  terms.context = manifest.context();
  return terms;
}

Ceilings resolveCeilings(const CertificateTerms &terms, uint32_t threads, const kerf_plan_options &options) {
  Ceilings c = {};
  c.threads = terms.gpu ? 1 : threads ? threads : usableThreads();
  c.context = options.context ? options.context : terms.context;
  if (c.context > terms.context)
    fail(KERF_BAD_ARGUMENT, "context must be at most the model's ", terms.context, ", got ", c.context);
  c.tokens = options.max_tokens ? options.max_tokens : std::min(512u, c.context);
  c.sequences = options.max_sequences ? options.max_sequences : 1;
  c.logitRows = options.max_logit_rows ? options.max_logit_rows : c.sequences;
  constexpr uint32_t most = 1u << 24;
  if (c.tokens > most || c.sequences > most || c.logitRows > most)
    fail(KERF_BAD_ARGUMENT, "max_tokens, max_sequences and max_logit_rows must be at most ", most, ", got ", c.tokens,
         ", ", c.sequences, " and ", c.logitRows);
  c.logitRows = std::min(c.logitRows, c.tokens);
  c.pages = options.kv_pages;
  c.wholeTexts = terms.wholeTexts;
  // Items of one sequence are full but for the last: sum of ceil(rows / tile) over at most `active` sequences.
  const uint64_t active = std::min(c.tokens, c.sequences), tile = terms.attentionTile;
  c.workItems = uint32_t(std::min<uint64_t>(c.tokens, (c.tokens + active * (tile - 1)) / tile));
  for (const kerf_cache_group &group : terms.groups) {
    const uint64_t perSequence = (uint64_t(c.context) + group.page_size - 1) / group.page_size;
    const uint64_t full = perSequence * c.sequences;
    const uint64_t pages = full > uint64_t(INT32_MAX) ? full : groupSizes(group, c).pages;
    // A slot index, page * page_size + offset, is an int32.
    if (full > uint64_t(INT32_MAX) || pages * group.page_size > uint64_t(INT32_MAX))
      fail(KERF_BAD_ARGUMENT, "KV pages times page size must be at most ", INT32_MAX, ", got ", pages, " times ",
           group.page_size, "; lower max_sequences, context or kv_pages");
  }
  return c;
}

GroupSizes groupSizes(const kerf_cache_group &group, const Ceilings &ceilings) {
  const uint32_t perSequence = uint32_t((uint64_t(ceilings.context) + group.page_size - 1) / group.page_size);
  if (ceilings.pages)
    return {perSequence, ceilings.pages};
  const uint32_t full = perSequence * ceilings.sequences;
  if (!ceilings.wholeTexts)
    return {perSequence, full};
  // Pages of one text are full but for the last: sum of ceil(rows / page) over at most `active` texts.
  const uint64_t active = std::min(ceilings.tokens, ceilings.sequences), page = group.page_size;
  return {perSequence, uint32_t(std::min<uint64_t>(full, (ceilings.tokens + active * (page - 1)) / page))};
}

std::array<int64_t, KERF_EXTENT_COUNT> largestExtents(const Ceilings &c) {
  std::array<int64_t, KERF_EXTENT_COUNT> extents = {};
  extents[KERF_EXTENT_ONE] = 1;
  extents[KERF_EXTENT_TOKENS] = c.tokens;
  extents[KERF_EXTENT_SEQUENCES] = std::min(c.sequences, c.tokens);
  extents[KERF_EXTENT_LOGIT_ROWS] = c.logitRows;
  extents[KERF_EXTENT_WORK_ITEMS] = c.workItems;
  extents[KERF_EXTENT_ATTENDED] = int64_t(c.tokens) * c.context;
  extents[KERF_EXTENT_CACHED] = extents[KERF_EXTENT_SEQUENCES] * int64_t(c.context);
  return extents;
}

kerf_linear_form resultBytes(uint32_t kind, uint32_t columns) {
  kerf_linear_form form = {};
  form.coefficient[resultExtent(kind)] = int64_t(columns) * kResultElementBytes;
  return form;
}

uint64_t evaluate(const kerf_linear_form &form, const std::array<int64_t, KERF_EXTENT_COUNT> &extents,
                  const char *what) {
  unsigned __int128 sum = 0;
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
    sum += (unsigned __int128)(uint64_t(std::max<int64_t>(0, form.coefficient[e]))) * uint64_t(extents[e]);
  return checkedBytes(sum, what);
}

std::vector<uint64_t> layOut(const std::vector<kerf_linear_form> &pieces,
                             const std::array<int64_t, KERF_EXTENT_COUNT> &extents, const char *what) {
  std::vector<uint64_t> offsets;
  uint64_t end = 0;
  for (const kerf_linear_form &piece : pieces) {
    offsets.push_back(end);
    end = checkedBytes((unsigned __int128)end + roundUp(evaluate(piece, extents, what), KERF_ALIGNMENT), what);
  }
  offsets.push_back(end);
  return offsets;
}

uint32_t workLists(const CertificateTerms &terms) {
  uint32_t most = 0;
  for (const ProgramTerms &program : terms.programs)
    most = std::max(most, program.workLists);
  return most;
}

uint64_t stepArrayBytes(const CertificateTerms &terms, const Ceilings &c) {
  auto ints = [](uint64_t count) { return roundUp(count * sizeof(int32_t), KERF_ALIGNMENT); };
  uint64_t bytes = ints(KERF_EXTENT_COUNT) + 2 * ints(c.tokens) + 2 * ints(c.logitRows) +
                   roundUp(c.logitRows * sizeof(kerf_sampling), KERF_ALIGNMENT) + 2 * ints(c.sequences) +
                   workLists(terms) * roundUp(uint64_t(c.workItems) * sizeof(kerf_work_item), KERF_ALIGNMENT);
  for (const kerf_cache_group &group : terms.groups)
    bytes += ints(c.tokens) + ints(uint64_t(c.sequences) + 1) +
             ints(uint64_t(groupSizes(group, c).pagesPerSequence) * c.sequences);
  return bytes;
}

uint64_t cachePoolBytes(const kerf_cache_group &group, const Ceilings &c) {
  const unsigned __int128 plane = (unsigned __int128)groupSizes(group, c).pages * group.page_bytes;
  return checkedBytes((plane + KERF_ALIGNMENT) * group.planes, "the KV cache") / KERF_ALIGNMENT * KERF_ALIGNMENT;
}

kerf_plan_report evaluateCertificate(const CertificateTerms &terms, const Ceilings &c) {
  kerf_plan_report r = {};
  r.struct_size = sizeof r;
  r.max_tokens = c.tokens;
  r.max_sequences = c.sequences;
  r.context = c.context;
  r.max_logit_rows = c.logitRows;
  r.max_work_items = c.workItems;
  r.threads = c.threads;
  const auto onDevice = [](uint64_t bytes) { return roundUp(bytes, kDeviceBlock); };
  const auto footprint = [&](uint64_t bytes) { return terms.gpu ? onDevice(bytes) : GuardedBuffer::footprint(bytes); };
  r.weights = terms.weightBytes;
  r.manifest = terms.manifestBytes;

  unsigned __int128 cache = 0, sequences = kContextRecords;
  for (const kerf_cache_group &group : terms.groups) {
    const GroupSizes sizes = groupSizes(group, c);
    r.kv_pages = std::max(r.kv_pages, sizes.pages);
    cache += footprint(cachePoolBytes(group, c));
    // Reference count and free list of each page; table and length of each sequence.
    sequences += uint64_t(sizes.pages) * 8 + uint64_t(c.sequences) * (uint64_t(sizes.pagesPerSequence) * 4 + 4);
  }
  sequences +=
      uint64_t(c.sequences) * 64 + uint64_t(terms.dispatches) * (terms.gpu ? kDeviceDispatchRecord : kDispatchRecord);
  r.cache = checkedBytes(cache, "the KV cache");
  r.sequences = checkedBytes(sequences, "the page tables");

  const auto extents = largestExtents(c);
  uint64_t results = 0;
  for (const ProgramTerms &program : terms.programs) {
    r.arena = std::max(r.arena, footprint(layOut(program.slots, extents, "the arena").back()));
    results = std::max(results, layOut(program.results, extents, "the results").back());
  }
  r.results = GuardedBuffer::footprint(results);
  r.step = GuardedBuffer::footprint(stepArrayBytes(terms, c));
  r.sampler = GuardedBuffer::footprint(uint64_t(terms.vocabulary) * 8);
  r.stacks = checkedBytes((unsigned __int128)c.threads * (terms.kernelStack + kThreadStack), "the stacks");
  if (terms.gpu)
    r.device = checkedBytes((unsigned __int128)onDevice(terms.deviceWeightBytes) + r.cache + r.arena +
                                onDevice(stepArrayBytes(terms, c)) + onDevice(results),
                            "the plan");
  const unsigned __int128 ownMemory = (unsigned __int128)r.weights + r.cache + r.arena;
  r.total = checkedBytes(
      (terms.gpu ? 0 : ownMemory) + r.manifest + r.step + r.results + r.sampler + r.sequences + r.stacks, "the plan");
  return r;
}

std::string formatForm(const kerf_linear_form &form) {
  static const char *const names[KERF_EXTENT_KNOWN] = {"", " T", " S", " R", " W", " A", " C"};
  std::string text;
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
    if (form.coefficient[e]) {
      if (!text.empty())
        text += " + ";
      text += std::to_string(form.coefficient[e]) + names[e];
    }
  return text.empty() ? "0" : text;
}

} // namespace kerf::rt
