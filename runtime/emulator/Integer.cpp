// Integers, bits, comparisons, and moves.
#include "runtime/emulator/Float.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

#include <algorithm>
#include <bit>

namespace kerf::emulator {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;

template <typename T> using Unsigned = std::make_unsigned_t<T>;
template <typename T> struct Wider;
template <> struct Wider<u16> {
  using Type = u32;
};
template <> struct Wider<s16> {
  using Type = s32;
};
template <> struct Wider<u32> {
  using Type = u64;
};
template <> struct Wider<s32> {
  using Type = s64;
};
template <> struct Wider<u64> {
  using Type = unsigned __int128;
};
template <> struct Wider<s64> {
  using Type = __int128;
};
template <typename T> using Wide = typename Wider<T>::Type;

// Unsigned arithmetic wraps; 16 bits would be promoted to int, hence the casts.
#define KERF_OPERATION(NAME, EXPRESSION)                                                                               \
  template <typename T> struct NAME {                                                                                  \
    static T f(T a, T b) { return static_cast<T>(EXPRESSION); }                                                        \
  }
KERF_OPERATION(Add, static_cast<u64>(a) + static_cast<u64>(b));
KERF_OPERATION(Sub, static_cast<u64>(a) - static_cast<u64>(b));
KERF_OPERATION(MulLo, static_cast<u64>(a) * static_cast<u64>(b));
KERF_OPERATION(MulHi, (static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b)) >> (8 * sizeof(T)));
// Division by zero gives what the hardware gives: all ones, and the dividend as remainder.
KERF_OPERATION(Div, b == 0                                           ? static_cast<T>(~u64(0))
                    : std::is_signed_v<T> && b == static_cast<T>(-1) ? static_cast<T>(0 - static_cast<u64>(a))
                                                                     : static_cast<T>(a / b));
KERF_OPERATION(Rem, b == 0 ? a : std::is_signed_v<T> && b == static_cast<T>(-1) ? T(0) : static_cast<T>(a % b));
KERF_OPERATION(Min, std::min(a, b));
KERF_OPERATION(Max, std::max(a, b));
KERF_OPERATION(And, a &b);
KERF_OPERATION(Or, a | b);
KERF_OPERATION(Xor, a ^ b);
#undef KERF_OPERATION

