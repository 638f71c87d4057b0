//===- Functions.cpp - functions that kernels compute ---------------------===//
#include "codegen/kernels/Functions.h"

#include "mlir/IR/TypeUtilities.h"

#include <numbers>

using namespace mlir;
using namespace kerf::kernels;
using Value = mlir::Value;

/// `like`'s type with the number in each lane.
static Value splatLike(IrBuilder &kernel, Value like, TypedAttr number) {
  if (auto vector = dyn_cast<VectorType>(like.getType()))
    number = DenseElementsAttr::get(vector, Attribute(number));
  return arith::ConstantOp::create(kernel.ops(), number);
}
static Value constantLike(IrBuilder &kernel, Value like, double value) {
  return splatLike(kernel, like, FloatAttr::get(getElementTypeOrSelf(like.getType()), value));
}
static Value integerLike(IrBuilder &kernel, Value like, int64_t value) {
  return splatLike(kernel, like, IntegerAttr::get(getElementTypeOrSelf(like.getType()), value));
}

/// The type with other elements.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.cloneWith(std::nullopt, element);
  return element;
}

// Argument reduction by Cody and Waite: x = n ln 2 + r with |r| <= ln 2 / 2 and ln 2 in two parts, the first of which
// n multiplies exactly; then the Taylor polynomial of e^r, whose rest r^8 / 8! is below 2^-27 there, and a scaling by
// 2^n in two steps, so that neither factor overflows.
Value kerf::kernels::exponential(IrBuilder &kernel, Value x) {
  auto constant = [&](float value) { return constantLike(kernel, x, value); };
  // Beyond these the result is 0 or infinity anyway. NaN stays: min and max give their second operand.
  Value bounded = kernel.max(constant(-104.0f), kernel.min(constant(89.0f), x));
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  Value shifter = constant(12582912.0f);
  Value shifted = kernel.fma(bounded, constant(1.44269504088896341f), shifter);
  Value n = kernel.sub(shifted, shifter);
  Value r = kernel.fma(n, constant(-0.693359375f), bounded);
  r = kernel.fma(n, constant(2.12194440e-4f), r);
  Value sum = constant(1.0f / 5040);
  for (float factor : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    sum = kernel.fma(sum, r, constant(factor));
  Value bits = kernel.bitcast(withElement(x.getType(), kernel.ops().getI32Type()), shifted);
  auto integer = [&](int32_t value) { return integerLike(kernel, bits, value); };
  Value whole = kernel.sub(bits, integer(0x4b400000));
  Value half = arith::ShRSIOp::create(kernel.ops(), whole, integer(1));
  auto power = [&](Value exponent) {
    return kernel.bitcast(x.getType(), kernel.shiftLeft(kernel.add(exponent, integer(127)), integer(23)));
  };
  return kernel.mul(kernel.mul(sum, power(half)), power(kernel.sub(whole, half)));
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: |error| <= 1.5e-7.
Value kerf::kernels::errorFunction(IrBuilder &kernel, Value x) {
  auto constant = [&](float value) { return constantLike(kernel, x, value); };
  Value bits = kernel.bitcast(withElement(x.getType(), kernel.ops().getI32Type()), x);
  auto integer = [&](int32_t value) { return integerLike(kernel, bits, value); };
  Value sign = kernel.bitAnd(bits, integer(INT32_MIN));
  Value magnitude = kernel.bitcast(x.getType(), kernel.bitAnd(bits, integer(INT32_MAX)));
  Value t = kernel.div(constant(1.0f), kernel.fma(magnitude, constant(0.3275911f), constant(1.0f)));
  Value sum = constant(1.061405429f);
  for (float factor : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f})
    sum = kernel.fma(sum, t, constant(factor));
  sum = kernel.mul(kernel.mul(sum, t), exponential(kernel, kernel.neg(kernel.mul(magnitude, magnitude))));
  Value positive = kernel.sub(constant(1.0f), sum);
  return kernel.bitcast(x.getType(), kernel.bitOr(kernel.bitcast(bits.getType(), positive), sign));
}

Value kerf::kernels::activate(IrBuilder &kernel, Activation activation, Value x) {
  auto constant = [&](double value) { return constantLike(kernel, x, value); };
  auto timesSigmoid = [&](Value argument) {
    return kernel.div(x, kernel.add(constant(1), exponential(kernel, kernel.neg(argument))));
  };
  switch (activation) {
  case Activation::Silu:
    return timesSigmoid(x);
  case Activation::Relu:
    // max gives its second operand where one is NaN, so NaN stays NaN.
    return kernel.max(constant(0), x);
  case Activation::GeluTanh: {
    // (1 + tanh u) / 2 is the sigmoid of 2u, with u = sqrt(2 / pi) (x + 0.044715 x^3).
    const double slope = 2 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
    return timesSigmoid(kernel.mul(x, kernel.fma(kernel.mul(x, x), constant(slope * 0.044715), constant(slope))));
  }
  case Activation::Gelu: {
    Value half = kernel.mul(x, constant(0.5));
    return kernel.fma(half, errorFunction(kernel, kernel.mul(x, constant(std::numbers::sqrt2 / 2))), half);
  }
  }
  llvm_unreachable("unknown activation");
}

// x = 2^e f with f in [sqrt(1/2), sqrt 2): log x = e log 2 + 2 artanh(s), s = (f - 1) / (f + 1), |s| < 0.172. In f64
// the series to s^13 leaves less than 2^-40.
Value kerf::kernels::logarithm(IrBuilder &kernel, Value x) {
  auto &ops = kernel.ops();
  Type f64 = withElement(x.getType(), ops.getF64Type()), i32 = withElement(x.getType(), ops.getI32Type());
  Value bits = kernel.bitcast(i32, x);
  auto integer = [&](int64_t value) { return integerLike(kernel, bits, value); };
  // From the bits of sqrt(1/2) on, the exponent counts whole powers of two.
  Value above = kernel.sub(bits, integer(0x3f3504f3));
  Value exponent = arith::ShRSIOp::create(ops, above, integer(23));
  Value fraction = kernel.bitcast(x.getType(), kernel.sub(bits, kernel.shiftLeft(exponent, integer(23))));
  Value f = arith::ExtFOp::create(ops, f64, fraction);
  Value e = arith::SIToFPOp::create(ops, f64, exponent);
  auto constant = [&](double value) { return constantLike(kernel, f, value); };
  Value s = kernel.div(kernel.sub(f, constant(1)), kernel.add(f, constant(1)));
  Value square = kernel.mul(s, s);
  Value sum = constant(2.0 / 13);
  for (int power = 11; power >= 1; power -= 2)
    sum = kernel.fma(sum, square, constant(2.0 / power));
  Value result = kernel.fma(e, constant(std::numbers::ln2), kernel.mul(sum, s));
  Value narrow = arith::TruncFOp::create(ops, x.getType(), result);
  return kernel.select(kernel.compare(arith::CmpFPredicate::UNO, x, x), x, narrow);
}

// Argument reduction by Cody and Waite in f64: x = n pi/2 + r with |r| <= pi/4 and pi/2 in two parts, the products
// fused; then the Taylor polynomials, whose rests r^15 / 15! and r^16 / 16! are below 2^-44 there.
std::pair<Value, Value> kerf::kernels::cosSin(IrBuilder &kernel, Value angles, double factor) {
  auto &ops = kernel.ops();
  Type f64 = withElement(angles.getType(), ops.getF64Type()), i64 = withElement(angles.getType(), ops.getI64Type());
  Value x = arith::ExtFOp::create(ops, f64, angles);
  auto constant = [&](double value) { return constantLike(kernel, x, value); };
  // Adding 1.5 * 2^52 leaves the nearest integer in the low bits.
  Value shifter = constant(6755399441055744.0);
  Value shifted = kernel.fma(x, constant(2 * std::numbers::inv_pi), shifter);
  Value n = kernel.sub(shifted, shifter);
  Value r = kernel.fma(n, constant(-0x1.921fb54442d18p0), x);
  r = kernel.fma(n, constant(-0x1.1a62633145c07p-54), r);
  Value square = kernel.mul(r, r);
  auto series = [&](int highest) {
    // 1 / highest!, then the lower ones of the same parity with alternating signs.
    double factorial = 1;
    for (int i = 2; i <= highest; ++i)
      factorial *= i;
    double sign = highest / 2 % 2 ? -1 : 1;
    Value sum = constant(sign / factorial);
    for (int power = highest; power >= 2; power -= 2) {
      factorial /= double(power) * (power - 1);
      sign = -sign;
      sum = kernel.fma(sum, square, constant(sign / factorial));
    }
    return sum;
  };
  Value sine = kernel.mul(series(13), r), cosine = series(14);
  Value quadrant = kernel.bitcast(i64, shifted);
  auto integer = [&](int64_t value) { return integerLike(kernel, quadrant, value); };
  Value odd = kernel.compare(arith::CmpIPredicate::ne, kernel.bitAnd(quadrant, integer(1)), integer(0));
  auto finish = [&](Value value, Value turns) {
    Value sign = kernel.shiftLeft(kernel.bitAnd(turns, integer(2)), integer(62));
    Value bits = kernel.bitcast(i64, kernel.mul(value, constant(factor)));
    Value turned = kernel.bitcast(f64, arith::XOrIOp::create(ops, bits, sign));
    return arith::TruncFOp::create(ops, angles.getType(), turned).getResult();
  };
  return {finish(kernel.select(odd, sine, cosine), kernel.add(quadrant, integer(1))),
          finish(kernel.select(odd, cosine, sine), quadrant)};
}
