// Each family of instructions against plain C++.
#include "Emulated.h"

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace kerf::emulator {
namespace {

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

/// Numbers at the edges of all formats, with 64 lanes of them.
template <typename T> std::vector<T> edges(unsigned shift) {
  const u64 values[] = {0,          1,          2,          3,          7,          31,         32,         33,
                        0x7f,       0x80,       0xff,       0x7fff,     0x8000,     0xffff,     0x12345678, 0x7fffffff,
                        0x80000000, 0xffffffff, 0xdeadbeef, 1ull << 40, ~0ull,      1ull << 63, ~0ull >> 1, 0x3f800000,
                        0xbf800000, 0x7f800000, 0x7fc00000, 0x00000001, 0x80000001, 0x40490fdb, 0x3c00,     0xbf80};
  std::vector<T> result;
  for (unsigned i = 0; i < 64; ++i)
    result.push_back(static_cast<T>(values[(i + shift * (1 + i / 32)) % 32]));
  return result;
}

template <typename T> constexpr const char *kLetter = sizeof(T) == 2 ? "h" : sizeof(T) == 4 ? "r" : "d";
template <typename T> std::string move(const char *verb, int reg, int parameter) {
  std::string address = "%d" + std::to_string(20 + parameter), bits = std::to_string(8 * sizeof(T)),
              name = "%" + std::string(kLetter<T>) + std::to_string(reg);
  std::string at = "[" + address + "]";
  return std::string(verb) + ".global.b" + bits + " " + (verb[0] == 'l' ? name + ", " + at : at + ", " + name) + ";\n";
}
template <typename T> std::string pointer(int parameter) {
  std::string n = std::to_string(20 + parameter);
  return "ld.param.u64 %d" + n + ", [p" + std::to_string(parameter) + "];\nmad.wide.u32 %d" + n + ", %r40, " +
         std::to_string(sizeof(T)) + ", %d" + n + ";\n";
}

class Instructions : public Emulated {
protected:
  /// Runs `text`, which reads registers 1 to 3 and writes register 0, on 64 threads.
  template <typename D, typename A, typename B = u32, typename C = u32>
  std::vector<D> run(const std::string &text, const std::vector<A> &a, const std::vector<B> &b = std::vector<B>(64),
                     const std::vector<C> &c = std::vector<C>(64)) {
    CUfunction function = loadBody("mov.u32 %r40, %tid.x;\n" + pointer<A>(0) + pointer<B>(1) + pointer<C>(2) +
                                   pointer<D>(3) + move<A>("ld", 1, 0) + move<B>("ld", 2, 1) + move<C>("ld", 3, 2) +
                                   text + "\n" + move<D>("st", 0, 3) + "ret;");
    CUdeviceptr out = allocate(64 * sizeof(D));
    EXPECT_EQ(launch(function, 1, 64, 0, upload(a), upload(b), upload(c), out), CUDA_SUCCESS) << text << cu.report();
    return download<D>(out, 64);
  }
  template <typename T> void expectSame(const std::string &text, T got, T expected, unsigned lane) {
    EXPECT_EQ(got, expected) << text << " lane " << lane << std::hex << ": " << u64(got) << " for " << u64(expected);
  }
  template <typename D, typename A, typename F> void unary(const std::string &text, F f) {
    auto a = edges<A>(0);
    auto got = run<D>(text, a);
    for (unsigned i = 0; i < 64; ++i)
      expectSame<D>(text, got[i], static_cast<D>(f(a[i])), i);
  }
  template <typename D, typename A, typename B, typename F> void binary(const std::string &text, F f) {
    for (unsigned shift = 0; shift < 32; shift += 5) {
      auto a = edges<A>(0);
      auto b = edges<B>(shift);
      auto got = run<D>(text, a, b);
      for (unsigned i = 0; i < 64; ++i)
        expectSame<D>(text, got[i], static_cast<D>(f(a[i], b[i])), i);
    }
  }
  template <typename D, typename A, typename B, typename C, typename F> void ternary(const std::string &text, F f) {
    for (unsigned shift = 0; shift < 32; shift += 7) {
      auto a = edges<A>(0);
      auto b = edges<B>(shift);
      auto c = edges<C>(2 * shift + 1);
      auto got = run<D>(text, a, b, c);
      for (unsigned i = 0; i < 64; ++i)
        expectSame<D>(text, got[i], static_cast<D>(f(a[i], b[i], c[i])), i);
    }
  }
  /// Floats: NaN equals NaN.
  template <typename F> void floats(const std::string &text, F f) {
    for (unsigned shift = 0; shift < 32; shift += 3) {
      auto a = edges<u32>(0), b = edges<u32>(shift), c = edges<u32>(3 * shift + 2);
      auto got = run<u32>(text, a, b, c);
      for (unsigned i = 0; i < 64; ++i) {
        float expected = f(std::bit_cast<float>(a[i]), std::bit_cast<float>(b[i]), std::bit_cast<float>(c[i]));
        float value = std::bit_cast<float>(got[i]);
        if (expected != expected)
          EXPECT_NE(value, value) << text;
        else
          expectSame<u32>(text, got[i], std::bit_cast<u32>(expected), i);
      }
    }
  }
};

TEST_F(Instructions, IntegerArithmetic) {
  binary<u32, u32, u32>("add.s32 %r0, %r1, %r2;", [](u32 a, u32 b) { return a + b; });
  binary<u64, u64, u64>("sub.s64 %d0, %d1, %d2;", [](u64 a, u64 b) { return a - b; });
  binary<u16, u16, u16>("add.s16 %h0, %h1, %h2;", [](u16 a, u16 b) { return a + b; });
  binary<u32, u32, u32>("mul.lo.s32 %r0, %r1, %r2;", [](u32 a, u32 b) { return a * b; });
  binary<u32, u32, u32>("mul.hi.u32 %r0, %r1, %r2;", [](u64 a, u64 b) { return a * b >> 32; });
  binary<u32, u32, u32>("mul.hi.s32 %r0, %r1, %r2;", [](int32_t a, int32_t b) { return int64_t(a) * b >> 32; });
  binary<u64, u64, u64>("mul.hi.u64 %d0, %d1, %d2;", [](u64 a, u64 b) { return u64((unsigned __int128)a * b >> 64); });
  binary<u64, u32, u32>("mul.wide.u32 %d0, %r1, %r2;", [](u64 a, u64 b) { return a * b; });
  binary<u64, u32, u32>("mul.wide.s32 %d0, %r1, %r2;", [](int32_t a, int32_t b) { return int64_t(a) * b; });
  binary<u32, u16, u16>("mul.wide.s16 %r0, %h1, %h2;", [](int16_t a, int16_t b) { return a * b; });
  binary<u32, u32, u32>("div.u32 %r0, %r1, %r2;", [](u32 a, u32 b) { return b ? a / b : ~0u; });
  binary<u32, u32, u32>("rem.u32 %r0, %r1, %r2;", [](u32 a, u32 b) { return b ? a % b : a; });
  binary<u32, u32, u32>("div.s32 %r0, %r1, %r2;", [](int32_t a, int32_t b) { return b ? int64_t(a) / b : -1; });
  binary<u64, u64, u64>("rem.u64 %d0, %d1, %d2;", [](u64 a, u64 b) { return b ? a % b : a; });
  binary<u32, u32, u32>("min.s32 %r0, %r1, %r2;", [](int32_t a, int32_t b) { return std::min(a, b); });
  binary<u32, u32, u32>("max.u32 %r0, %r1, %r2;", [](u32 a, u32 b) { return std::max(a, b); });
  binary<u16, u16, u16>("max.s16 %h0, %h1, %h2;", [](int16_t a, int16_t b) { return std::max(a, b); });
  ternary<u32, u32, u32, u32>("mad.lo.s32 %r0, %r1, %r2, %r3;", [](u32 a, u32 b, u32 c) { return a * b + c; });
  ternary<u64, u32, u32, u64>("mad.wide.u32 %d0, %r1, %r2, %d3;", [](u64 a, u64 b, u64 c) { return a * b + c; });
  ternary<u64, u64, u64, u64>("mad.lo.s64 %d0, %d1, %d2, %d3;", [](u64 a, u64 b, u64 c) { return a * b + c; });
  unary<u32, u32>("neg.s32 %r0, %r1;", [](u32 a) { return 0 - a; });
  unary<u32, u32>("abs.s32 %r0, %r1;", [](int32_t a) { return a < 0 ? 0 - u32(a) : u32(a); });
}

TEST_F(Instructions, Bits) {
  binary<u32, u32, u32>("and.b32 %r0, %r1, %r2;", [](u32 a, u32 b) { return a & b; });
  binary<u64, u64, u64>("or.b64 %d0, %d1, %d2;", [](u64 a, u64 b) { return a | b; });
  binary<u16, u16, u16>("xor.b16 %h0, %h1, %h2;", [](u16 a, u16 b) { return a ^ b; });
  unary<u32, u32>("not.b32 %r0, %r1;", [](u32 a) { return ~a; });
  binary<u32, u32, u32>("shl.b32 %r0, %r1, %r2;", [](u32 a, u32 b) { return b > 31 ? 0 : a << b; });
  binary<u32, u32, u32>("shr.u32 %r0, %r1, %r2;", [](u32 a, u32 b) { return b > 31 ? 0 : a >> b; });
  binary<u32, u32, u32>("shr.s32 %r0, %r1, %r2;", [](int32_t a, u32 b) { return a >> std::min(b, 31u); });
  binary<u64, u64, u32>("shl.b64 %d0, %d1, %r2;", [](u64 a, u32 b) { return b > 63 ? 0 : a << b; });
  binary<u64, u64, u32>("shr.s64 %d0, %d1, %r2;", [](int64_t a, u32 b) { return a >> std::min(b, 63u); });
  binary<u16, u16, u32>("shr.s16 %h0, %h1, %r2;", [](int16_t a, u32 b) { return a >> std::min(b, 15u); });
  unary<u32, u32>("bfe.u32 %r0, %r1, 5, 9;", [](u32 a) { return a >> 5 & 511; });
  unary<u32, u32>("bfe.s32 %r0, %r1, 28, 8;", [](int32_t a) { return a >> 28; });
  unary<u32, u32>("bfe.s32 %r0, %r1, 3, 4;", [](int32_t a) { return int32_t(u32(a) << 25) >> 28; });
  unary<u64, u64>("bfe.u64 %d0, %d1, 33, 20;", [](u64 a) { return a >> 33 & 0xfffff; });
  binary<u32, u32, u32>("bfi.b32 %r0, %r1, %r2, 4, 8;", [](u32 a, u32 b) { return (b & ~0xff0u) | (a & 255) << 4; });
  ternary<u32, u32, u32, u32>("prmt.b32 %r0, %r1, %r2, 0x5410;",
                              [](u32 a, u32 b, u32) { return (a & 0xffff) | b << 16; });
  ternary<u32, u32, u32, u32>("prmt.b32 %r0, %r1, %r2, 0x7632;",
                              [](u32 a, u32 b, u32) { return a >> 16 | (b & 0xffff0000); });
  unary<u32, u32>("prmt.b32 %r0, %r1, 0, 0xbbb3;", [](int32_t a) { return u32(a >> 31) << 8 | u32(a) >> 24; });
  ternary<u32, u32, u32, u32>("lop3.b32 %r0, %r1, %r2, %r3, 0xe2;",
                              [](u32 a, u32 b, u32 c) { return (b & a) | (~b & c); });
  ternary<u32, u32, u32, u32>("shf.l.wrap.b32 %r0, %r1, %r2, %r3;",
                              [](u32 a, u32 b, u32 c) { return (((u64(b) << 32 | a) << (c & 31)) >> 32); });
  unary<u32, u32>("popc.b32 %r0, %r1;", [](u32 a) { return std::popcount(a); });
  unary<u32, u64>("popc.b64 %r0, %d1;", [](u64 a) { return std::popcount(a); });
  unary<u32, u32>("clz.b32 %r0, %r1;", [](u32 a) { return std::countl_zero(a); });
  unary<u32, u64>("clz.b64 %r0, %d1;", [](u64 a) { return std::countl_zero(a); });
  unary<u32, u32>("brev.b32 %r0, %r1;", [](u32 a) {
    u32 r = 0;
    for (unsigned i = 0; i < 32; ++i)
      r |= (a >> i & 1) << (31 - i);
    return r;
  });
  binary<u32, u16, u16>("mov.b32 %r0, {%h1, %h2};", [](u32 a, u32 b) { return b << 16 | a; });
  unary<u16, u32>("mov.b32 {%h5, %h0}, %r1;", [](u32 a) { return a >> 16; });
  binary<u64, u32, u32>("mov.b64 %d0, {%r1, %r2};", [](u64 a, u64 b) { return b << 32 | a; });
  unary<u32, u64>("mov.b64 {%r5, %r0}, %d1;", [](u64 a) { return a >> 32; });
}

TEST_F(Instructions, Comparisons) {
  auto test = [](const std::string &compare, const std::string &operands) {
    return "setp." + compare + " %p1, " + operands + ";\nselp.b32 %r0, 1, 0, %p1;";
  };
  binary<u32, u32, u32>(test("lt.s32", "%r1, %r2"), [](int32_t a, int32_t b) { return a < b; });
  binary<u32, u32, u32>(test("ge.u32", "%r1, %r2"), [](u32 a, u32 b) { return a >= b; });
  binary<u32, u64, u64>(test("ne.b64", "%d1, %d2"), [](u64 a, u64 b) { return a != b; });
  binary<u32, u16, u16>(test("gt.s16", "%h1, %h2"), [](int16_t a, int16_t b) { return a > b; });
  auto number = [](u32 a) { return std::bit_cast<float>(a); };
  binary<u32, u32, u32>(test("lt.f32", "%r1, %r2"), [&](u32 a, u32 b) { return number(a) < number(b); });
  binary<u32, u32, u32>(test("ltu.f32", "%r1, %r2"), [&](u32 a, u32 b) { return !(number(a) >= number(b)); });
  binary<u32, u32, u32>(test("ne.f32", "%r1, %r2"),
                        [&](u32 a, u32 b) { return number(a) < number(b) || number(a) > number(b); });
  binary<u32, u32, u32>(test("neu.f32", "%r1, %r2"), [&](u32 a, u32 b) { return number(a) != number(b); });
  binary<u32, u32, u32>(test("nan.f32", "%r1, %r2"),
                        [&](u32 a, u32 b) { return std::isnan(number(a)) || std::isnan(number(b)); });
  binary<u32, u16, u16>(test("gt.bf16", "%h1, %h2"), [&](u32 a, u32 b) { return number(a << 16) > number(b << 16); });
  // A second result, and a predicate that is mixed in.
  binary<u32, u32, u32>("setp.eq.s32 %p2, %r1, 0;\nsetp.lt.and.u32 %p1|%p3, %r1, %r2, !%p2;\nselp.b32 %r0, 1, 0, %p1;\n"
                        "@%p3 add.s32 %r0, %r0, 2;",
                        [](u32 a, u32 b) { return (a < b && a) + 2 * (!(a < b) && a); });
  binary<u32, u32, u32>(
      "setp.eq.s32 %p1, %r1, %r2;\nsetp.lt.s32 %p2, %r1, %r2;\nor.pred %p3, %p1, %p2;\n"
      "xor.pred %p4, %p3, %p1;\nnot.pred %p5, %p4;\nand.pred %p6, %p5, %p3;\nselp.b32 %r0, 1, 0, %p6;",
      [](u32 a, u32 b) { return a == b; });
}

TEST_F(Instructions, FloatArithmetic) {
  using limits = std::numeric_limits<float>;
  auto flush = [](float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; };
  floats("add.rn.f32 %r0, %r1, %r2;", [](float a, float b, float) { return a + b; });
  floats("sub.f32 %r0, %r1, %r2;", [](float a, float b, float) { return a - b; });
  floats("mul.f32 %r0, %r1, %r2;", [](float a, float b, float) { return a * b; });
  floats("mul.ftz.f32 %r0, %r1, %r2;", [&](float a, float b, float) { return flush(flush(a) * flush(b)); });
  floats("div.rn.f32 %r0, %r1, %r2;", [](float a, float b, float) { return a / b; });
  floats("fma.rn.f32 %r0, %r1, %r2, %r3;", [](float a, float b, float c) { return std::fma(a, b, c); });
  floats("add.sat.f32 %r0, %r1, %r2;", [](float a, float b, float) {
    float r = a + b;
    return r > 0 ? std::min(r, 1.0f) : 0.0f;
  });
  floats("min.f32 %r0, %r1, %r2;", [](float a, float b, float) {
    return std::isnan(a) ? b : std::isnan(b) ? a : a == b && std::signbit(b) ? b : std::min(a, b);
  });
  floats("max.NaN.f32 %r0, %r1, %r2;", [](float a, float b, float) {
    return std::isnan(a) || std::isnan(b) ? limits::quiet_NaN() : a == b && std::signbit(a) ? b : std::max(a, b);
  });
  floats("neg.f32 %r0, %r1;", [](float a, float, float) { return -a; });
  floats("abs.f32 %r0, %r1;", [](float a, float, float) { return std::fabs(a); });
  floats("sqrt.rn.f32 %r0, %r1;", [](float a, float, float) { return std::sqrt(a); });
  floats("rcp.rn.f32 %r0, %r1;", [](float a, float, float) { return 1 / a; });
}

TEST_F(Instructions, ApproximateFunctions) {
  std::vector<float> x(64);
  for (unsigned i = 0; i < 64; ++i)
    x[i] = (static_cast<float>(i) - 20) * 0.37f;
  auto check = [&](const std::string &name, double (*f)(double)) {
    auto got = run<float>(name + " %r0, %r1;", x);
    for (unsigned i = 0; i < 64; ++i)
      if (double expected = f(static_cast<double>(x[i])); std::isnan(expected))
        EXPECT_TRUE(std::isnan(got[i])) << name << x[i];
      else if (std::isinf(expected))
        EXPECT_EQ(static_cast<double>(got[i]), expected) << name << x[i];
      else
        EXPECT_NEAR(static_cast<double>(got[i]), expected, 0x1p-22 * std::fabs(expected) + 0x1p-24) << name << x[i];
  };
  check("ex2.approx.ftz.f32", [](double v) { return std::exp2(v); });
  check("lg2.approx.f32", [](double v) { return std::log2(v); });
  check("rsqrt.approx.f32", [](double v) { return 1 / std::sqrt(v); });
  check("sin.approx.f32", [](double v) { return std::sin(v); });
  check("cos.approx.f32", [](double v) { return std::cos(v); });
  check("tanh.approx.f32", [](double v) { return std::tanh(v); });
  // At the ends of ex2's range.
  std::vector<float> ends(64, 0.0f);
  ends[0] = -200, ends[1] = 200, ends[2] = -149, ends[3] = -std::numeric_limits<float>::infinity(), ends[4] = NAN;
  auto got = run<float>("ex2.approx.f32 %r0, %r1;", ends);
  EXPECT_EQ(got[0], 0.0f);
  EXPECT_EQ(got[1], std::numeric_limits<float>::infinity());
  EXPECT_EQ(got[2], 0x1p-149f);
  EXPECT_EQ(got[3], 0.0f);
  EXPECT_TRUE(std::isnan(got[4]));
}

TEST_F(Instructions, Conversions) {
  unary<u64, u32>("cvt.u64.u32 %d0, %r1;", [](u32 a) { return u64(a); });
  unary<u64, u32>("cvt.s64.s32 %d0, %r1;", [](int32_t a) { return int64_t(a); });
  unary<u32, u64>("cvt.u32.u64 %r0, %d1;", [](u64 a) { return u32(a); });
  unary<u32, u16>("cvt.s32.s16 %r0, %h1;", [](int16_t a) { return int32_t(a); });
  unary<u32, u32>("cvt.s32.s8 %r0, %r1;", [](u32 a) { return int32_t(int8_t(a)); });
  unary<u16, u32>("cvt.u16.u32 %h0, %r1;", [](u32 a) { return u16(a); });
  unary<u32, u32>("cvt.sat.s8.s32 %r0, %r1;", [](int32_t a) { return std::clamp(a, -128, 127); });
  auto bits = [](float x) { return std::bit_cast<u32>(x); };
  auto number = [](u32 x) { return std::bit_cast<float>(x); };
  unary<u32, u32>("cvt.rn.f32.u32 %r0, %r1;", [&](u32 a) { return bits(static_cast<float>(a)); });
  unary<u32, u32>("cvt.rn.f32.s32 %r0, %r1;", [&](int32_t a) { return bits(static_cast<float>(a)); });
  unary<u32, u64>("cvt.rn.f32.u64 %r0, %d1;", [&](u64 a) { return bits(static_cast<float>(a)); });
  auto clamp32 = [](double x) {
    return std::isnan(x) ? 0 : static_cast<int64_t>(std::clamp(x, -2147483648.0, 2147483647.0));
  };
  unary<u32, u32>("cvt.rzi.s32.f32 %r0, %r1;", [&](u32 a) { return clamp32(std::trunc(double(number(a)))); });
  unary<u32, u32>("cvt.rni.s32.f32 %r0, %r1;", [&](u32 a) { return clamp32(std::nearbyint(double(number(a)))); });
  unary<u32, u32>("cvt.rmi.s32.f32 %r0, %r1;", [&](u32 a) { return clamp32(std::floor(double(number(a)))); });
  unary<u32, u32>("cvt.rpi.s32.f32 %r0, %r1;", [&](u32 a) { return clamp32(std::ceil(double(number(a)))); });
  auto toBf16 = [](u32 b) {
    return std::isnan(std::bit_cast<float>(b)) ? u16(0x7fff) : u16((b + 0x7fff + (b >> 16 & 1)) >> 16);
  };
  unary<u16, u32>("cvt.rn.bf16.f32 %h0, %r1;", toBf16);
  binary<u32, u32, u32>("cvt.rn.bf16x2.f32 %r0, %r1, %r2;",
                        [&](u32 a, u32 b) { return u32(toBf16(a)) << 16 | toBf16(b); });
  // Floats of 16 bits: exact numbers, halves that tie, and one beyond the range.
  std::vector<float> x(64, 1.0f);
  const float values[] = {1.0f, -2.5f, 65504.0f, 65520.0f, 2049.0f, 2051.0f, 0x1p-24f, 0x1p-26f, 0.1f};
  const u16 halves[] = {0x3c00, 0xc100, 0x7bff, 0x7c00, 0x6800, 0x6802, 1, 0, 0x2e66};
  std::copy(std::begin(values), std::end(values), x.begin());
  auto half = run<u16>("cvt.rn.f16.f32 %h0, %r1;", x);
  auto back = run<float>("cvt.rn.f16.f32 %h1, %r1;\ncvt.f32.f16 %r0, %h1;", x);
  for (unsigned i = 0; i < std::size(values); ++i) {
    EXPECT_EQ(half[i], halves[i]) << values[i];
    if (i < 3)
      EXPECT_EQ(back[i], values[i]);
  }
  auto cut = run<u16>("cvt.rz.f16.f32 %h0, %r1;", x);
  EXPECT_EQ(cut[8], 0x2e66);
  EXPECT_EQ(cut[5], 0x6801);
  EXPECT_EQ(cut[3], 0x7bff);
}

TEST_F(Instructions, ShortFloatArithmetic) {
  auto pair = [](float low, float high) {
    auto bits = [](float x) { return std::bit_cast<u32>(x) >> 16; };
    return bits(high) << 16 | bits(low);
  };
  std::vector<u32> a(64, pair(1.5f, -3)), b(64, pair(2, 0.5f)), c(64, pair(0.25f, 100));
  EXPECT_EQ(run<u32>("fma.rn.bf16x2 %r0, %r1, %r2, %r3;", a, b, c)[5], pair(3.25f, 98.5f));
  EXPECT_EQ(run<u32>("max.bf16x2 %r0, %r1, %r2;", a, b, c)[5], pair(2, 0.5f));
  EXPECT_EQ(run<u32>("neg.bf16x2 %r0, %r1;", a)[63], pair(-1.5f, 3));
  std::vector<u16> h(64, 0x3e00), g(64, 0xc000); // 1.5, -2
  EXPECT_EQ(run<u16>("mul.rn.f16 %h0, %h1, %h2;", h, g)[9], 0xc200);
  EXPECT_EQ(run<u16>("add.f16 %h0, %h1, %h2;", h, g)[9], 0xb800);
  EXPECT_EQ(run<u16>("fma.rn.f16 %h0, %h1, %h2, %h1;", h, g)[9], 0xbe00);
}

TEST_F(Instructions, Shuffles) {
  std::vector<u32> a(64);
  for (unsigned i = 0; i < 64; ++i)
    a[i] = 100 + i;
  auto expect = [&](const std::string &text, const std::function<u32(unsigned)> &from) {
    auto got = run<u32>(text, a);
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(got[i], 100 + i / 32 * 32 + from(i % 32)) << text << i;
  };
  expect("shfl.sync.bfly.b32 %r0, %r1, 5, 31, -1;", [](unsigned l) { return l ^ 5; });
  expect("shfl.sync.down.b32 %r0, %r1, 3, 31, -1;", [](unsigned l) { return l + 3 < 32 ? l + 3 : l; });
  expect("shfl.sync.up.b32 %r0, %r1, 3, 0, -1;", [](unsigned l) { return l >= 3 ? l - 3 : l; });
  expect("shfl.sync.idx.b32 %r0, %r1, 7, 31, -1;", [](unsigned) { return 7u; });
  // Segments of eight lanes.
  expect("shfl.sync.idx.b32 %r0, %r1, 2, 0x181f, -1;", [](unsigned l) { return l / 8 * 8 + 2; });
  auto inside = run<u32>("shfl.sync.down.b32 %r5|%p1, %r1, 3, 31, -1;\nselp.b32 %r0, 1, 0, %p1;", a);
  EXPECT_EQ(inside[28], 1u);
  EXPECT_EQ(inside[29], 0u);
}

TEST_F(Instructions, VotesAndReductions) {
  std::vector<u32> a(64);
  for (unsigned i = 0; i < 64; ++i)
    a[i] = i < 32 ? i % 3 : 5;
  std::string odd = "setp.eq.u32 %p1, %r1, 1;\n";
  EXPECT_EQ(run<u32>(odd + "vote.sync.ballot.b32 %r0, %p1, -1;", a)[3], 0x92492492u);
  EXPECT_EQ(run<u32>(odd + "vote.sync.ballot.b32 %r0, !%p1, -1;", a)[40], ~0u);
  auto any = run<u32>(odd + "vote.sync.any.pred %p2, %p1, -1;\nselp.b32 %r0, 1, 0, %p2;", a);
  EXPECT_EQ(any[0], 1u);
  EXPECT_EQ(any[32], 0u);
  auto all = run<u32>(odd + "vote.sync.all.pred %p2, !%p1, -1;\nselp.b32 %r0, 1, 0, %p2;", a);
  EXPECT_EQ(all[0], 0u);
  EXPECT_EQ(all[32], 1u);
  EXPECT_EQ(run<u32>("redux.sync.add.s32 %r0, %r1, -1;", a)[1], 31u);
  EXPECT_EQ(run<u32>("redux.sync.max.u32 %r0, %r1, -1;", a)[33], 5u);
  EXPECT_EQ(run<u32>("activemask.b32 %r0;", a)[33], ~0u);
  auto match = run<u32>("match.any.sync.b32 %r0, %r1, -1;", a);
  EXPECT_EQ(match[0], 0x49249249u);
  EXPECT_EQ(match[63], ~0u);
}

TEST_F(Instructions, Branches) {
  // A loop that each lane leaves after its own number of turns, with a way around inside.
  std::vector<u32> a(64);
  for (unsigned i = 0; i < 64; ++i)
    a[i] = i * 7 % 13;
  auto got = run<u32>("mov.u32 %r0, 0;\nmov.u32 %r5, 0;\nLOOP:\nsetp.ge.u32 %p1, %r5, %r1;\n@%p1 bra DONE;\n"
                      "and.b32 %r6, %r5, 1;\nsetp.ne.u32 %p2, %r6, 0;\n@!%p2 bra EVEN;\nadd.s32 %r0, %r0, 100;\n"
                      "bra.uni NEXT;\nEVEN:\nadd.s32 %r0, %r0, 1;\nNEXT:\nadd.s32 %r5, %r5, 1;\nbra LOOP;\nDONE:\n"
                      "activemask.b32 %r7;\nsetp.ne.u32 %p3, %r7, -1;\n@%p3 trap;",
                      a);
  for (unsigned i = 0; i < 64; ++i)
    EXPECT_EQ(got[i], (a[i] + 1) / 2 + a[i] / 2 * 100) << i;
  // Names within braces are their own.
  EXPECT_EQ(run<u32>("{ .reg .b32 r; mov.u32 r, 7; add.s32 %r0, %r1, r; }", a)[3], a[3] + 7);
}

// Lanes that took one way write registers of another size than those that lanes on the other way have still to read.
TEST_F(Instructions, RegistersWhereWaysPart) {
  for (auto [letter, type] : {std::pair('d', "u64"), {'h', "u16"}}) {
    std::string text = "and.b32 %r4, %r40, 3;\nsetp.eq.u32 %p1, %r4, 0;\n@%p1 bra AHEAD;\nshl.b32 %r0, %r1, 1;\n"
                       "bra.uni MEET;\nAHEAD:\nshl.b32 %r0, %r1, 1;\n";
    auto reg = [&](int number) { return std::string("%") + letter + std::to_string(number); };
    for (int other = 1; other <= 4; ++other)
      text += std::string("cvt.") + type + ".u32 " + reg(other) + ", %r0;\n";
    for (int other = 2; other <= 4; ++other)
      text += std::string("add.") + type + " " + reg(1) + ", " + reg(1) + ", " + reg(other) + ";\n";
    unary<u32, u32>(text + "MEET:\n", [](u32 x) { return x << 1; });
  }
}

TEST_F(Instructions, VectorsAndShortElements) {
  CUfunction function =
      loadBody("ld.param.u64 %d1, [p0];\nld.param.u64 %d2, [p1];\nmov.u32 %r40, %tid.x;\n"
               "mad.wide.u32 %d1, %r40, 16, %d1;\nmad.wide.u32 %d2, %r40, 32, %d2;\n"
               "ld.global.nc.L1::no_allocate.L2::256B.v4.b32 {%r1, %r2, %r3, %r4}, [%d1];\n"
               "st.global.v2.b32 [%d2], {%r4, %r3};\nst.global.v2.b32 [%d2+8], {%r2, %r1};\n"
               "ld.global.s8 %r5, [%d1+3];\nst.global.b32 [%d2+16], %r5;\nld.global.u8 %h1, [%d1+3];\n"
               "st.global.b16 [%d2+20], %h1;\nst.global.b8 [%d2+22], %r1;\nst.global.b8 [%d2+23], 9;\n"
               "ld.global.v2.b64 {%d3, %d4}, [%d1];\nst.global.b64 [%d2+24], %d4;\nret;",
               2);
  std::vector<u32> a(64 * 4);
  for (unsigned i = 0; i < a.size(); ++i)
    a[i] = 0x90000000 + 0x01010101 * i;
  CUdeviceptr out = allocate(64 * 32);
  ASSERT_EQ(launch(function, 1, 64, 0, upload(a), out), CUDA_SUCCESS) << cu.report();
  auto got = download<u32>(out, 64 * 8);
  for (unsigned i = 0; i < 64; ++i) {
    const u32 *x = &a[4 * i], *y = &got[8 * i];
    for (unsigned n = 0; n < 4; ++n)
      EXPECT_EQ(y[n], x[3 - n]);
    EXPECT_EQ(y[4], static_cast<u32>(static_cast<int32_t>(x[0]) >> 24));
    EXPECT_EQ(y[5], x[0] >> 24 | (x[0] & 255) << 16 | 9u << 24);
    EXPECT_EQ(y[6], x[2]);
    EXPECT_EQ(y[7], x[3]);
  }
}

TEST_F(Instructions, Atomics) {
  CUfunction function = loadBody(
      "ld.param.u64 %d1, [p0];\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, cell;\nsetp.eq.u32 %p1, %r1, 0;\n@%p1 st.shared.u32 "
      "[%r2], 0;\nbar.sync 0;\n"
      "atom.global.add.u32 %r3, [%d1], 1;\nred.global.max.u32 [%d1+4], %r1;\nred.relaxed.gpu.global.min.s32 [%d1+8], "
      "%r1;\n"
      "red.global.or.b32 [%d1+12], %r1;\natom.global.inc.u32 %r4, [%d1+16], 9;\nred.global.add.u64 [%d1+24], 3;\n"
      "red.global.add.f32 [%d1+32], 0f3F000000;\natom.shared.add.u32 %r5, [%r2], 2;\n"
      "atom.acq_rel.gpu.global.cas.b32 %r6, [%d1+40], 5, %r1;\nbar.sync 0;\nld.shared.u32 %r7, [%r2];\n"
      "setp.eq.u32 %p1, %r1, 0;\n@%p1 st.global.u32 [%d1+36], %r7;\nret;",
      1, ".shared .align 4 .b32 cell;\n");
  std::vector<u32> a(11);
  a[2] = 100, a[10] = 5;
  CUdeviceptr cells = upload(a);
  ASSERT_EQ(launch(function, 1, 64, 0, cells), CUDA_SUCCESS) << cu.report();
  auto got = download<u32>(cells, 11);
  EXPECT_EQ(got[0], 64u);
  EXPECT_EQ(got[1], 63u);
  EXPECT_EQ(got[2], 0u);
  EXPECT_EQ(got[3], 63u);
  EXPECT_EQ(got[4], 4u); // 64 steps of a counter of ten
  EXPECT_EQ(got[6], 192u);
  EXPECT_EQ(std::bit_cast<float>(got[8]), 32.0f);
  EXPECT_EQ(got[9], 128u);
  EXPECT_NE(got[10], 5u);
  EXPECT_LT(got[10], 64u);
}

TEST_F(Instructions, SpecialRegistersAndVariables) {
  CUfunction function =
      loadBody("ld.param.u64 %d1, [p0];\nmov.u32 %r1, %tid.x;\nmov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\n"
               "mad.lo.s32 %r4, %r2, %r3, %r1;\nmad.wide.u32 %d2, %r4, 4, %d1;\nmov.u32 %r5, %nctaid.x;\n"
               "mov.u32 %r6, %laneid;\nand.b32 %r7, %r6, 3;\nmov.b64 %d3, table;\n"
               "mad.wide.u32 %d3, %r7, 4, %d3;\nld.const.b32 %r8, [%d3];\nld.const.b32 %r9, [table+4];\n"
               "add.s32 %r8, %r8, %r9;\nmad.lo.s32 %r8, %r5, 1000, %r8;\nst.global.b32 [%d2], %r8;\nret;",
               1, ".const .align 4 .b32 table[4] = {1, 2, 3, 4};\n");
  CUdeviceptr out = allocate(3 * 40 * 4);
  ASSERT_EQ(launch(function, 3, 40, 0, out), CUDA_SUCCESS) << cu.report();
  auto got = download<u32>(out, 120);
  for (unsigned i = 0; i < 120; ++i)
    EXPECT_EQ(got[i], 3000 + (i % 40 % 32 & 3) + 1 + 2) << i;
}

TEST_F(Instructions, GenericAndLocalAddresses) {
  CUfunction function = loadBody(".local .align 8 .b8 depot[16];\nld.param.u64 %d1, [p0];\nmov.u32 %r1, %tid.x;\n"
                                 "mov.b64 %d2, depot;\ncvta.local.u64 %d3, %d2;\nst.local.u32 [%d2+4], %r1;\n"
                                 "ld.u32 %r2, [%d3+4];\nmov.b64 %d4, tile;\ncvta.shared.u64 %d5, %d4;\n"
                                 "mad.wide.u32 %d5, %r1, 4, %d5;\nst.u32 [%d5], %r2;\ncvta.to.shared.u64 %d6, %d5;\n"
                                 "ld.shared.u32 %r3, [%d6];\nmad.wide.u32 %d7, %r1, 4, %d1;\nst.u32 [%d7], %r3;\nret;",
                                 1, ".shared .align 4 .b8 tile[256];\n");
  CUdeviceptr out = allocate(256);
  ASSERT_EQ(launch(function, 1, 64, 0, out), CUDA_SUCCESS) << cu.report();
  auto got = download<u32>(out, 64);
  for (unsigned i = 0; i < 64; ++i)
    EXPECT_EQ(got[i], i);
}

} // namespace
} // namespace kerf::emulator