// Amounts of the width and more shift everything out.
template <typename T> struct Shl {
  static T f(T a, u32 b) { return b >= 8 * sizeof(T) ? T(0) : static_cast<T>(a << b); }
};
template <typename T> struct Shr {
  static T f(T a, u32 b) {
    return static_cast<T>(a >> std::min<u32>(b, 8 * sizeof(T) - 1) >> (b >= 8 * sizeof(T) ? 1 : 0));
  }
};
template <typename T> struct Not {
  static T f(T a) { return static_cast<T>(~a); }
};
template <typename T> struct Neg {
  static T f(T a) { return static_cast<T>(0 - static_cast<u64>(a)); }
};
template <typename T> struct Abs {
  static T f(T a) { return a < 0 ? static_cast<T>(0 - static_cast<u64>(a)) : a; }
};
template <typename T> struct Same {
  static T f(T a) { return a; }
};
template <typename T> struct MulWide {
  static Wide<T> f(T a, T b) { return static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b); }
};
template <typename T> struct MadLo {
  static T f(T a, T b, T c) { return static_cast<T>(static_cast<u64>(a) * static_cast<u64>(b) + static_cast<u64>(c)); }
};
template <typename T> struct MadHi {
  static T f(T a, T b, T c) { return static_cast<T>(static_cast<u64>(MulHi<T>::f(a, b)) + static_cast<u64>(c)); }
};
template <typename T> struct MadWide {
  static Wide<T> f(T a, T b, Wide<T> c) {
    return static_cast<Wide<T>>(static_cast<u64>(MulWide<T>::f(a, b)) + static_cast<u64>(c));
  }
};
struct PopCount32 {
  static u32 f(u32 a) { return static_cast<u32>(std::popcount(a)); }
};
struct PopCount64 {
  static u32 f(u64 a) { return static_cast<u32>(std::popcount(a)); }
};
struct Zeros32 {
  static u32 f(u32 a) { return static_cast<u32>(std::countl_zero(a)); }
};
struct Zeros64 {
  static u32 f(u64 a) { return static_cast<u32>(std::countl_zero(a)); }
};
template <typename T> struct Reverse {
  static T f(T a) {
    T r = 0;
    for (unsigned bit = 0; bit < 8 * sizeof(T); ++bit)
      r |= ((a >> bit) & 1) << (8 * sizeof(T) - 1 - bit);
    return r;
  }
};
// Place of the highest bit that differs from the sign; all ones: none.
template <typename T> struct FindBit {
  static u32 f(T a) {
    auto bits = static_cast<Unsigned<T>>(std::is_signed_v<T> && a < 0 ? ~a : a);
    return bits ? static_cast<u32>(8 * sizeof(T) - 1 - std::countl_zero(bits)) : kAll;
  }
};
template <typename T> struct Extract {
  static T f(T a, u32 position, u32 length) {
    u32 p = position & 255, n = length & 255, size = 8 * sizeof(T);
    T sign = 0;
    if (std::is_signed_v<T> && n) {
      u32 top = std::min(p + n - 1, size - 1);
      sign = (a >> top) & 1;
    }
    Unsigned<T> bits = p >= size ? 0 : static_cast<Unsigned<T>>(a) >> p;
    u32 have = p >= size ? 0 : std::min(n, size - p);
    Unsigned<T> low = have >= size ? ~Unsigned<T>(0) : (Unsigned<T>(1) << have) - 1;
    bits &= low;
    return static_cast<T>(sign && n ? bits | ~low : bits);
  }
};
template <typename T> void insert(Warp &w, const Instruction &i) {
  T *d = w.reg<T>(i.o[0]);
  const T *a = w.reg<T>(i.o[1]), *b = w.reg<T>(i.o[2]);
  const u32 *position = w.reg<u32>(i.o[3]), *length = w.reg<u32>(i.o[4]);
  forLanes(w, [&](unsigned lane) {
    u32 p = position[lane] & 255, n = length[lane] & 255, size = 8 * sizeof(T);
    T field = n >= size ? ~T(0) : (T(1) << n) - 1;
    T moved = p >= size ? 0 : field << p;
    d[lane] = (b[lane] & ~moved) | ((p >= size ? 0 : a[lane] << p) & moved);
  });
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]) | w.undefined(i.o[3]) | w.undefined(i.o[4]));
}

void permute(Warp &w, const Instruction &i) {
  u32 *d = w.reg<u32>(i.o[0]);
  const u32 *a = w.reg<u32>(i.o[1]), *b = w.reg<u32>(i.o[2]), *c = w.reg<u32>(i.o[3]);
  forLanes(w, [&](unsigned lane) {
    u64 source = static_cast<u64>(b[lane]) << 32 | a[lane];
    u32 r = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
      u32 selector = c[lane] >> (4 * byte);
      u32 value = static_cast<u32>(source >> (8 * (selector & 7))) & 255;
      if (selector & 8) // the byte's sign, eight times
        value = value & 128 ? 255 : 0;
      r |= value << (8 * byte);
    }
    d[lane] = r;
  });
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]) | w.undefined(i.o[3]));
}

void logic3(Warp &w, const Instruction &i) {
  u32 *d = w.reg<u32>(i.o[0]);
  const u32 *a = w.reg<u32>(i.o[1]), *b = w.reg<u32>(i.o[2]), *c = w.reg<u32>(i.o[3]);
  // Each bit of the table is a product of the three or their complements.
  u32 r[kLanes] = {};
  for (unsigned row = 0; row < 8; ++row)
    if (i.immediate >> row & 1)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        r[lane] |= (row & 4 ? a[lane] : ~a[lane]) & (row & 2 ? b[lane] : ~b[lane]) & (row & 1 ? c[lane] : ~c[lane]);
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]) | w.undefined(i.o[3]));
}

