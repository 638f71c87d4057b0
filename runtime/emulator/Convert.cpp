// Conversions between types.
#include "runtime/emulator/Float.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

#include <algorithm>
#include <limits>

namespace kerf::emulator {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

enum Type : uint8_t { U8, U16, U32, U64, S8, S16, S32, S64, F16, BF16, F32, F64 };
constexpr std::string_view kTypes[] = {"u8",  "u16", "u32", "u64",  "s8",  "s16",
                                       "s32", "s64", "f16", "bf16", "f32", "f64"};
enum Rounding : uint8_t { Nearest, Zero, Down, Up };

Type typeOf(std::string_view name) {
  return static_cast<Type>(std::find(std::begin(kTypes), std::end(kTypes), name) - kTypes);
}
bool isFloat(Type t) { return t >= F16; }
unsigned bytesOf(Type t) { return t == F32 ? 4 : t == F64 ? 8 : t >= F16 ? 2 : 1u << (t & 3); }

/// How a conversion goes: in `immediate`.
struct Plan {
  uint8_t to, from, rounding, flags;
  uint8_t toBytes, fromBytes;
  u16 unused = 0;
};
constexpr uint8_t kFlush = 1, kSaturate = 2, kToIntegral = 4, kRelu = 8;

double roundIntegral(double x, Rounding r) {
  switch (r) {
  case Nearest:
    return std::nearbyint(x);
  case Zero:
    return std::trunc(x);
  case Down:
    return std::floor(x);
  case Up:
    return std::ceil(x);
  }
  return x;
}

/// A double to the nearest, or the next in a direction, of a shorter format.
template <typename Bits, typename F>
double directed(double x, Rounding r, Bits (*toBits)(F), F (*fromBits)(Bits), F nearest) {
  double back = static_cast<double>(nearest);
  bool tooHigh = back > x, tooLow = back < x;
  bool wantDown = r == Down || (r == Zero && x > 0), wantUp = r == Up || (r == Zero && x < 0);
  Bits bits = toBits(nearest);
  bool negative = bits >> (8 * sizeof(Bits) - 1);
  if (tooHigh && wantDown)
    bits = static_cast<Bits>(negative ? bits + 1 : bits - 1);
  else if (tooLow && wantUp)
    bits = static_cast<Bits>(negative ? bits - 1 : bits + 1);
  return static_cast<double>(fromBits(bits));
}

u64 saturated(double x, Type to) {
  bool isSigned = to >= S8;
  unsigned bits = 8 * bytesOf(to);
  if (x != x)
    return 0; // 32 bits and less; for 64 the hardware gives 0x8000000000000000
  double low = isSigned ? -std::ldexp(1.0, static_cast<int>(bits) - 1) : 0;
  double limit = std::ldexp(1.0, static_cast<int>(isSigned ? bits - 1 : bits));
  if (x < low)
    return isSigned ? u64(1) << (bits - 1) : 0;
  if (x >= limit)
    return isSigned ? (u64(1) << (bits - 1)) - 1 : (bits == 64 ? ~u64(0) : (u64(1) << bits) - 1);
  return isSigned ? static_cast<u64>(static_cast<int64_t>(x)) : static_cast<u64>(x);
}

u64 loadLane(const Warp &w, int32_t o, unsigned registerBytes, unsigned lane) {
  switch (registerBytes) {
  case 2:
    return w.reg<u16>(o)[lane];
  case 4:
    return w.reg<u32>(o)[lane];
  default:
    return w.reg<u64>(o)[lane];
  }
}

u64 toInteger(u64 bits, Type t) {
  switch (t) {
  case U8:
    return static_cast<uint8_t>(bits);
  case U16:
    return static_cast<u16>(bits);
  case U32:
    return static_cast<u32>(bits);
  case S8:
    return static_cast<u64>(static_cast<int8_t>(bits));
  case S16:
    return static_cast<u64>(static_cast<int16_t>(bits));
  case S32:
    return static_cast<u64>(static_cast<int32_t>(bits));
  default:
    return bits;
  }
}

u64 convertLane(u64 bits, const Plan &p) {
  Type from = static_cast<Type>(p.from), to = static_cast<Type>(p.to);
  Rounding rounding = static_cast<Rounding>(p.rounding);
  if (!isFloat(from) && !isFloat(to)) {
    u64 x = toInteger(bits, from);
    if (!(p.flags & kSaturate))
      return toInteger(x, to); // into a longer register by the sign of the target
    bool negative = from >= S8 && static_cast<int64_t>(x) < 0;
    unsigned width = 8 * bytesOf(to);
    if (to >= S8) {
      int64_t high = static_cast<int64_t>((u64(1) << (width - 1)) - 1);
      if (negative)
        return static_cast<u64>(std::max(static_cast<int64_t>(x), -high - 1));
      return std::min(x, static_cast<u64>(high));
    }
    return negative ? 0 : std::min(x, width == 64 ? ~u64(0) : (u64(1) << width) - 1);
  }
  if (!isFloat(from)) {
    u64 x = toInteger(bits, from);
    bool isSigned = from >= S8;
    if (to == F64)
      return std::bit_cast<u64>(isSigned ? static_cast<double>(static_cast<int64_t>(x)) : static_cast<double>(x));
    float nearest = isSigned ? static_cast<float>(static_cast<int64_t>(x)) : static_cast<float>(x);
    if (to == F32) {
      if (rounding != Nearest && bytesOf(from) <= 4) {
        double exact = isSigned ? static_cast<double>(static_cast<int64_t>(x)) : static_cast<double>(x);
        nearest = static_cast<float>(directed<u32, float>(
            exact, rounding, [](float f) { return std::bit_cast<u32>(f); },
            [](u32 b) { return std::bit_cast<float>(b); }, nearest));
      }
      return std::bit_cast<u32>(nearest);
    }
    return to == F16 ? std::bit_cast<u16>(static_cast<_Float16>(nearest)) : toBf16(nearest).bits;
  }
  double x = from == F64   ? std::bit_cast<double>(bits)
             : from == F32 ? static_cast<double>(std::bit_cast<float>(static_cast<u32>(bits)))
             : from == F16 ? static_cast<double>(toFloat(std::bit_cast<_Float16>(static_cast<u16>(bits))))
                           : static_cast<double>(toFloat(Bf16{static_cast<u16>(bits)}));
  if (p.flags & kFlush && from == F32)
    x = flush(static_cast<float>(x));
  if (!isFloat(to)) {
    double whole = roundIntegral(x, rounding);
    if (x != x && bytesOf(to) == 8)
      return u64(1) << 63;
    return saturated(whole, to);
  }
  if (p.flags & kToIntegral)
    x = roundIntegral(x, rounding);
  if (p.flags & kSaturate)
    x = x > 0 ? std::min(x, 1.0) : 0.0;
  if (p.flags & kRelu)
    x = x > 0 || x != x ? x : 0.0;
  if (to == F64)
    return std::bit_cast<u64>(x);
  float single = static_cast<float>(x);
  auto singleBits = [](float f) { return std::bit_cast<u32>(f); };
  auto bitsSingle = [](u32 b) { return std::bit_cast<float>(b); };
  if (to == F32) {
    if (rounding != Nearest && !(p.flags & kToIntegral) && x == x)
      single = static_cast<float>(directed<u32, float>(x, rounding, singleBits, bitsSingle, single));
    return std::bit_cast<u32>(p.flags & kFlush ? flush(single) : single);
  }
  if (to == F16) {
    _Float16 h = static_cast<_Float16>(single);
    if (rounding != Nearest && x == x)
      h = static_cast<_Float16>(static_cast<float>(directed<u16, _Float16>(
          x, rounding, [](_Float16 f) { return std::bit_cast<u16>(f); },
          [](u16 b) { return std::bit_cast<_Float16>(b); }, h)));
    return std::bit_cast<u16>(h);
  }
  if (rounding == Zero && x == x)
    return static_cast<u16>(std::bit_cast<u32>(single) >> 16);
  return toBf16(single).bits;
}

/// Any conversion, lane by lane.
void convert(Warp &w, const Instruction &i) {
  Plan p = std::bit_cast<Plan>(i.immediate);
  forLanes(w, [&](unsigned lane) {
    u64 r = convertLane(loadLane(w, i.o[1], p.fromBytes, lane), p);
    if (p.toBytes == 2)
      w.reg<u16>(i.o[0])[lane] = static_cast<u16>(r);
    else if (p.toBytes == 4)
      w.reg<u32>(i.o[0])[lane] = static_cast<u32>(r);
    else
      w.reg<u64>(i.o[0])[lane] = r;
  });
  w.mark(i.o[0], w.undefined(i.o[1]));
}

// The conversions that kernels are full of.
template <typename D, typename S> struct Cast {
  static D f(S a) { return static_cast<D>(a); }
};
template <typename T> struct Widen {
  static float f(T a) { return toFloat(a); }
};
template <typename T> struct Narrow {
  static T f(float a) { return fromFloat<T>(a); }
};
struct Fast {
  Type to, from;
  uint8_t toBytes, fromBytes;
  Execute run;
};
const Fast kFast[] = {
    {U64, U32, 8, 4, unary<u64, u32, Cast<u64, u32>>},
    {S64, S32, 8, 4, unary<int64_t, int32_t, Cast<int64_t, int32_t>>},
    {U32, U64, 4, 8, unary<u32, u64, Cast<u32, u64>>},
    {U32, U16, 4, 2, unary<u32, u16, Cast<u32, u16>>},
    {S32, S16, 4, 2, unary<int32_t, int16_t, Cast<int32_t, int16_t>>},
    {U16, U32, 2, 4, unary<u16, u32, Cast<u16, u32>>},
    {F32, F16, 4, 2, unary<float, _Float16, Widen<_Float16>>},
    {F32, BF16, 4, 2, unary<float, Bf16, Widen<Bf16>>},
    {F16, F32, 2, 4, unary<_Float16, float, Narrow<_Float16>>},
    {BF16, F32, 2, 4, unary<Bf16, float, Narrow<Bf16>>},
    {F32, S32, 4, 4, unary<float, int32_t, Cast<float, int32_t>>},
    {F32, U32, 4, 4, unary<float, u32, Cast<float, u32>>},
};

void finish(Instruction &i, const Parts &parts) {
  std::string_view rounding = parts[1];
  Plan p = {};
  p.to = typeOf(parts[5]);
  p.from = typeOf(parts[6]);
  bool floatTo = isFloat(static_cast<Type>(p.to)), floatFrom = isFloat(static_cast<Type>(p.from));
  if (rounding.starts_with("rz"))
    p.rounding = Zero;
  else if (rounding.starts_with("rm"))
    p.rounding = Down;
  else if (rounding.starts_with("rp"))
    p.rounding = Up;
  bool integral = rounding.ends_with("i");
  if (floatFrom && !floatTo && !integral)
    throw std::string("a float to an integer needs a rounding like .rzi");
  if (integral && floatTo)
    p.flags |= kToIntegral;
  p.flags |= parts[2] == "ftz" ? kFlush : 0;
  p.flags |= parts[4] == "sat" ? kSaturate : 0;
  p.flags |= parts[3] == "relu" ? kRelu : 0;
  p.fromBytes = i.registerBytes;
  p.toBytes = i.bytes;
  i.bytes = 0;
  if (p.fromBytes < bytesOf(static_cast<Type>(p.from)) || p.toBytes < bytesOf(static_cast<Type>(p.to)))
    throw std::string("a register is shorter than the type");
  if (floatTo && p.toBytes != bytesOf(static_cast<Type>(p.to)))
    throw std::string("a float needs a register of its length");
  if (p.flags == 0 && (p.rounding == Nearest || (!floatTo && !floatFrom)))
    for (const Fast &fast : kFast)
      if (fast.to == p.to && fast.from == p.from && fast.toBytes == p.toBytes && fast.fromBytes == p.fromBytes)
        i.run = fast.run;
  i.immediate = std::bit_cast<int64_t>(p);
}

/// Two f32 to a pair: the first is the high half.
template <typename T, bool Relu> void toPair(Warp &w, const Instruction &i) {
  T *d = w.reg<T>(i.o[0]);
  const float *high = w.reg<float>(i.o[1]), *low = w.reg<float>(i.o[2]);
  T r[2 * kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    float l = low[lane], h = high[lane];
    r[2 * lane] = fromFloat<T>(Relu && l < 0 ? 0 : l);
    r[2 * lane + 1] = fromFloat<T>(Relu && h < 0 ? 0 : h);
  }
  forLanes(w, [&](unsigned lane) {
    d[2 * lane] = r[2 * lane];
    d[2 * lane + 1] = r[2 * lane + 1];
  });
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]));
}

#define KERF_TYPES "u8|u16|u32|u64|s8|s16|s32|s64|f16|bf16|f32|f64"
const Row kRows[] = {
    {"cvt.rni|rzi|rmi|rpi|rn|rz|rm|rp?.ftz?.relu?.sat?." KERF_TYPES "." KERF_TYPES, "Xx", convert, finish},
    {"cvt.rn.bf16x2.f32", "Www", toPair<Bf16, false>},
    {"cvt.rn.relu.bf16x2.f32", "Www", toPair<Bf16, true>},
    {"cvt.rn.f16x2.f32", "Www", toPair<_Float16, false>},
    {"cvt.rn.relu.f16x2.f32", "Www", toPair<_Float16, true>},
};

} // namespace

std::span<const Row> convertRows() { return kRows; }

} // namespace kerf::emulator
