// What the lowerings of single ops share: values of the new program, and loops over them.
#ifndef KERF_CODEGEN_REFERENCE_EMITTER_H
#define KERF_CODEGEN_REFERENCE_EMITTER_H

#include "dialects/kerf/KerfDialect.h"
#include "mlir/IR/IRMapping.h"

namespace kerf::reference {

/// The arrays of a step that a batch becomes, in the order of the new program's arguments; all `tensor<?xi32>`.
enum BatchArray : unsigned {
  /// Token id of each row.
  TokenIds,
  /// Rotary position of each row.
  Positions,
  /// Rows that want logits.
  LogitRows,
  /// Sequence of each row.
  Sequences,
  /// Index of each row in its sequence: it sees the keys 0 … index. -1 sees nothing.
  Indices,
  /// Where in its sequence a row's key is kept; -1 for not at all.
  Slots,
  /// Keys of each sequence after the step.
  Lengths,
  /// First row of each piece of the step that has rows.
  FirstRows,
  /// Rows of each of those pieces.
  RowCounts,
  /// How many there are.
  BatchArrayCount
};

/// Emits the new program. Values of the old one are looked up by `get` and `getAll`.
class Emitter {
public:
  /// Emits at `builder`.
  explicit Emitter(mlir::OpBuilder &builder) : b(builder) {}

  /// Where ops go.
  mlir::OpBuilder &b;
  /// Location of the op that is being lowered.
  mlir::Location loc = b.getUnknownLoc();
  /// New values of tensors and everything else that stays one value.
  mlir::IRMapping mapping;
  /// The KV groups, in the order in which a cache lists them.
  llvm::SmallVector<KvGroupOp> groups;

  /// The new value of a tensor or an index.
  mlir::Value get(mlir::Value old) { return mapping.lookup(old); }
  /// What a batch, a work list or a cache became.
  llvm::ArrayRef<mlir::Value> getAll(mlir::Value old) { return expanded.find(old)->second; }
  /// Says what a batch, a work list or a cache becomes.
  void setAll(mlir::Value old, llvm::ArrayRef<mlir::Value> values) {
    expanded[old] = llvm::SmallVector<mlir::Value>(values);
  }
  /// The memref of keys (or values) of a group.
  mlir::Value getKeys(mlir::Value cache, mlir::FlatSymbolRefAttr group);
  /// The memref of values of a group.
  mlir::Value getValues(mlir::Value cache, mlir::FlatSymbolRefAttr group);

  /// A constant index.
  mlir::Value index(int64_t value);
  /// A constant f32, rounded from `value`.
  mlir::Value f32(double value);
  /// Size of an axis of a new tensor.
  mlir::Value dim(mlir::Value tensor, int64_t axis);
  /// A new tensor with the shape and type that the old `init` has.
  mlir::Value empty(mlir::Value init);

  /// An element of a tensor or memref, widened to f32.
  mlir::Value load(mlir::Value from, mlir::ValueRange indices);
  /// An element of a `tensor<?xi32>` as an index.
  mlir::Value loadIndex(mlir::Value from, mlir::Value i);
  /// `tensor` with an element replaced by an f32, rounded to nearest even.
  mlir::Value insert(mlir::Value value, mlir::Value tensor, mlir::ValueRange indices);
  /// Stores an f32 in a memref, rounded to nearest even.
  void store(mlir::Value value, mlir::Value memref, mlir::ValueRange indices);
  /// `value` (f32) rounded to nearest even to `type`; NaN stays NaN.
  mlir::Value round(mlir::Value value, mlir::Type type);

  /// Emits a loop over [0, count) that carries values; gives what the last round yields.
  llvm::SmallVector<mlir::Value>
  loop(mlir::Value count, mlir::ValueRange carried,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);
  /// A loop over [0, count) that carries one value, such as a tensor that it fills.
  mlir::Value loop1(mlir::Value count, mlir::Value carried,
                    llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> body);
  /// The f32 sum of `term` over [0, count); its order is free, and the same for every row.
  mlir::Value sum(mlir::Value count, llvm::function_ref<mlir::Value(mlir::Value)> term);
  /// The f32 sum of the products of two numbers over [0, count).
  mlir::Value dot(mlir::Value count, llvm::function_ref<std::pair<mlir::Value, mlir::Value>(mlir::Value)> factors);
  /// A tensor like `init` whose elements are `element(row, column)`.
  mlir::Value fill(mlir::Value init, llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> element);
  /// The new tensor `tensor` with those elements.
  mlir::Value fillNew(mlir::Value tensor, llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> element);
  /// `sum over k of input[row, k] * weight[column, k]`, plus `bias[column]` if there is one.
  mlir::Value product(mlir::Value input, mlir::Value weight, mlir::Value bias, mlir::Value row, mlir::Value column);

  /// `f(x)` in f32, computed in f64.
  mlir::Value activate(Activation activation, mlir::Value x);
  /// `1 / sqrt(mean of squares + eps)` of `count` numbers.
  mlir::Value inverseRms(int64_t count, double eps, llvm::function_ref<mlir::Value(mlir::Value)> element);

  /// f32 arithmetic.
  mlir::Value add(mlir::Value lhs, mlir::Value rhs);
  /// f32 arithmetic.
  mlir::Value sub(mlir::Value lhs, mlir::Value rhs);
  /// f32 arithmetic.
  mlir::Value mul(mlir::Value lhs, mlir::Value rhs);
  /// f32 arithmetic.
  mlir::Value div(mlir::Value lhs, mlir::Value rhs);
  /// Index arithmetic.
  mlir::Value addIndex(mlir::Value lhs, mlir::Value rhs);
  /// Index arithmetic.
  mlir::Value mulIndex(mlir::Value lhs, int64_t rhs);
  /// Index arithmetic: the quotient by a constant.
  mlir::Value divIndex(mlir::Value lhs, int64_t rhs);

private:
  mlir::Value getGroupMemref(mlir::Value cache, mlir::FlatSymbolRefAttr group, unsigned which);

  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> expanded;
};

/// The lowerings, by family; `op` may be any op of the family, others give failure without a diagnostic.
mlir::LogicalResult lowerBatchOp(mlir::Operation *op, Emitter &emitter);
/// Norms, activations, gating and sums.
mlir::LogicalResult lowerElementwiseOp(mlir::Operation *op, Emitter &emitter);
/// Matrix products.
mlir::LogicalResult lowerLinearOp(mlir::Operation *op, Emitter &emitter);
/// Positions, the cache and attention.
mlir::LogicalResult lowerAttentionOp(mlir::Operation *op, Emitter &emitter);

} // namespace kerf::reference
#endif // KERF_CODEGEN_REFERENCE_EMITTER_H