template <bool Left, bool Wrap> struct Funnel {
  static u32 f(u32 a, u32 b, u32 c) {
    u32 n = Wrap ? c & 31 : std::min(c, 32u);
    u64 both = static_cast<u64>(b) << 32 | a;
    return static_cast<u32>(Left ? (both << n) >> 32 : both >> n);
  }
};

struct ByteDot {
  static u32 f(u32 a, u32 b, u32 c) {
    for (unsigned byte = 0; byte < 4; ++byte)
      c += (a >> 8 * byte & 255) * (b >> 8 * byte & 255);
    return c;
  }
};
struct SignedByteDot {
  static s32 f(u32 a, u32 b, s32 c) {
    u32 sum = static_cast<u32>(c);
    for (unsigned byte = 0; byte < 4; ++byte)
      sum += static_cast<u32>(static_cast<int8_t>(a >> 8 * byte) * static_cast<int8_t>(b >> 8 * byte));
    return static_cast<s32>(sum);
  }
};

// Comparisons. Floats: ordered ones are false for NaN, those that end in u are true.
enum Compare : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };
constexpr std::string_view kCompares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                          "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

template <typename T> u32 compareLanes(Compare c, const T *a, const T *b) {
  auto collect = [&](auto test) {
    u32 r = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r |= static_cast<u32>(test(a[lane], b[lane])) << lane;
    return r;
  };
  auto unordered = [](T x, T y) { return x != x || y != y; };
  switch (c) {
  case Eq:
    return collect([](T x, T y) { return x == y; });
  case Ne: // of floats: ordered
    return collect([&](T x, T y) { return x != y && !unordered(x, y); });
  case Lt:
    return collect([](T x, T y) { return x < y; });
  case Le:
    return collect([](T x, T y) { return x <= y; });
  case Gt:
    return collect([](T x, T y) { return x > y; });
  case Ge:
    return collect([](T x, T y) { return x >= y; });
  case Equ:
    return collect([&](T x, T y) { return x == y || unordered(x, y); });
  case Neu:
    return collect([](T x, T y) { return x != y; });
  case Ltu:
    return collect([](T x, T y) { return !(x >= y); });
  case Leu:
    return collect([](T x, T y) { return !(x > y); });
  case Gtu:
    return collect([](T x, T y) { return !(x <= y); });
  case Geu:
    return collect([](T x, T y) { return !(x < y); });
  case Num:
    return collect([&](T x, T y) { return !unordered(x, y); });
  case Nan:
    return collect(unordered);
  }
  return 0;
}

template <typename T> u32 compared(Warp &w, const Instruction &i) {
  const T *a = w.reg<T>(i.o[2]), *b = w.reg<T>(i.o[3]);
  if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>) {
    float x[kLanes], y[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane)
      x[lane] = toFloat(a[lane]), y[lane] = toFloat(b[lane]);
    return compareLanes<float>(static_cast<Compare>(i.variant), x, y);
  } else {
    return compareLanes<T>(static_cast<Compare>(i.variant), a, b);
  }
}

template <typename T> void setPredicates(Warp &w, const Instruction &i) {
  u32 r = compared<T>(w, i), undefined = w.undefined(i.o[2]) | w.undefined(i.o[3]);
  w.setPredicate(i.o[0], r, undefined);
  if (i.o[1] >= 0)
    w.setPredicate(i.o[1], ~r, undefined);
}
/// The result and-ed, or-ed or xor-ed with a predicate: immediate.
template <typename T> void setPredicatesWith(Warp &w, const Instruction &i) {
  u32 r = compared<T>(w, i), undefined = w.undefined(i.o[2]) | w.undefined(i.o[3]) | w.predicateUndefined(i.o[4]);
  u32 p = w.predicate(i.o[4]);
  auto join = [&](u32 x) { return i.immediate == 0 ? x & p : i.immediate == 1 ? x | p : x ^ p; };
  w.setPredicate(i.o[0], join(r), undefined);
  if (i.o[1] >= 0)
    w.setPredicate(i.o[1], join(~r), undefined);
}
void finishSimpleCompare(Instruction &i, const Parts &parts) {
  std::string_view c = parts[1];
  c = c == "lo" ? "lt" : c == "ls" ? "le" : c == "hi" ? "gt" : c == "hs" ? "ge" : c;
  i.variant = static_cast<uint8_t>(std::find(std::begin(kCompares), std::end(kCompares), c) - kCompares);
}

