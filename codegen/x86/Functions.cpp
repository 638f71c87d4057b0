//===- Functions.cpp - functions that kernels compute ---------------------===//
#include "codegen/x86/Functions.h"

#include "mlir/IR/TypeUtilities.h"

#include <numbers>

using namespace mlir;
using namespace kerf::x86;
using Value = mlir::Value;

/// `like`'s type with the number in each lane.
static Value constantLike(KernelBuilder &kernel, Value like, double value) {
  Type type = like.getType(), element = getElementTypeOrSelf(type);
  TypedAttr attribute = FloatAttr::get(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, Attribute(attribute));
  return arith::ConstantOp::create(kernel.ops(), attribute);
}
static Value integerLike(KernelBuilder &kernel, Value like, int64_t value) {
  Type type = like.getType(), element = getElementTypeOrSelf(type);
  TypedAttr attribute = IntegerAttr::get(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, Attribute(attribute));
  return arith::ConstantOp::create(kernel.ops(), attribute);
}

/// The type with other elements.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.cloneWith(std::nullopt, element);
  return element;
}

Value kerf::x86::activate(KernelBuilder &kernel, Activation activation, Value x) {
  auto constant = [&](double value) { return constantLike(kernel, x, value); };
  auto timesSigmoid = [&](Value argument) {
    return kernel.div(x, kernel.add(constant(1), kernel.exp(kernel.neg(argument))));
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
    return kernel.fma(half, kernel.erf(kernel.mul(x, constant(std::numbers::sqrt2 / 2))), half);
  }
  }
  llvm_unreachable("unknown activation");
}

// x = 2^e f with f in [sqrt(1/2), sqrt 2): log x = e log 2 + 2 artanh(s), s = (f - 1) / (f + 1), |s| < 0.172. In f64
// the series to s^13 leaves less than 2^-40.
Value kerf::x86::logarithm(KernelBuilder &kernel, Value x) {
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
std::pair<Value, Value> kerf::x86::cosSin(KernelBuilder &kernel, Value angles, double factor) {
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
