// The functions of FakeGpu.h as real kernels, so that an emulator or a GPU can run them. One thread of a block does its
// work, in the host's order; compiled without fused multiply-adds, so that the bits are the host's.
using int32 = int;
using int64 = long;
constexpr int64 kHidden = 4, kVocabulary = 264, kTile = 3, kPageSize[2] = {4, 3};
constexpr float kBonus = 1e6f;

struct Item { // kerf_work_item
  int32 row_begin, row_count, sequence, position, key_first, key_end, behind, ahead;
};

struct Sampling { // kerf_sampling
  float temperature, top_p;
  unsigned top_k, reserved;
  unsigned long random;
};

#define KERNEL extern "C" __attribute__((global)) void
// The block's number in its first thread; past all rows in the others.
static __attribute__((device)) int64 block() {
  return __nvvm_read_ptx_sreg_tid_x() == 0 ? int64(__nvvm_read_ptx_sreg_ctaid_x()) : int64(1) << 40;
}
static __attribute__((device)) int64 least(int64 a, int64 b) { return a < b ? a : b; }
static __attribute__((device)) int64 most(int64 a, int64 b) { return a > b ? a : b; }

static __attribute__((device)) void embed(const int32 *ids, const int32 *positions, const float *embedding,
                                          float *hidden, const int32 *rows) {
  const int64 first = block() * kTile, end = least(*rows, first + kTile);
  for (int64 row = first; row < end; ++row)
    for (int64 d = 0; d < kHidden; ++d)
      hidden[row * kHidden + d] = embedding[ids[row] * kHidden + d] + float(positions[row]) * 0.01f;
}

KERNEL embed_few(const int32 *ids, const int32 *positions, const float *embedding, float *hidden, const int32 *rows) {
  embed(ids, positions, embedding, hidden, rows);
}

KERNEL embed_many(const int32 *ids, const int32 *positions, const float *embedding, float *hidden, const int32 *rows) {
  embed(ids, positions, embedding, hidden, rows);
}

KERNEL append(const float *hidden, const int32 *slots0, const int32 *slots1, float *plane0, float *plane1,
              float *plane2, const int32 *rows) {
  const int64 first = block() * kTile, end = least(*rows, first + kTile);
  for (int64 row = first; row < end; ++row)
    for (int64 d = 0; d < kHidden; ++d) {
      const float value = hidden[row * kHidden + d];
      plane0[slots0[row] * kHidden + d] = value;
      plane1[slots0[row] * kHidden + d] = -0.5f * value;
      plane2[slots1[row] * kHidden + d] = value;
    }
}

// In the place of append: writes where nothing is.
KERNEL fault(const float *, const int32 *, const int32 *, float *plane0, float *, float *, const int32 *) {
  plane0[int64(1) << 44] = 1;
}

static __attribute__((device)) void attend(bool single, const Item *items, const int32 *begin0, const int32 *pages0,
                                           const int32 *begin1, const int32 *pages1, const float *plane0,
                                           const float *plane1, const float *plane2, float *attended,
                                           const int32 *rows) {
  const int64 index = block();
  if (index >= *rows || (items[index].row_count == 1) != single)
    return;
  const Item item = items[index];
  for (int64 i = 0; i < item.row_count; ++i)
    for (int64 d = 0; d < kHidden; ++d) {
      float sum = 0;
      const int64 position = int64(item.position) + i;
      const int64 first = most(item.key_first, position + 1 - item.behind);
      const int64 end = least(item.key_end, position + 1 + item.ahead);
      for (int64 key = first; key < end; ++key) {
        const int64 slot0 = pages0[begin0[item.sequence] + key / kPageSize[0]] * kPageSize[0] + key % kPageSize[0];
        const int64 slot1 = pages1[begin1[item.sequence] + key / kPageSize[1]] * kPageSize[1] + key % kPageSize[1];
        sum = sum * 0.75f + plane0[slot0 * kHidden + d] * 1.5f - plane1[slot0 * kHidden + d] * 0.25f +
              plane2[slot1 * kHidden + d] * sum * 0.001f;
      }
      attended[(item.row_begin + i) * kHidden + d] = sum;
    }
}

KERNEL attend_single(const Item *items, const int32 *begin0, const int32 *pages0, const int32 *begin1,
                     const int32 *pages1, const float *plane0, const float *plane1, const float *plane2,
                     float *attended, const int32 *rows) {
  attend(true, items, begin0, pages0, begin1, pages1, plane0, plane1, plane2, attended, rows);
}

