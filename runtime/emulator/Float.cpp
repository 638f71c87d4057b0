// Arithmetic of floats: f32, f64, f16, bf16 and pairs of the last two.
#include "runtime/emulator/Float.h"
#include "runtime/emulator/Instructions.h"
#include "runtime/emulator/Lanes.h"

#include <algorithm>

namespace kerf::emulator {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;

struct Add {
  template <typename T> static T f(T a, T b) { return a + b; }
};
struct Sub {
  template <typename T> static T f(T a, T b) { return a - b; }
};
struct Mul {
  template <typename T> static T f(T a, T b) { return a * b; }
};
struct Div {
  template <typename T> static T f(T a, T b) { return a / b; }
};
struct Fma {
  template <typename T> static T f(T a, T b, T c) { return std::fma(a, b, c); }
};
struct FmaRelu {
  template <typename T> static T f(T a, T b, T c) {
    T r = std::fma(a, b, c);
    return r < 0 ? T(0) : r;
  }
};
// Of a number and a NaN the number; -0 is less than +0.
template <typename T> bool before(T a, T b) { return a < b || (a == b && std::signbit(a) && !std::signbit(b)); }
struct Min {
  template <typename T> static T f(T a, T b) { return a != a ? b : b != b ? a : before(b, a) ? b : a; }
};
struct Max {
  template <typename T> static T f(T a, T b) { return a != a ? b : b != b ? a : before(a, b) ? b : a; }
};
// NaN when either is.
struct MinNan {
  template <typename T> static T f(T a, T b) { return a != a ? a : b != b ? b : before(b, a) ? b : a; }
};
struct MaxNan {
  template <typename T> static T f(T a, T b) { return a != a ? a : b != b ? b : before(a, b) ? b : a; }
};
struct Neg {
  template <typename T> static T f(T a) { return -a; }
};
struct Abs {
  template <typename T> static T f(T a) { return std::fabs(a); }
};
struct Sqrt {
  template <typename T> static T f(T a) { return std::sqrt(a); }
};
struct Rcp {
  template <typename T> static T f(T a) { return T(1) / a; }
};
struct Rsqrt {
  static float f(float a) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a))); }
  static double f(double a) { return 1.0 / std::sqrt(a); }
};
struct Exp2 {
  static float f(float a) { return exp2Lane(a); }
};
struct Log2 {
  static float f(float a) { return std::log2(a); }
};
struct Sin {
  static float f(float a) { return std::sin(a); }
};
struct Cos {
  static float f(float a) { return std::cos(a); }
};
struct Tanh {
  static float f(float a) { return std::tanh(a); }
};

// Instruction::variant of f32.
constexpr uint8_t kFlush = 1, kSaturate = 2;

/// f32 with .ftz and .sat.
template <unsigned Operands, typename F> void single(Warp &w, const Instruction &i) {
  const float *source[Operands];
  u32 undefined = 0;
  for (unsigned n = 0; n < Operands; ++n) {
    source[n] = w.reg<float>(i.o[1 + n]);
    undefined |= w.undefined(i.o[1 + n]);
  }
  float r[kLanes], *d = w.reg<float>(i.o[0]);
  auto apply = [&](auto prepare, auto finish) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if constexpr (Operands == 1)
        r[lane] = finish(F::f(prepare(source[0][lane])));
      else if constexpr (Operands == 2)
        r[lane] = finish(F::f(prepare(source[0][lane]), prepare(source[1][lane])));
      else
        r[lane] = finish(F::f(prepare(source[0][lane]), prepare(source[1][lane]), prepare(source[2][lane])));
    }
  };
  auto same = [](float x) { return x; };
  if (!i.variant)
    apply(same, same);
  else if (i.variant == kFlush)
    apply(flush, flush);
  else if (i.variant == kSaturate)
    apply(same, saturate);
  else
    apply(flush, [](float x) { return saturate(flush(x)); });
  if (w.exec == kAll)
    __builtin_memcpy(d, r, sizeof r);
  else
    forLanes(w, [&](unsigned lane) { d[lane] = r[lane]; });
  w.mark(i.o[0], undefined);
}

void finishSingle(Instruction &i, const Parts &parts) {
  for (std::string_view part : parts)
    i.variant |= part == "ftz" ? kFlush : part == "sat" ? kSaturate : 0;
}

/// f16 and bf16, one or a pair in a register: computed in f32 and rounded once. For add, sub, mul and the like that is
/// exact rounding, since f32 has more than twice the bits; fma may differ in the last bit where f32's rounding hits a
/// tie of the shorter format.
template <unsigned Operands, typename T, unsigned Count, typename F> void half(Warp &w, const Instruction &i) {
  T *d = w.reg<T>(i.o[0]);
  const T *source[Operands];
  u32 undefined = 0;
  for (unsigned n = 0; n < Operands; ++n) {
    source[n] = w.reg<T>(i.o[1 + n]);
    undefined |= w.undefined(i.o[1 + n]);
  }
  T r[kLanes * Count];
  for (unsigned at = 0; at < kLanes * Count; ++at) {
    float x;
    if constexpr (Operands == 1)
      x = F::f(toFloat(source[0][at]));
    else if constexpr (Operands == 2)
      x = F::f(toFloat(source[0][at]), toFloat(source[1][at]));
    else
      x = F::f(toFloat(source[0][at]), toFloat(source[1][at]), toFloat(source[2][at]));
    r[at] = fromFloat<T>(x);
  }
  forLanes(w, [&](unsigned lane) {
    for (unsigned part = 0; part < Count; ++part)
      d[lane * Count + part] = r[lane * Count + part];
  });
  w.mark(i.o[0], undefined);
}