void finishCompare(Instruction &i, const Parts &parts) {
  i.variant = static_cast<uint8_t>(std::find(std::begin(kCompares), std::end(kCompares), parts[1]) - kCompares);
  i.immediate = parts[2] == "or" ? 1 : parts[2] == "xor" ? 2 : 0;
}

template <typename T> void select(Warp &w, const Instruction &i) {
  T *d = w.reg<T>(i.o[0]);
  const T *a = w.reg<T>(i.o[1]), *b = w.reg<T>(i.o[2]);
  u32 p = w.predicate(i.o[3]);
  T r[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane)
    r[lane] = p >> lane & 1 ? a[lane] : b[lane];
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], (w.undefined(i.o[1]) & p) | (w.undefined(i.o[2]) & ~p) | w.predicateUndefined(i.o[3]));
}

// Predicates. A false one decides `and`, a true one `or`, whatever the other is.
void andPredicates(Warp &w, const Instruction &i) {
  u32 a = w.predicate(i.o[1]), b = w.predicate(i.o[2]);
  u32 ua = w.predicateUndefined(i.o[1]), ub = w.predicateUndefined(i.o[2]);
  w.setPredicate(i.o[0], a & b, (ua | ub) & ~(~a & ~ua) & ~(~b & ~ub));
}
void orPredicates(Warp &w, const Instruction &i) {
  u32 a = w.predicate(i.o[1]), b = w.predicate(i.o[2]);
  u32 ua = w.predicateUndefined(i.o[1]), ub = w.predicateUndefined(i.o[2]);
  w.setPredicate(i.o[0], a | b, (ua | ub) & ~(a & ~ua) & ~(b & ~ub));
}
void xorPredicates(Warp &w, const Instruction &i) {
  w.setPredicate(i.o[0], w.predicate(i.o[1]) ^ w.predicate(i.o[2]),
                 w.predicateUndefined(i.o[1]) | w.predicateUndefined(i.o[2]));
}
void notPredicate(Warp &w, const Instruction &i) {
  w.setPredicate(i.o[0], ~w.predicate(i.o[1]), w.predicateUndefined(i.o[1]));
}
void movePredicate(Warp &w, const Instruction &i) {
  w.setPredicate(i.o[0], w.predicate(i.o[1]), w.predicateUndefined(i.o[1]));
}

