//===- IrBuilder.h - the words that kernels are written in ------*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_IRBUILDER_H
#define KERF_CODEGEN_KERNELS_IRBUILDER_H

#include "codegen/kernels/Element.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace kerf::kernels {

/// Lanes of a vector; 1 for a scalar.
unsigned lanesOf(mlir::Value value);

/// Builds `arith`, `scf` and `llvm` ops; what every target's KernelBuilder has in common. Everything is integers, f32
/// and one-dimensional vectors; memory is addressed by llvm pointers and byte offsets.
///
/// Numbers are IEEE: nothing is reassociated or contracted, so what is written here fixes the bits.
class IrBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<mlir::Value>;

  /// Vectors have `lanes` lanes unless told.
  IrBuilder(mlir::Location loc, unsigned lanes) : b(loc, loc.getContext()), defaultLanes(lanes) {}
  virtual ~IrBuilder() = default;

  /// The underlying builder, for ops that this class does not wrap.
  mlir::ImplicitLocOpBuilder &ops() { return b; }

  // Types.
  /// f32, bf16 or f16.
  mlir::Type type(Element element);
  /// Vector of `lanes` of them.
  mlir::VectorType vectorType(Element element, unsigned lanes);
  /// Vector of signless integers.
  mlir::VectorType integers(unsigned bits, unsigned lanes);

  // Constants.
  /// A 64-bit integer.
  Value i64(int64_t value);
  /// A 32-bit integer.
  Value i32(int32_t value);
  /// An f32.
  Value f32(float value);
  /// f32 in every lane; of the builder's width unless told.
  Value f32Splat(float value, unsigned lanes = 0);
  /// i32 in every lane.
  Value i32Splat(int32_t value, unsigned lanes = 0);
  /// An integer of a type.
  Value integer(mlir::Type type, int64_t value);
  /// All bits clear, for any integer, float or vector type.
  Value zero(mlir::Type type);

  // Arithmetic on integers or floats, scalars or vectors; both sides have one type.
  /// a + b.
  Value add(Value a, Value b);
  /// a + b.
  Value add(Value a, int64_t b) { return add(a, integer(a.getType(), b)); }
  /// a - b.
  Value sub(Value a, Value b);
  /// a * b.
  Value mul(Value a, Value b);
  /// a * b.
  Value mul(Value a, int64_t b) { return mul(a, integer(a.getType(), b)); }
  /// a / b; integers as unsigned.
  Value div(Value a, Value b);
  /// a / b, unsigned.
  Value div(Value a, int64_t b) { return div(a, integer(a.getType(), b)); }
  /// a mod b, unsigned integers.
  Value rem(Value a, int64_t b);
  /// Smaller of two; signed where integers. Of floats: a where a < b, else b (so b where either is NaN).
  Value min(Value a, Value b);
  /// Greater of two; signed where integers. Of floats: a where a > b, else b (so b where either is NaN).
  Value max(Value a, Value b);
  /// -a, floats.
  Value neg(Value a);
  /// Square root, floats, correctly rounded.
  Value sqrt(Value a);
  /// a * b + c with one rounding.
  Value fma(Value a, Value b, Value c);
  /// Bitwise on integers.
  Value bitAnd(Value a, Value b);
  /// Bitwise on integers.
  Value bitOr(Value a, Value b);
  /// Shift left.
  Value shiftLeft(Value a, Value b);
  /// Shift right, zeros enter.
  Value shiftRight(Value a, Value b);
  /// Compares signed integers.
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  /// a < b, signed.
  Value less(Value a, Value b) { return compare(mlir::arith::CmpIPredicate::slt, a, b); }
  /// Compares floats.
  Value compare(mlir::arith::CmpFPredicate predicate, Value a, Value b);
  /// condition ? a : b, by lane where the condition is a vector.
  Value select(Value condition, Value a, Value b);
  /// Same bits, other type.
  Value bitcast(mlir::Type type, Value a);
  /// i32 to i64 keeping the sign.
  Value signExtend(Value a);
  /// Signed integers to f32, scalar or vector.
  Value toF32(Value integers);

  // Vectors.
  /// The scalar in every lane; the builder's width unless told.
  Value broadcast(Value scalar, unsigned lanes = 0);
  /// Lanes of a then b, picked by index.
  Value shuffle(Value a, Value b, llvm::ArrayRef<int32_t> lanes);
  /// One lane.
  Value extract(Value vector, unsigned lane);
  /// Sum of all lanes, always the same tree: the upper half added to the lower until one is left.
  Value reduceAdd(Value vector);
  /// Greatest lane, by max().
  Value reduceMax(Value vector);
  /// Mask of the first `count` lanes (any count: none where <= 0, all where >= lanes).
  Value mask(Value count, unsigned lanes);

  // Memory. Offsets are in bytes.
  /// base + offset.
  Value at(Value base, Value offset);
  /// base + offset.
  Value at(Value base, int64_t offset);
  /// Loads a scalar or vector.
  Value load(mlir::Type type, Value address, unsigned alignment);
  /// Stores a scalar or vector.
  void store(Value value, Value address, unsigned alignment);
  /// Loads the lanes of the mask, zeros elsewhere; touches no memory outside the mask.
  Value loadMasked(mlir::VectorType type, Value address, Value mask, unsigned alignment);
  /// Stores the lanes of the mask.
  void storeMasked(Value value, Value address, Value mask, unsigned alignment);
  // Conversions.
  /// Widens scalar or vector floats to f32; exact, also for subnormal numbers.
  Value widen(Value narrow);
  // Control.
  /// for (i = begin; i < end; i += step) body(i)
  void forEach(Value begin, Value end, int64_t step, llvm::function_ref<void(Value)> body);
  /// The same with values carried from turn to turn; gives the last ones.
  Values loop(Value begin, Value end, int64_t step, ValueRange start,
              llvm::function_ref<Values(Value, ValueRange)> body);
  /// if (condition) then()
  void ifThen(Value condition, llvm::function_ref<void()> then);
  /// condition ? then() : otherwise()
  Values ifElse(Value condition, mlir::TypeRange types, llvm::function_ref<Values()> then,
                llvm::function_ref<Values()> otherwise);
  /// Calls an LLVM intrinsic; gives its result, if any.
  Value intrinsic(llvm::StringRef name, mlir::Type result, ValueRange arguments);

protected:
  /// The integers of the same width and lanes as an f32 type.
  mlir::Type bitsOf(mlir::Type floats);
  /// The type as which values of `type` are loaded and stored.
  mlir::Type memoryType(mlir::Type type);

  mlir::ImplicitLocOpBuilder b;
  unsigned defaultLanes;
};

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_IRBUILDER_H
