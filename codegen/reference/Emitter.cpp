// Loops, elements and rounding.
#include "codegen/reference/Emitter.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

Value Emitter::getGroupMemref(Value cache, FlatSymbolRefAttr group, unsigned which) {
  for (auto [i, candidate] : llvm::enumerate(groups))
    if (candidate.getSymNameAttr() == group.getAttr())
      return getAll(cache)[2 * i + which];
  llvm_unreachable("the verifier looked the group up");
}
Value Emitter::getKeys(Value cache, FlatSymbolRefAttr group) { return getGroupMemref(cache, group, 0); }
Value Emitter::getValues(Value cache, FlatSymbolRefAttr group) { return getGroupMemref(cache, group, 1); }

Value Emitter::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value Emitter::f32(double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(static_cast<float>(value)));
}

Value Emitter::dim(Value tensor, int64_t axis) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(axis))
    return index(type.getDimSize(axis));
  return tensor::DimOp::create(b, loc, tensor, axis);
}

Value Emitter::empty(Value init) {
  auto type = cast<RankedTensorType>(init.getType());
  SmallVector<Value> sizes;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (type.isDynamicDim(axis))
      sizes.push_back(dim(get(init), axis));
  return tensor::EmptyOp::create(b, loc, type, sizes);
}

Value Emitter::load(Value from, ValueRange indices) {
  Value element = isa<MemRefType>(from.getType()) ? Value(memref::LoadOp::create(b, loc, from, indices))
                                                  : Value(tensor::ExtractOp::create(b, loc, from, indices));
  if (element.getType().isF32())
    return element;
  return arith::ExtFOp::create(b, loc, b.getF32Type(), element);
}

Value Emitter::loadIndex(Value from, Value i) {
  Value element = tensor::ExtractOp::create(b, loc, from, ValueRange{i});
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), element);
}

Value Emitter::insert(Value value, Value tensor, ValueRange indices) {
  Type type = cast<RankedTensorType>(tensor.getType()).getElementType();
  return tensor::InsertOp::create(b, loc, round(value, type), tensor, indices);
}

void Emitter::store(Value value, Value memref, ValueRange indices) {
  Type type = cast<MemRefType>(memref.getType()).getElementType();
  memref::StoreOp::create(b, loc, round(value, type), memref, indices);
}

Value Emitter::round(Value value, Type type) {
  if (type.isF32())
    return value;
  if (!type.isBF16())
    return arith::TruncFOp::create(b, loc, type, value);
  // By hand, in integers: the instruction of AVX-512 BF16 flushes subnormal numbers.
  auto constant = [&](int64_t bits) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(static_cast<int32_t>(bits)));
  };
  Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), value);
  Value high = arith::ShRUIOp::create(b, loc, bits, constant(16));
  Value odd = arith::AndIOp::create(b, loc, high, constant(1));
  Value bias = arith::AddIOp::create(b, loc, odd, constant(0x7fff));
  Value sum = arith::AddIOp::create(b, loc, bits, bias);
  Value rounded = arith::ShRUIOp::create(b, loc, sum, constant(16));
  Value quiet = arith::OrIOp::create(b, loc, high, constant(0x40));
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, value, value);
  Value chosen = arith::SelectOp::create(b, loc, isNaN, quiet, rounded);
  Value half = arith::TruncIOp::create(b, loc, b.getI16Type(), chosen);
  return arith::BitcastOp::create(b, loc, type, half);
}

SmallVector<Value> Emitter::loop(Value count, ValueRange carried,
                                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  Value zero = index(0), one = index(1);
  auto loop =
      scf::ForOp::create(b, loc, zero, count, one, carried, [&](OpBuilder &, Location, Value i, ValueRange values) {
        scf::YieldOp::create(b, loc, body(i, values));
      });
  return llvm::to_vector_of<Value>(loop.getResults());
}

Value Emitter::loop1(Value count, Value carried, llvm::function_ref<Value(Value, Value)> body) {
  return loop(count, carried,
              [&](Value i, ValueRange values) -> SmallVector<Value> { return {body(i, values.front())}; })
      .front();
}

Value Emitter::sum(Value count, llvm::function_ref<Value(Value)> term) {
  // Reassociation lets the loop run on vectors; it is no less exact, and does not depend on the row.
  return loop1(count, f32(0), [&](Value i, Value total) -> Value {
    return arith::AddFOp::create(b, loc, total, term(i), arith::FastMathFlags::reassoc);
  });
}

