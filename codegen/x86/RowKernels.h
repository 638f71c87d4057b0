//===- RowKernels.h - x86 kernels that work row by row ----------*- C++ -*-===//
//
// Rows are dense and of any element alignment. Everything is computed in f32 and rounded once to the element type of
// the output; weights of one axis (gains, frequencies) are f32. A kernel reads and writes nothing outside its
// operands' rows, and the bits of a row depend on that row alone.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_X86_ROWKERNELS_H
#define KERF_CODEGEN_X86_ROWKERNELS_H

#include "codegen/x86/Kernels.h"

namespace kerf::x86 {

/// For each run of a row: output[i] = input[i] * (1 / sqrt(mean of input squared + eps)) * scale[i].
///
/// Operands: input, scale (f32[run]), output. The output may be the input's memory.
struct RmsNormSpec {
  /// Elements of a row; elements of a run, of which a row has a whole number.
  int64_t columns, run;
  /// Added to the mean.
  double eps;
  /// Element types.
  Element input, output;
};

/// output[i] = (input[i] - mean) * (1 / sqrt(variance + eps)) * scale[i] + bias[i], where the variance is the mean of
/// the squares of input[i] - mean.
///
/// Operands: input, scale (f32[columns]), bias (f32[columns]), output. The output may be the input's memory.
struct LayerNormSpec {
  /// Elements of a row.
  int64_t columns;
  /// Added to the variance.
  double eps;
  /// Element types.
  Element input, output;
};

/// output = activation(input).
///
/// Operands: input, output. The output may be the input's memory.
struct ActivationSpec {
  /// Elements of a row.
  int64_t columns;
  /// What each element goes through.
  Activation activation;
  /// Element types.
  Element input, output;
};

/// output = activation(gate) * up.
///
/// Operands: gate, up, output. The output may be the memory of gate or up.
struct GateSpec {
  /// Elements of a row.
  int64_t columns;
  /// What the gate goes through.
  Activation activation;
  /// Element types; gate is also up's.
  Element gate, output;
};

/// output = lhs + rhs.
///
/// Operands: lhs, rhs, output. The output may be the memory of lhs or rhs.
struct AddSpec {
  /// Elements of a row.
  int64_t columns;
  /// Element types.
  Element lhs, rhs, output;
};

/// output[t, :] = table[ids[t], :].
///
/// Operands: ids (int32[T], below the vocabulary), table (in the layout of a linear weight of n = vocabulary,
/// k = columns, so that a tied output projection shares it), output.
struct EmbedSpec {
  /// Rows of the table.
  int64_t vocabulary;
  /// Elements of a row.
  int64_t columns;
  /// Element types.
  Element table, output;
};

/// output[r, :] = input[rows[r], :].
///
/// Operands: input, rows (int32[R]), output.
struct SelectSpec {
  /// Elements of a row.
  int64_t columns;
  /// Element type of both.
  Element element;
};

/// How rows become one.
enum class Pooling { Mean, First, Last, Max };

/// output[s, :] = the mean, the first, the last or, column by column, the greatest of the rows input[r, :] with
/// first[s] <= r < first[s] + count[s]. Sums are one chain over ascending rows; NaN is greater than all numbers.
///
/// Operands: input, first (int32[S]), count (int32[S], at least 1), output.
struct PoolSpec {
  /// Elements of a row.
  int64_t columns;
  /// Which.
  Pooling pooling;
  /// Element types.
  Element input, output;
};

/// output[t, i] = factor * cos(a), output[t, frequencies + i] = factor * sin(a), where a = positions[t] *
/// frequencies[i] rounded to f32. Cosine and sine are within 2 units of the last place for |a| <= 2^20.
///
/// Operands: positions (int32[T]), frequencies (f32), output (f32).
struct RopeTableSpec {
  /// Number of frequencies.
  int64_t frequencies;
  /// Multiplies both.
  double factor;
};

/// Rotates the two halves of each head by the row's angles: output[i] = x[i] * cos[i] - x[d + i] * sin[i] and
/// output[d + i] = x[d + i] * cos[i] + x[i] * sin[i], with d = headDim / 2.
///
/// Operands: input, table (f32[T][headDim]: cosines, then sines), output. The output may be the input's memory.
struct RopeSpec {
  /// Elements of a row; elements of a head, even, of which a row has a whole number.
  int64_t columns, headDim;
  /// Element types.
  Element input, output;
};

/// Adds the kernel to the module under that name.
KernelInfo emitRmsNorm(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RmsNormSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitLayerNorm(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                         const LayerNormSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitActivation(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                          const ActivationSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitGate(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const GateSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitAdd(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const AddSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitEmbed(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const EmbedSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitSelect(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const SelectSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitPool(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const PoolSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitRopeTable(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                         const RopeTableSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitRope(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const RopeSpec &spec);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_ROWKERNELS_H