/// d = {low, high}
template <typename Whole, typename Half> void packHalves(Warp &w, const Instruction &i) {
  Whole *d = w.reg<Whole>(i.o[0]);
  const Half *low = w.reg<Half>(i.o[1]), *high = w.reg<Half>(i.o[2]);
  Whole r[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane)
    r[lane] = static_cast<Whole>(high[lane]) << (8 * sizeof(Half)) | low[lane];
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], w.undefined(i.o[1]) | w.undefined(i.o[2]));
}
/// {low, high} = a
template <typename Whole, typename Half> void unpackHalves(Warp &w, const Instruction &i) {
  Half *low = w.reg<Half>(i.o[0]), *high = w.reg<Half>(i.o[1]);
  const Whole *a = w.reg<Whole>(i.o[2]);
  Whole copy[kLanes];
  std::copy(a, a + kLanes, copy);
  u32 undefined = w.undefined(i.o[2]);
  forLanes(w, [&](unsigned lane) { low[lane] = static_cast<Half>(copy[lane]); });
  forLanes(w, [&](unsigned lane) { high[lane] = static_cast<Half>(copy[lane] >> (8 * sizeof(Half))); });
  w.mark(i.o[0], undefined);
  w.mark(i.o[1], undefined);
}
/// d = {q0, q1, q2, q3}
void packQuarters(Warp &w, const Instruction &i) {
  u64 *d = w.reg<u64>(i.o[0]);
  u32 undefined = 0;
  u64 r[kLanes] = {};
  for (unsigned q = 0; q < 4; ++q) {
    const u16 *a = w.reg<u16>(i.o[1 + q]);
    undefined |= w.undefined(i.o[1 + q]);
    for (unsigned lane = 0; lane < kLanes; ++lane)
      r[lane] |= static_cast<u64>(a[lane]) << (16 * q);
  }
  forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], undefined);
}
void unpackQuarters(Warp &w, const Instruction &i) {
  u64 copy[kLanes];
  std::copy_n(w.reg<u64>(i.o[4]), kLanes, copy);
  u32 undefined = w.undefined(i.o[4]);
  for (unsigned q = 0; q < 4; ++q) {
    u16 *d = w.reg<u16>(i.o[q]);
    forLanes(w, [&](unsigned lane) { d[lane] = static_cast<u16>(copy[lane] >> (16 * q)); });
    w.mark(i.o[q], undefined);
  }
}

// Generic addresses: global ones are as they are, shared and local ones have a window.
template <uint64_t Window> struct ToGeneric {
  static u64 f(u64 a) { return a | Window; }
};
template <uint64_t Window> struct FromGeneric {
  static u64 f(u64 a) { return a & ~Window; }
};

#define KERF_ARITHMETIC(NAME, OP)                                                                                      \
  {NAME ".s16|u16", "Hhh", binary<u16, u16, u16, OP<u16>>}, {NAME ".s32|u32", "Www", binary<u32, u32, u32, OP<u32>>},  \
  {                                                                                                                    \
    NAME ".s64|u64", "Lll", binary<u64, u64, u64, OP<u64>>                                                             \
  }
#define KERF_SIGNED(NAME, OP)                                                                                          \
  {NAME ".s16", "Hhh", binary<s16, s16, s16, OP<s16>>}, {NAME ".u16", "Hhh", binary<u16, u16, u16, OP<u16>>},          \
      {NAME ".s32", "Www", binary<s32, s32, s32, OP<s32>>}, {NAME ".u32", "Www", binary<u32, u32, u32, OP<u32>>},      \
      {NAME ".s64", "Lll", binary<s64, s64, s64, OP<s64>>}, {                                                          \
    NAME ".u64", "Lll", binary<u64, u64, u64, OP<u64>>                                                                 \
  }
#define KERF_BITS(NAME, OP)                                                                                            \
  {NAME ".b16", "Hhh", binary<u16, u16, u16, OP<u16>>}, {NAME ".b32", "Www", binary<u32, u32, u32, OP<u32>>}, {        \
    NAME ".b64", "Lll", binary<u64, u64, u64, OP<u64>>                                                                 \
  }
#define KERF_COMPARE(TYPES, LETTER, T)                                                                                 \
  {"setp.eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan.ftz?." TYPES, "P&" LETTER LETTER,               \
   setPredicates<T>, finishSimpleCompare},                                                                             \
  {                                                                                                                    \
    "setp.eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan.and|or|xor.ftz?." TYPES, "P&" LETTER LETTER "p",           \
        setPredicatesWith<T>, finishCompare                                                                            \
  }