Value Emitter::dot(Value count, llvm::function_ref<std::pair<Value, Value>(Value)> factors) {
  return loop1(count, f32(0), [&](Value i, Value total) -> Value {
    auto [lhs, rhs] = factors(i);
    // Contraction makes the products exact where there is a fused instruction.
    Value product = arith::MulFOp::create(b, loc, lhs, rhs, arith::FastMathFlags::contract);
    return arith::AddFOp::create(b, loc, total, product,
                                 arith::FastMathFlags::reassoc | arith::FastMathFlags::contract);
  });
}

Value Emitter::fill(Value init, llvm::function_ref<Value(Value, Value)> element) {
  return fillNew(empty(init), element);
}

Value Emitter::fillNew(Value tensor, llvm::function_ref<Value(Value, Value)> element) {
  Value rows = dim(tensor, 0), columns = dim(tensor, 1);
  return loop1(rows, tensor, [&](Value row, Value outer) {
    return loop1(columns, outer,
                 [&](Value column, Value inner) { return insert(element(row, column), inner, {row, column}); });
  });
}

Value Emitter::product(Value input, Value weight, Value bias, Value row, Value column) {
  Value sum = dot(dim(weight, 1), [&](Value k) { return std::pair(load(input, {row, k}), load(weight, {column, k})); });
  return bias ? add(sum, load(bias, {column})) : sum;
}

Value Emitter::activate(Activation activation, Value x) {
  Type f64 = b.getF64Type();
  auto constant = [&](double value) -> Value { return arith::ConstantOp::create(b, loc, b.getF64FloatAttr(value)); };
  auto mul64 = [&](Value lhs, Value rhs) -> Value { return arith::MulFOp::create(b, loc, lhs, rhs); };
  auto add64 = [&](Value lhs, Value rhs) -> Value { return arith::AddFOp::create(b, loc, lhs, rhs); };
  // f64: a function of f32 operations would be off by more than the contract's two units.
  Value wide = arith::ExtFOp::create(b, loc, f64, x), y;
  switch (activation) {
  case Activation::Silu: {
    Value negated = arith::NegFOp::create(b, loc, wide);
    Value denominator = add64(constant(1), math::ExpOp::create(b, loc, negated));
    y = arith::DivFOp::create(b, loc, wide, denominator);
    break;
  }
  case Activation::Gelu: {
    Value erf = math::ErfOp::create(b, loc, mul64(wide, constant(0.70710678118654752440)));
    y = mul64(mul64(constant(0.5), wide), add64(constant(1), erf));
    break;
  }
  case Activation::GeluTanh: {
    Value cube = mul64(mul64(wide, wide), wide);
    Value inner = mul64(constant(0.79788456080286535588), add64(wide, mul64(constant(0.044715), cube)));
    Value tanh = math::TanhOp::create(b, loc, inner);
    y = mul64(mul64(constant(0.5), wide), add64(constant(1), tanh));
    break;
  }
  case Activation::Relu:
    y = arith::MaximumFOp::create(b, loc, wide, constant(0));
    break;
  }
  return arith::TruncFOp::create(b, loc, b.getF32Type(), y);
}

Value Emitter::inverseRms(int64_t count, double eps, llvm::function_ref<Value(Value)> element) {
  Value squares = dot(index(count), [&](Value i) {
    Value x = element(i);
    return std::pair(x, x);
  });
  Value mean = div(squares, f32(count));
  Value root = math::SqrtOp::create(b, loc, add(mean, f32(eps)));
  return div(f32(1), root);
}

Value Emitter::add(Value lhs, Value rhs) { return arith::AddFOp::create(b, loc, lhs, rhs); }
Value Emitter::sub(Value lhs, Value rhs) { return arith::SubFOp::create(b, loc, lhs, rhs); }
Value Emitter::mul(Value lhs, Value rhs) { return arith::MulFOp::create(b, loc, lhs, rhs); }
Value Emitter::div(Value lhs, Value rhs) { return arith::DivFOp::create(b, loc, lhs, rhs); }
Value Emitter::addIndex(Value lhs, Value rhs) { return arith::AddIOp::create(b, loc, lhs, rhs); }
Value Emitter::mulIndex(Value lhs, int64_t rhs) { return arith::MulIOp::create(b, loc, lhs, index(rhs)); }
Value Emitter::divIndex(Value lhs, int64_t rhs) { return arith::DivUIOp::create(b, loc, lhs, index(rhs)); }
