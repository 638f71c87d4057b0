#include "test/runtime/fake/FakeLibrary.h"

#include <algorithm>
#include <array>
#include <random>

namespace kerf::test {

std::atomic<void (*)()> attentionHook{nullptr};

namespace {

constexpr uint32_t kTokenTile = 3;

float stored(uint32_t plane, float value) { return plane == 0 ? value : -0.5f * value; }

// One step of the fold over keys: not associative and not commutative.
float fold(float sum, float key, float otherKey, float thirdKey) {
  return sum * 0.75f + key * 1.5f - otherKey * 0.25f + thirdKey * sum * 0.001f;
}

float embedded(const float *embedding, int32_t id, int32_t position, uint32_t d) {
  return embedding[size_t(id) * kHidden + d] + float(position) * 0.01f;
}

// operands: ids, positions, embedding, hidden
void embed(void *const *operands, int64_t rows, int64_t task) {
  const int32_t *ids = static_cast<int32_t *>(operands[0]), *positions = static_cast<int32_t *>(operands[1]);
  const float *embedding = static_cast<float *>(operands[2]);
  float *hidden = static_cast<float *>(operands[3]);
  const int64_t end = std::min<int64_t>(rows, (task + 1) * kTokenTile);
  for (int64_t row = task * kTokenTile; row < end; ++row)
    for (uint32_t d = 0; d < kHidden; ++d)
      hidden[row * kHidden + d] = embedded(embedding, ids[row], positions[row], d);
}

// operands: hidden, slots of group 0 and 1, planes 0 and 1 of group 0, plane 0 of group 1
void append(void *const *operands, int64_t rows, int64_t task) {
  const float *hidden = static_cast<float *>(operands[0]);
  const int32_t *slots[2] = {static_cast<int32_t *>(operands[1]), static_cast<int32_t *>(operands[2])};
  float *planes[3] = {static_cast<float *>(operands[3]), static_cast<float *>(operands[4]),
                      static_cast<float *>(operands[5])};
  const int64_t end = std::min<int64_t>(rows, (task + 1) * kTokenTile);
  for (int64_t row = task * kTokenTile; row < end; ++row)
    for (uint32_t d = 0; d < kHidden; ++d) {
      const float value = hidden[row * kHidden + d];
      planes[0][slots[0][row] * int64_t(kHidden) + d] = stored(0, value);
      planes[1][slots[0][row] * int64_t(kHidden) + d] = stored(1, value);
      planes[2][slots[1][row] * int64_t(kHidden) + d] = value;
    }
}

// operands: work items, page begins and pages of group 0 and of group 1, the three planes, attended
void attend(void *const *operands, int64_t, int64_t task) {
  if (void (*hook)() = attentionHook.load())
    hook();
  const kerf_work_item &item = static_cast<kerf_work_item *>(operands[0])[task];
  const int32_t *pageBegin[2] = {static_cast<int32_t *>(operands[1]), static_cast<int32_t *>(operands[3])};
  const int32_t *pages[2] = {static_cast<int32_t *>(operands[2]), static_cast<int32_t *>(operands[4])};
  const float *planes[3] = {static_cast<float *>(operands[5]), static_cast<float *>(operands[6]),
                            static_cast<float *>(operands[7])};
  float *attended = static_cast<float *>(operands[8]);
  for (int32_t i = 0; i < item.row_count; ++i)
    for (uint32_t d = 0; d < kHidden; ++d) {
      float sum = 0;
      const int64_t position = int64_t(item.position) + i;
      const int64_t first = std::max<int64_t>(item.key_first, position + 1 - item.behind);
      const int64_t end = std::min<int64_t>(item.key_end, position + 1 + item.ahead);
      for (int64_t key = first; key < end; ++key) {
        int64_t slot[2];
        for (uint32_t g = 0; g < 2; ++g) {
          const int32_t page = pages[g][pageBegin[g][item.sequence] + key / kPageSize[g]];
          slot[g] = int64_t(page) * kPageSize[g] + key % kPageSize[g];
        }
        sum = fold(sum, planes[0][slot[0] * kHidden + d], planes[1][slot[0] * kHidden + d],
                   planes[2][slot[1] * kHidden + d]);
      }
      attended[int64_t(item.row_begin + i) * kHidden + d] = sum;
    }
}

// operands: attended, ids, logit rows, output, next, result, hidden, attended within the window; two tasks a row, half
// of the vocabulary each
void project(void *const *operands, int64_t, int64_t task) {
  const float *attended = static_cast<float *>(operands[0]);
  const int32_t *ids = static_cast<int32_t *>(operands[1]), *rows = static_cast<int32_t *>(operands[2]);
  const float *output = static_cast<float *>(operands[3]);
  const int32_t *next = static_cast<int32_t *>(operands[4]);
  float *result = static_cast<float *>(operands[5]);
  const float *hidden = static_cast<float *>(operands[6]), *window = static_cast<float *>(operands[7]);
  const int64_t r = task / 2, row = rows[r];
  const uint32_t begin = task % 2 ? kVocabulary / 2 : 0, end = task % 2 ? kVocabulary : kVocabulary / 2;
  for (uint32_t v = begin; v < end; ++v) {
    float sum = hidden[row * kHidden] + window[row * kHidden];
    for (uint32_t d = 0; d < kHidden; ++d)
      sum += attended[row * kHidden + d] * output[d * kVocabulary + v];
    result[r * kVocabulary + v] = sum + (next[ids[row]] == int32_t(v) ? kBonus : 0);
  }
}

// operands: work items, attended, result; the last item of a sequence gives what its last row attended
void last(void *const *operands, int64_t, int64_t task) {
  const kerf_work_item &item = static_cast<kerf_work_item *>(operands[0])[task];
  const float *attended = static_cast<float *>(operands[1]);
  float *result = static_cast<float *>(operands[2]);
  if (item.position + item.row_count != item.key_end)
    return;
  for (uint32_t d = 0; d < kHidden; ++d)
    result[item.sequence * int64_t(kHidden) + d] = attended[int64_t(item.row_begin + item.row_count - 1) * kHidden + d];
}

// Costs are stated far too high, so that the pool runs even these small dispatches on all threads.
constexpr int64_t kPretended = 1 << 20;
constexpr kerf_linear_form pretended(int64_t perToken) { return {{kPretended, perToken}}; }
constexpr kerf_linear_form perToken(int64_t bytes) { return {{0, bytes}}; }

constexpr kerf_operand slot(uint32_t index) { return {KERF_OPERAND_SLOT, index, 0, 0}; }
constexpr kerf_operand weight(uint32_t index) { return {KERF_OPERAND_WEIGHT, index, 0, 0}; }
constexpr kerf_operand step(uint32_t field, uint32_t group = 0) { return {KERF_OPERAND_STEP, field, group, 0}; }
constexpr kerf_operand cache(uint32_t group, uint32_t plane) { return {KERF_OPERAND_CACHE, group, plane, 0}; }

const kerf_operand kEmbed[] = {step(KERF_STEP_TOKEN_IDS), step(KERF_STEP_POSITIONS), weight(0), slot(0)};
const kerf_operand kAppend[] = {
    slot(0), step(KERF_STEP_SLOTS, 0), step(KERF_STEP_SLOTS, 1), cache(0, 0), cache(0, 1), cache(1, 0)};
#define ATTEND(list, to)                                                                                               \
  {step(KERF_STEP_WORK_ITEMS, list),                                                                                   \
   step(KERF_STEP_PAGE_BEGIN, 0),                                                                                      \
   step(KERF_STEP_PAGES, 0),                                                                                           \
   step(KERF_STEP_PAGE_BEGIN, 1),                                                                                      \
   step(KERF_STEP_PAGES, 1),                                                                                           \
   cache(0, 0),                                                                                                        \
   cache(0, 1),                                                                                                        \
   cache(1, 0),                                                                                                        \
   slot(to)}
const kerf_operand kAttend[] = ATTEND(0, 1), kAttendWindow[] = ATTEND(1, 2);
const kerf_operand kProject[] = {slot(1),
                                 step(KERF_STEP_TOKEN_IDS),
                                 step(KERF_STEP_LOGIT_ROWS),
                                 weight(1),
                                 weight(2),
                                 {KERF_OPERAND_RESULT, 0, 0, 0},
                                 slot(0),
                                 slot(2)};
const kerf_operand kLast[] = {step(KERF_STEP_WORK_ITEMS), slot(1), {KERF_OPERAND_RESULT, 0, 0, 0}};

constexpr uint32_t kOperandSize = sizeof(kerf_operand);
const kerf_dispatch kDispatches[] = {
    {0, KERF_EXTENT_TOKENS, 4, kOperandSize, kEmbed, "embed", pretended(kHidden * 8), perToken(kHidden)},
    {1, KERF_EXTENT_TOKENS, 6, kOperandSize, kAppend, "layers.0.append", pretended(kHidden * 16), perToken(kHidden)},
    {2,
     KERF_EXTENT_WORK_ITEMS,
     9,
     kOperandSize,
     kAttend,
     "layers.0.attention",
     {{kPretended, 0, 0, 0, 0, 0, kHidden * 12}},
     {{0, 0, 0, 0, 0, kHidden * 6}}},
    {2,
     KERF_EXTENT_WORK_ITEMS,
     9,
     kOperandSize,
     kAttendWindow,
     "layers.0.window",
     {{0, 0, 0, 0, 0, 0, 1}},
     {{0, 0, 0, 0, 0, 1}}},
    {3,
     KERF_EXTENT_LOGIT_ROWS,
     8,
     kOperandSize,
     kProject,
     "logits",
     {{kPretended, 0, 0, kVocabulary * 4}},
     {{0, 0, 0, 2 * kHidden * kVocabulary}}},
};
const kerf_dispatch kEncodeDispatches[] = {
    kDispatches[0],
    kDispatches[1],
    kDispatches[2],
    {4, KERF_EXTENT_WORK_ITEMS, 3, kOperandSize, kLast, "last", {{0, 0, kHidden * 8}}, {}},
};

const kerf_slot kSlots[] = {
    {perToken(kHidden * 4)}, {perToken(kHidden * 4)}, {perToken(kHidden * 4)}, {{{100, 0, 8, 4, 16}}}};

const kerf_work_list kStepLists[] = {{0, KERF_UNBOUNDED, 0, 0}, {1, kWindow, 0, 0}};
const kerf_work_list kEncodeLists[] = {{0, KERF_UNBOUNDED, KERF_UNBOUNDED, 0}};
const kerf_result kLogits[] = {{KERF_RESULT_LOGITS, KERF_EXTENT_LOGIT_ROWS, kVocabulary, KERF_ELEMENT_F32}};
const kerf_result kVectors[] = {{KERF_RESULT_VECTORS, KERF_EXTENT_SEQUENCES, kHidden, KERF_ELEMENT_F32}};

constexpr uint32_t kDispatchSize = sizeof(kerf_dispatch), kSlotSize = sizeof(kerf_slot);
constexpr uint32_t kListSize = sizeof(kerf_work_list), kResultSize = sizeof(kerf_result);
const kerf_program kPrograms[] = {
    {"step", 5, kDispatchSize, 4, kSlotSize, 2, kListSize, 1, kResultSize, kDispatches, kSlots, kStepLists, kLogits},
    {"encode", 4, kDispatchSize, 2, kSlotSize, 1, kListSize, 1, kResultSize, kEncodeDispatches, kSlots, kEncodeLists,
     kVectors}};

const kerf_kernel kKernels[] = {
    {"embed", embed, kTokenTile, 1, 256},
    {"append", append, kTokenTile, 1, 256},
    {"attend", attend, 1, 1, 512},
    {"project", project, 1, 2, 256},
    {"last", last, 1, 1, 256},
};

constexpr uint32_t kKernelSize = sizeof(kerf_kernel);
const kerf_variant kVariants[] = {{"narrow", 0, 5, kKernelSize, 3, 0, kKernels},
                                  {"wide", KERF_CPU_AVX2, 5, kKernelSize, 5, 0, kKernels},
                                  {"never", uint64_t(1) << 63, 5, kKernelSize, 7, 0, kKernels}};

const uint64_t kWeightBytes[] = {kVocabulary * kHidden * 4, kVocabulary * kHidden * 4, kVocabulary * 4};

const kerf_cache_group kGroups[] = {{2, kPageSize[0], kPageSize[0] * kHidden * 4},
                                    {1, kPageSize[1], kPageSize[1] * kHidden * 4}};

} // namespace

const kerf_library &fakeLibrary() {
  static const kerf_library library = {KERF_ABI_VERSION,
                                       sizeof(kerf_library),
                                       {0xfa, 0xce, 1, 2, 3},
                                       "fake-model",
                                       3,
                                       sizeof(kerf_variant),
                                       2,
                                       sizeof(kerf_program),
                                       3,
                                       2,
                                       sizeof(kerf_cache_group),
                                       0,
                                       kVariants,
                                       kPrograms,
                                       kWeightBytes,
                                       kGroups,
                                       kVocabulary,
                                       kContext,
                                       0,
                                       0,
                                       nullptr};
  return library;
}

FakeWeights makeWeights(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto fill = [&](std::vector<float> &values, size_t count) {
    values.resize(count);
    for (float &value : values)
      value = float(int64_t(random() >> 40)) / float(1 << 23) - 1.0f;
  };
  FakeWeights weights;
  fill(weights.embedding, kVocabulary * kHidden);
  fill(weights.output, kVocabulary * kHidden);
  weights.next.assign(kVocabulary, -1);
  return weights;
}

namespace {

// The fold over the keys [first, ids.size()).
std::array<float, kHidden> referenceFold(const FakeWeights &weights, const std::vector<int32_t> &ids, size_t first) {
  std::array<float, kHidden> sums = {};
  for (size_t key = first; key < ids.size(); ++key)
    for (uint32_t d = 0; d < kHidden; ++d) {
      const float value = embedded(weights.embedding.data(), ids[key], int32_t(key), d);
      sums[d] = fold(sums[d], stored(0, value), stored(1, value), value);
    }
  return sums;
}

} // namespace

std::vector<float> referenceLogits(const FakeWeights &weights, const std::vector<int32_t> &ids) {
  const std::array<float, kHidden> sums = referenceFold(weights, ids, 0);
  const float window = referenceFold(weights, ids, ids.size() > kWindow ? ids.size() - kWindow : 0)[0];
  std::vector<float> logits(kVocabulary);
  for (uint32_t v = 0; v < kVocabulary; ++v) {
    logits[v] = embedded(weights.embedding.data(), ids.back(), int32_t(ids.size()) - 1, 0) + window;
    for (uint32_t d = 0; d < kHidden; ++d)
      logits[v] += sums[d] * weights.output[d * kVocabulary + v];
    logits[v] += weights.next[ids.back()] == int32_t(v) ? kBonus : 0;
  }
  return logits;
}

std::vector<float> referenceVector(const FakeWeights &weights, const std::vector<int32_t> &ids) {
  const std::array<float, kHidden> sums = referenceFold(weights, ids, 0);
  return {sums.begin(), sums.end()};
}

} // namespace kerf::test
