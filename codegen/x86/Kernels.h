//===- Kernels.h - the x86 kernels and what they compute --------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_KERNELS_H
#define KERF_CODEGEN_X86_KERNELS_H

#include "codegen/x86/Element.h"
#include "codegen/x86/Variant.h"
#include "kerf/abi.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <optional>
#include <string>

namespace kerf::x86 {

/// How a kernel is dispatched: the fields of kerf_kernel.
struct KernelInfo {
  /// Symbol of its function.
  std::string name;
  /// Tasks = ceil(rows / tile) * columns.
  uint32_t tile = 1, columns = 1;
  /// Upper bound of the stack that a task uses.
  uint64_t stackBytes = 0;
};

/// Functions of one number.
enum class Activation {
  Silu,
  /// x/2 (1 + erf(x / sqrt 2)).
  Gelu,
  /// Its approximation by tanh.
  GeluTanh,
  Relu
};

/// output[t, n] = activation(sum over k of input[t, k] * weight[n, k] (+ bias[n])) (+ residual[t, n]).
///
/// Rows are dense: input [T][k], output and residual [T][n]. The weight is stored in its layout (Layout.h). Sums are
/// f32: one chain over ascending k for each output in f32 (see Dot for bf16 inputs); then bias, activation and residual
/// follow in f32, and the result is rounded once.
///
/// Operands: input, weight, [bias: f32[n]], [residual], output. The output may be the residual's memory.
/// Pairs of input and weight: f32 with f32, bf16 or f16; bf16 with bf16.
struct LinearSpec {
  /// Elements of a row of the input and of the output.
  int64_t k, n;
  /// Element types; the output is f32 or bf16.
  Element input, weight, output;
  /// Has a bias.
  bool bias = false;
  /// Has a residual.
  bool residual = false;
  /// Element type of the residual.
  Element residualElement = Element::F32;
  /// What the sums go through, if anything.
  std::optional<Activation> activation = std::nullopt;
};

/// output = activation(gate) * up, where gate = x · gateWeightᵀ (+ gateBias) and up = x · upWeightᵀ (+ upBias).
/// Numbers are as in LinearSpec; the product is formed in f32 and rounded once.
///
/// Operands: input, gate weight, up weight, [gate bias: f32[n], up bias: f32[n]], output.
struct GatedLinearSpec {
  /// Elements of a row of the input and of the output.
  int64_t k, n;
  /// Element types, as in LinearSpec.
  Element input, weight, output;
  /// What the gate goes through.
  Activation activation = Activation::Silu;
  /// Has both biases.
  bool bias = false;
};

/// Adds the kernel to the module under that name. The pair of element types must be one that LinearSpec lists.
KernelInfo emitLinear(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name, const LinearSpec &spec);

/// Adds the kernel to the module under that name.
KernelInfo emitGatedLinear(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                           const GatedLinearSpec &spec);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_KERNELS_H
