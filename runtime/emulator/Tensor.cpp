// ldmatrix and mma.sync.
#include "runtime/emulator/Access.h"
#include "runtime/emulator/Float.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

#include <cstring>

namespace kerf::emulator {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;

void needAll(Warp &w, const char *what) {
  if (w.exec != kAll)
    fault(w, CUDA_ERROR_LAUNCH_FAILED, static_cast<unsigned>(__builtin_ctz(~w.exec)),
          std::string(what) + " needs all 32 lanes; this thread is elsewhere");
}

/// Matrices of 8 x 8 elements of 16 bits, a row of 16 bytes at the address of a lane: lane 8 m + r has row r of matrix
/// m. Lane l takes elements 2 (l % 4) and the next of row l / 4, or of column l / 4 if transposed.
void loadMatrices(Warp &w, const Instruction &i) {
  needAll(w, "ldmatrix");
  uint32_t rows = i.count == 4 ? kAll : (1u << (8 * i.count)) - 1;
  Lanes64 a;
  w.exec = rows;
  addressesOf(w, i, i.count, a);
  Undefined undefinedRows = {};
  const uint8_t *base = w.cta->shared.data();
  Space space = i.space;
  if (space == Space::Generic)
    for (uint64_t &address : a)
      address &= ~kWindowMask;
  checkShared(w, {i, a, 16, 1, Kind::Read}, undefinedRows);
  w.exec = kAll;
  for (unsigned m = 0; m < i.count; ++m) {
    u16 matrix[8][8];
    for (unsigned r = 0; r < 8; ++r)
      std::memcpy(matrix[r], base + a[8 * m + r], 16);
    u32 *d = w.reg<u32>(i.o[m]);
    uint32_t undefined = 0, bad = undefinedRows[0] >> (8 * m) & 255;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      unsigned major = lane / 4, minor = lane % 4 * 2;
      if (i.variant) {
        d[lane] = matrix[minor][major] | static_cast<u32>(matrix[minor + 1][major]) << 16;
        undefined |= (bad >> minor & 3 ? 1u : 0u) << lane;
      } else {
        std::memcpy(&d[lane], &matrix[major][minor], 4);
        undefined |= (bad >> major & 1) << lane;
      }
    }
    w.mark(i.o[m], undefined);
  }
}
void finishMatrices(Instruction &i, const Parts &parts) {
  unsigned count = static_cast<unsigned>(parts[4][1] - '0');
  if (count != i.count)
    throw "expected " + std::to_string(count) + " registers, got " + std::to_string(i.count);
  i.variant = parts[5] == "trans";
  i.space = parts[6].empty() ? Space::Generic : Space::Shared;
}

/// D (16 x 8) = A (16 x K) B (K x 8) + C, K 8 or 16. Registers hold pairs along K: of lane 4 g + t, A's are rows g and
/// g + 8, elements 2 t and 2 t + 8 on; B's column g, the same elements; C's and D's rows g and g + 8, columns 2 t on.
/// Products are exact in f32; they are added to the accumulator in the order of K, each sum rounded to the nearest. The
/// hardware adds several at once and cuts off, so results differ in the last bits.
template <typename T, unsigned K> void multiply(Warp &w, const Instruction &i) {
  needAll(w, "mma");
  constexpr unsigned kA = K / 4, kB = K / 8;
  const int32_t *od = i.o, *oa = od + 4, *ob = oa + kA, *oc = ob + kB;
  alignas(64) float a[16][K], b[K][8], d[16][8];
  uint32_t anyUndefined = 0;
  for (unsigned r = 0; r < kA; ++r) {
    const T *s = w.reg<T>(oa[r]);
    anyUndefined |= w.undefined(oa[r]);
    float f[2 * kLanes];
    for (unsigned at = 0; at < 2 * kLanes; ++at)
      f[at] = toFloat(s[at]);
    for (unsigned g = 0; g < 8; ++g)
      std::memcpy(&a[g + r % 2 * 8][r / 2 * 8], &f[8 * g], 32);
  }
  for (unsigned r = 0; r < kB; ++r) {
    const T *s = w.reg<T>(ob[r]);
    anyUndefined |= w.undefined(ob[r]);
    for (unsigned g = 0; g < 8; ++g)
      for (unsigned k = 0; k < 8; ++k)
        b[r * 8 + k][g] = toFloat(s[8 * g + k]);
  }
  for (unsigned h = 0; h < 2; ++h) {
    const float *c0 = w.reg<float>(oc[2 * h]), *c1 = w.reg<float>(oc[2 * h + 1]);
    anyUndefined |= w.undefined(oc[2 * h]) | w.undefined(oc[2 * h + 1]);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      d[lane / 4 + 8 * h][lane % 4 * 2] = c0[lane];
      d[lane / 4 + 8 * h][lane % 4 * 2 + 1] = c1[lane];
    }
  }
  for (unsigned row = 0; row < 16; ++row) {
    float sum[8];
    std::memcpy(sum, d[row], sizeof sum);
    for (unsigned k = 0; k < K; ++k)
      for (unsigned column = 0; column < 8; ++column)
        sum[column] = std::fma(a[row][k], b[k][column], sum[column]);
    std::memcpy(d[row], sum, sizeof sum);
  }
  uint32_t undefined[4] = {};
  if (anyUndefined) {
    // A row of A spoils its row of D, a column of B its column; an element of C itself.
    uint32_t rows = 0, columns = 0;
    for (unsigned r = 0; r < kA; ++r)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        rows |= (w.undefined(oa[r]) >> lane & 1) << (lane / 4 + r % 2 * 8);
    for (unsigned r = 0; r < kB; ++r)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        columns |= (w.undefined(ob[r]) >> lane & 1) << (lane / 4);
    for (unsigned n = 0; n < 4; ++n)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        undefined[n] |=
            ((rows >> (lane / 4 + n / 2 * 8) | columns >> (lane % 4 * 2 + n % 2) | w.undefined(oc[n]) >> lane) & 1)
            << lane;
  }
  for (unsigned n = 0; n < 4; ++n) {
    float *r = w.reg<float>(od[n]);
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r[lane] = d[lane / 4 + n / 2 * 8][lane % 4 * 2 + n % 2];
    w.mark(od[n], undefined[n]);
  }
}

const Row kRows[] = {
    {"ldmatrix.sync.aligned.m8n8.x1|x2|x4.trans?.shared|shared::cta?.b16", "Vm", loadMatrices, finishMatrices},
    {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "{WWWW}{wwww}{ww}{wwww}", multiply<Bf16, 16>},
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "{WWWW}{wwww}{ww}{wwww}", multiply<_Float16, 16>},
    {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", "{WWWW}{ww}{w}{wwww}", multiply<Bf16, 8>},
    {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "{WWWW}{ww}{w}{wwww}", multiply<_Float16, 8>},
};

} // namespace

std::span<const Row> tensorRows() { return kRows; }

} // namespace kerf::emulator