// Signs by bits: NaN keeps its payload.
template <typename T, T Mask, bool Flip> struct Sign {
  static T f(T a) { return Flip ? a ^ Mask : a & static_cast<T>(~Mask); }
};

#define KERF_HALF(NAME, SUFFIX, OPERANDS, OP, TYPE, SCALAR, PAIR, H, W)                                                \
  {NAME SUFFIX "." SCALAR, H, half<OPERANDS, TYPE, 1, OP>}, { NAME SUFFIX "." PAIR, W, half<OPERANDS, TYPE, 2, OP> }
#define KERF_HALVES(NAME, SUFFIX, OPERANDS, OP, H, W)                                                                  \
  KERF_HALF(NAME, SUFFIX, OPERANDS, OP, _Float16, "f16", "f16x2", H, W),                                               \
      KERF_HALF(NAME, SUFFIX, OPERANDS, OP, Bf16, "bf16", "bf16x2", H, W)

const Row kRows[] = {
    {"add.rn?.ftz?.sat?.f32", "Www", single<2, Add>, finishSingle},
    {"sub.rn?.ftz?.sat?.f32", "Www", single<2, Sub>, finishSingle},
    {"mul.rn?.ftz?.sat?.f32", "Www", single<2, Mul>, finishSingle},
    {"div.rn|full|approx.ftz?.f32", "Www", single<2, Div>, finishSingle},
    {"fma|mad.rn.ftz?.sat?.f32", "Wwww", single<3, Fma>, finishSingle},
    {"min.ftz?.f32", "Www", single<2, Min>, finishSingle},
    {"max.ftz?.f32", "Www", single<2, Max>, finishSingle},
    {"min.ftz?.NaN.f32", "Www", single<2, MinNan>, finishSingle},
    {"max.ftz?.NaN.f32", "Www", single<2, MaxNan>, finishSingle},
    {"neg.f32", "Ww", unary<u32, u32, Sign<u32, 0x80000000, true>>},
    {"abs.f32", "Ww", unary<u32, u32, Sign<u32, 0x80000000, false>>},
    {"neg.ftz.f32", "Ww", single<1, Neg>, finishSingle},
    {"abs.ftz.f32", "Ww", single<1, Abs>, finishSingle},
    {"sqrt.rn|approx.ftz?.f32", "Ww", single<1, Sqrt>, finishSingle},
    {"rcp.rn|approx.ftz?.f32", "Ww", single<1, Rcp>, finishSingle},
    {"rsqrt.approx.ftz?.f32", "Ww", single<1, Rsqrt>, finishSingle},
    {"ex2.approx.ftz?.f32", "Ww", single<1, Exp2>, finishSingle},
    {"lg2.approx.ftz?.f32", "Ww", single<1, Log2>, finishSingle},
    {"sin.approx.ftz?.f32", "Ww", single<1, Sin>, finishSingle},
    {"cos.approx.ftz?.f32", "Ww", single<1, Cos>, finishSingle},
    {"tanh.approx.f32", "Ww", single<1, Tanh>, finishSingle},
    {"add.rn?.f64", "Lll", binary<double, double, double, Add>},
    {"sub.rn?.f64", "Lll", binary<double, double, double, Sub>},
    {"mul.rn?.f64", "Lll", binary<double, double, double, Mul>},
    {"div.rn.f64", "Lll", binary<double, double, double, Div>},
    {"fma.rn.f64", "Llll", ternary<double, double, double, double, Fma>},
    {"min.f64", "Lll", binary<double, double, double, Min>},
    {"max.f64", "Lll", binary<double, double, double, Max>},
    {"neg.f64", "Ll", unary<double, double, Neg>},
    {"abs.f64", "Ll", unary<double, double, Abs>},
    {"sqrt.rn.f64", "Ll", unary<double, double, Sqrt>},
    {"rcp.rn.f64", "Ll", unary<double, double, Rcp>},
    KERF_HALVES("add", ".rn?", 2, Add, "Hhh", "Www"),
    KERF_HALVES("sub", ".rn?", 2, Sub, "Hhh", "Www"),
    KERF_HALVES("mul", ".rn?", 2, Mul, "Hhh", "Www"),
    KERF_HALVES("fma", ".rn", 3, Fma, "Hhhh", "Wwww"),
    KERF_HALVES("fma", ".rn.relu", 3, FmaRelu, "Hhhh", "Wwww"),
    KERF_HALVES("min", "", 2, Min, "Hhh", "Www"),
    KERF_HALVES("max", "", 2, Max, "Hhh", "Www"),
    KERF_HALVES("min", ".NaN", 2, MinNan, "Hhh", "Www"),
    KERF_HALVES("max", ".NaN", 2, MaxNan, "Hhh", "Www"),
    KERF_HALVES("tanh", ".approx", 1, Tanh, "Hh", "Ww"),
    KERF_HALVES("ex2", ".approx.ftz?", 1, Exp2, "Hh", "Ww"),
    {"neg.f16|bf16", "Hh", unary<u16, u16, Sign<u16, 0x8000, true>>},
    {"abs.f16|bf16", "Hh", unary<u16, u16, Sign<u16, 0x8000, false>>},
    {"neg.f16x2|bf16x2", "Ww", unary<u32, u32, Sign<u32, 0x80008000, true>>},
    {"abs.f16x2|bf16x2", "Ww", unary<u32, u32, Sign<u32, 0x80008000, false>>},
};

} // namespace

std::span<const Row> floatRows() { return kRows; }

} // namespace kerf::emulator