const Row kRows[] = {
    KERF_ARITHMETIC("add", Add),
    KERF_ARITHMETIC("sub", Sub),
    KERF_ARITHMETIC("mul.lo", MulLo),
    KERF_SIGNED("mul.hi", MulHi),
    {"mul.wide.s16", "Whh", binary<s32, s16, s16, MulWide<s16>>},
    {"mul.wide.u16", "Whh", binary<u32, u16, u16, MulWide<u16>>},
    {"mul.wide.s32", "Lww", binary<s64, s32, s32, MulWide<s32>>},
    {"mul.wide.u32", "Lww", binary<u64, u32, u32, MulWide<u32>>},
    {"mad.lo.s16|u16", "Hhhh", ternary<u16, u16, u16, u16, MadLo<u16>>},
    {"mad.lo.s32|u32", "Wwww", ternary<u32, u32, u32, u32, MadLo<u32>>},
    {"mad.lo.s64|u64", "Llll", ternary<u64, u64, u64, u64, MadLo<u64>>},
    {"mad.hi.s32", "Wwww", ternary<s32, s32, s32, s32, MadHi<s32>>},
    {"mad.hi.u32", "Wwww", ternary<u32, u32, u32, u32, MadHi<u32>>},
    {"mad.wide.s16", "Whhw", ternary<s32, s16, s16, s32, MadWide<s16>>},
    {"mad.wide.u16", "Whhw", ternary<u32, u16, u16, u32, MadWide<u16>>},
    {"mad.wide.s32", "Lwwl", ternary<s64, s32, s32, s64, MadWide<s32>>},
    {"mad.wide.u32", "Lwwl", ternary<u64, u32, u32, u64, MadWide<u32>>},
    KERF_SIGNED("div", Div),
    KERF_SIGNED("rem", Rem),
    KERF_SIGNED("min", Min),
    KERF_SIGNED("max", Max),
    KERF_BITS("and", And),
    KERF_BITS("or", Or),
    KERF_BITS("xor", Xor),
    {"not.b16", "Hh", unary<u16, u16, Not<u16>>},
    {"not.b32", "Ww", unary<u32, u32, Not<u32>>},
    {"not.b64", "Ll", unary<u64, u64, Not<u64>>},
    {"neg.s16", "Hh", unary<u16, u16, Neg<u16>>},
    {"neg.s32", "Ww", unary<u32, u32, Neg<u32>>},
    {"neg.s64", "Ll", unary<u64, u64, Neg<u64>>},
    {"abs.s16", "Hh", unary<s16, s16, Abs<s16>>},
    {"abs.s32", "Ww", unary<s32, s32, Abs<s32>>},
    {"abs.s64", "Ll", unary<s64, s64, Abs<s64>>},
    {"shl.b16", "Hhw", binary<u16, u16, u32, Shl<u16>>},
    {"shl.b32", "Www", binary<u32, u32, u32, Shl<u32>>},
    {"shl.b64", "Llw", binary<u64, u64, u32, Shl<u64>>},
    {"shr.u16|b16", "Hhw", binary<u16, u16, u32, Shr<u16>>},
    {"shr.s16", "Hhw", binary<s16, s16, u32, Shr<s16>>},
    {"shr.u32|b32", "Www", binary<u32, u32, u32, Shr<u32>>},
    {"shr.s32", "Www", binary<s32, s32, u32, Shr<s32>>},
    {"shr.u64|b64", "Llw", binary<u64, u64, u32, Shr<u64>>},
    {"shr.s64", "Llw", binary<s64, s64, u32, Shr<s64>>},
    {"shf.l.wrap.b32", "Wwww", ternary<u32, u32, u32, u32, Funnel<true, true>>},
    {"shf.l.clamp.b32", "Wwww", ternary<u32, u32, u32, u32, Funnel<true, false>>},
    {"shf.r.wrap.b32", "Wwww", ternary<u32, u32, u32, u32, Funnel<false, true>>},
    {"shf.r.clamp.b32", "Wwww", ternary<u32, u32, u32, u32, Funnel<false, false>>},
    {"bfe.u32", "Wwww", ternary<u32, u32, u32, u32, Extract<u32>>},
    {"bfe.s32", "Wwww", ternary<s32, s32, u32, u32, Extract<s32>>},
    {"bfe.u64", "Llww", ternary<u64, u64, u32, u32, Extract<u64>>},
    {"bfe.s64", "Llww", ternary<s64, s64, u32, u32, Extract<s64>>},
    {"bfi.b32", "Wwwww", insert<u32>},
    {"bfi.b64", "Lllww", insert<u64>},
    {"prmt.b32", "Wwww", permute},
    {"lop3.b32", "Wwwwi", logic3},
    {"popc.b32", "Ww", unary<u32, u32, PopCount32>},
    {"popc.b64", "Wl", unary<u32, u64, PopCount64>},
    {"clz.b32", "Ww", unary<u32, u32, Zeros32>},
    {"clz.b64", "Wl", unary<u32, u64, Zeros64>},
    {"brev.b32", "Ww", unary<u32, u32, Reverse<u32>>},
    {"brev.b64", "Ll", unary<u64, u64, Reverse<u64>>},
    {"bfind.u32", "Ww", unary<u32, u32, FindBit<u32>>},
    {"bfind.s32", "Ww", unary<u32, s32, FindBit<s32>>},
    {"dp4a.u32.u32", "Wwww", ternary<u32, u32, u32, u32, ByteDot>},
    {"dp4a.s32.s32", "Wwww", ternary<s32, u32, u32, s32, SignedByteDot>},
    {"mov.b16|u16|s16", "Hh", unary<u16, u16, Same<u16>>},
    {"mov.b32|u32|s32|f32", "Ww", unary<u32, u32, Same<u32>>},
    {"mov.b64|u64|s64|f64", "Ll", unary<u64, u64, Same<u64>>},
    {"mov.b32", "W{hh}", packHalves<u32, u16>},
    {"mov.b64", "L{ww}", packHalves<u64, u32>},
    {"mov.b64", "L{hhhh}", packQuarters},
    {"mov.b32", "{HH}w", unpackHalves<u32, u16>},
    {"mov.b64", "{WW}l", unpackHalves<u64, u32>},
    {"mov.b64", "{HHHH}l", unpackQuarters},
    {"mov.pred", "Pp", movePredicate},
    {"and.pred", "Ppp", andPredicates},
    {"or.pred", "Ppp", orPredicates},
    {"xor.pred", "Ppp", xorPredicates},
    {"not.pred", "Pp", notPredicate},
    {"selp.b16|u16|s16|f16|bf16", "Hhhp", select<u16>},
    {"selp.b32|u32|s32|f32", "Wwwp", select<u32>},
    {"selp.b64|u64|s64|f64", "Lllp", select<u64>},
    KERF_COMPARE("b16|u16", "h", u16),
    KERF_COMPARE("s16", "h", s16),
    KERF_COMPARE("b32|u32", "w", u32),
    KERF_COMPARE("s32", "w", s32),
    KERF_COMPARE("b64|u64", "l", u64),
    KERF_COMPARE("s64", "l", s64),
    KERF_COMPARE("f32", "w", float),
    KERF_COMPARE("f64", "l", double),
    KERF_COMPARE("f16", "h", _Float16),
    KERF_COMPARE("bf16", "h", Bf16),
    {"cvta.global|const.u64", "Ll", unary<u64, u64, Same<u64>>},
    {"cvta.to.global|const.u64", "Ll", unary<u64, u64, Same<u64>>},
    {"cvta.shared.u64", "Ll", unary<u64, u64, ToGeneric<kSharedWindow>>},
    {"cvta.to.shared.u64", "Ll", unary<u64, u64, FromGeneric<kSharedWindow>>},
    {"cvta.local.u64", "Ll", unary<u64, u64, ToGeneric<kLocalWindow>>},
    {"cvta.to.local.u64", "Ll", unary<u64, u64, FromGeneric<kLocalWindow>>},
};

} // namespace

std::span<const Row> integerRows() { return kRows; }

} // namespace kerf::emulator