KERNEL attend_several(const Item *items, const int32 *begin0, const int32 *pages0, const int32 *begin1,
                      const int32 *pages1, const float *plane0, const float *plane1, const float *plane2,
                      float *attended, const int32 *rows) {
  attend(false, items, begin0, pages0, begin1, pages1, plane0, plane1, plane2, attended, rows);
}

KERNEL project_first(const float *, const int32 *, const int32 *, const float *, const int32 *, float *result,
                     const float *, const float *, const int32 *rows) {
  const int64 row = block();
  if (row < *rows)
    for (int64 v = 0; v < kVocabulary; ++v)
      result[row * kVocabulary + v] = __builtin_nanf("");
}

KERNEL project(const float *attended, const int32 *ids, const int32 *logitRows, const float *output, const int32 *next,
               float *result, const float *hidden, const float *window, const int32 *rows) {
  const int64 r = block() / 2;
  if (r >= *rows)
    return;
  const int64 row = logitRows[r], half = kVocabulary / 2, begin = block() % 2 * half;
  for (int64 v = begin; v < begin + half; ++v) {
    float sum = hidden[row * kHidden] + window[row * kHidden];
    for (int64 d = 0; d < kHidden; ++d)
      sum += attended[row * kHidden + d] * output[d * kVocabulary + v];
    result[r * kVocabulary + v] = sum + (next[ids[row]] == v ? kBonus : 0);
  }
}

KERNEL last(const Item *items, const float *attended, float *result, const int32 *rows) {
  const int64 index = block();
  if (index >= *rows || items[index].position + items[index].row_count != items[index].key_end)
    return;
  const Item item = items[index];
  for (int64 d = 0; d < kHidden; ++d)
    result[item.sequence * kHidden + d] = attended[int64(item.row_begin + item.row_count - 1) * kHidden + d];
}

// runtime/schema/Sampling.h once more, one candidate after the other.
static __attribute__((device)) unsigned long weigh(float logit, float greatest, double scale) {
  const double u = (double(greatest) - double(logit)) * scale;
  if (!(u < 0x1p38))
    return 0;
  const unsigned long q = u, f = q & 0xffffffff;
  unsigned long h = 0;
#define TERM(factor) h = f * (factor##ul - h) >> 32;
  TERM(0x0000bda6) TERM(0x0009c200) TERM(0x005728b0) TERM(0x027641a9) TERM(0x0e358127) TERM(0x3d7f7bcb) TERM(0xb17217f7)
  const unsigned long shift = (q >> 32) + 9; // 2^9 >= kVocabulary
  return shift < 63 ? (0x100000000ul - h) << 30 >> shift : 0;
}

static __attribute__((device)) int32 draw(const float *logits, const Sampling &sampling) {
  int64 best = -1, count = 0;
  for (int64 v = 0; v < kVocabulary; ++v) {
    count += logits[v] == logits[v];
    if (best < 0 ? logits[v] == logits[v] : logits[v] > logits[best])
      best = v;
  }
  if (best < 0 || sampling.temperature == 0 || sampling.top_k == 1 || logits[best] - logits[best] != 0)
    return best;
  const double scale = 0x1.71547652b82fep+32 / double(sampling.temperature);
  const auto weight = [&](int64 v) { return weigh(logits[v], logits[best], scale); };
  // Whether v comes after w among the candidates.
  const auto after = [&](int64 v, int64 w) { return logits[v] < logits[w] || (logits[v] == logits[w] && v > w); };
  const auto next = [&](int64 w) {
    int64 found = -1;
    for (int64 v = 0; v < kVocabulary; ++v)
      if (after(v, w) && (found < 0 || after(found, v)))
        found = v;
    return found;
  };
  if (sampling.top_k && sampling.top_k < count)
    count = sampling.top_k;
  unsigned long total = weight(best), sum = total;
  int64 last = best;
  for (int64 i = 1; i < count; ++i)
    total += weight(last = next(last));
  if (sampling.top_p > 0 && sampling.top_p < 1) {
    const double share = double(sampling.top_p) * double(total);
    unsigned long needed = share;
    needed += double(needed) < share;
    for (last = best; sum < needed;)
      sum += weight(last = next(last));
  } else {
    sum = total;
  }
  const unsigned long target = (unsigned __int128)sampling.random * sum >> 64;
  unsigned long reached = 0;
  for (int64 v = 0;; ++v)
    if (v == last || after(last, v))
      if ((reached += weight(v)) > target)
        return v;
}

KERNEL sample(const float *logits, const Sampling *samplings, int32 *tokens, const int32 *rows) {
  const int64 row = block();
  if (row < *rows)
    tokens[row] = samplings[row].temperature < 0 ? -1 : draw(logits + row * kVocabulary, samplings[row]);
}
