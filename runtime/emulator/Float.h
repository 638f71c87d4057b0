/// Floats of 16 bits, and the functions that the hardware approximates.
#ifndef KERF_RUNTIME_EMULATOR_FLOAT_H
#define KERF_RUNTIME_EMULATOR_FLOAT_H

#include <bit>
#include <cmath>
#include <cstdint>

namespace kerf::emulator {

/// bfloat16.
struct Bf16 {
  uint16_t bits;
};

inline float toFloat(float x) { return x; }
inline float toFloat(_Float16 x) { return static_cast<float>(x); }
inline float toFloat(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

/// Rounds to the nearest, ties to even; NaN becomes the one NaN.
inline Bf16 toBf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return {static_cast<uint16_t>(x != x ? 0x7fff : rounded)};
}

template <typename T> T fromFloat(float x);
template <> inline float fromFloat<float>(float x) { return x; }
template <> inline _Float16 fromFloat<_Float16>(float x) { return static_cast<_Float16>(x); }
template <> inline Bf16 fromFloat<Bf16>(float x) { return toBf16(x); }

/// Subnormal numbers become zeros of their sign.
inline float flush(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>(bits & 0x7f800000 ? bits : bits & 0x80000000);
}
/// 0 to 1; NaN becomes 0.
inline float saturate(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }

/// 2^x, rounded from an error of 1e-11: ex2.approx of the hardware is right to 2 units in the last place (PTX ISA), in
/// bits of its own. A polynomial, so that lanes are vectors.
inline float exp2Lane(float x) {
  // NaN is given back below; here it must be a number that fits an integer.
  float clamped = x >= -160.0f ? (x > 130.0f ? 130.0f : x) : -160.0f;
  double whole = std::nearbyint(static_cast<double>(clamped));
  double r = (static_cast<double>(clamped) - whole) * 0.693147180559945309417;
  // Taylor series of e^r, |r| <= 0.35: the term after the last is below 1e-12.
  double p = 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  double scale = std::bit_cast<double>(static_cast<int64_t>(static_cast<int32_t>(whole) + 1023) << 52);
  float result = static_cast<float>(p * scale);
  return x != x ? x : result;
}

} // namespace kerf::emulator

#endif
