//===- Specs.h - what kernels compute, whatever the target ------*- C++ -*-===//
//
// Rows are dense. Everything is computed in f32 and rounded once to the element type of the output; weights of one
// axis (biases, gains, frequencies) are f32. A kernel reads and writes nothing outside its operands' rows. How a target
// stores matrices and cache pages is the target's.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_CODEGEN_KERNELS_SPECS_H
#define KERF_CODEGEN_KERNELS_SPECS_H

#include "codegen/kernels/Element.h"
#include "kerf/abi.h"

#include <optional>
#include <variant>

namespace kerf::kernels {

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
/// Rows are dense: input [T][k], output and residual [T][n]. Sums are f32; then bias, activation and residual follow in
/// f32, and the result is rounded once.
///
/// Operands: input, weight, [bias: f32[n]], [residual], output. The output may be the residual's memory.
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

/// Keeps keys and values of rows, rounded to the cache's element type. Rows whose slot is negative are not kept.
///
/// Operands: keys [T][kvHeads * headDim], values (alike), slots (int32[T]: page * pageSize + position in the page),
/// cache (page 0 of the plane).
struct KvAppendSpec {
  /// Key heads; features of a head, even; positions of a page, a multiple of 16.
  int64_t kvHeads, headDim, pageSize;
  /// Element types; input is keys' and values'.
  Element input, cache;
};

/// Splits rows [queries | keys | values] into heads; with `norm` each query and key head goes through the norm of
/// RmsNormSpec with its scale; with `rope` queries and keys are rotated as in RopeSpec; keys and values are kept as in
/// KvAppendSpec, queries written to the output. Nothing is rounded between.
///
/// Operands: input [T][(queryHeads + 2 kvHeads) * headDim], slots, cache, [table (f32[T][headDim])],
/// [query scale, key scale (f32[headDim])], output [T][queryHeads * headDim].
struct RopeAppendSpec {
  /// Query heads; the rest as in KvAppendSpec.
  int64_t queryHeads, kvHeads, headDim, pageSize;
  /// Element types.
  Element input, cache, output;
  /// Has a table.
  bool rope = true;
  /// Has norms.
  bool norm = false;
  /// As in RmsNormSpec.
  double eps = 0;
};

/// The sums of LinearSpec, [queries | keys | values], go on as the rows of RopeAppendSpec without norms, in f32.
///
/// Operands: input [T][k], weight [(queryHeads + 2 kvHeads) * headDim][k], [bias: f32], slots, cache,
/// [table (f32[T][headDim])], output [T][queryHeads * headDim].
struct LinearRopeAppendSpec {
  /// Elements of a row of the input; the rest as in RopeAppendSpec.
  int64_t k, queryHeads, kvHeads, headDim, pageSize;
  /// Element types.
  Element input, weight, cache, output;
  /// Has a bias; has a table.
  bool bias = false, rope = true;

  /// Columns of the product.
  int64_t n() const { return (queryHeads + 2 * kvHeads) * headDim; }
};

/// output = softmax(scale * query · key) · value over the keys that a row sees; see kerf_work_item. A row that sees
/// none gives 0 and a log-sum-exp of -infinity. Query head h reads key head h / (queryHeads / kvHeads).
///
/// Operands: queries [T][queryHeads * headDim], work items (kerf_work_item[W]), page_begin (int32[S + 1]), pages
/// (int32), cache (page 0 of the plane), output (like queries), [log-sum-exp f32[T][queryHeads]].
struct AttentionSpec {
  /// Query heads, a multiple of kvHeads; the rest as in KvAppendSpec.
  int64_t queryHeads, kvHeads, headDim, pageSize;
  /// Element types.
  Element queries, cache, output;
  /// Multiplies the scores.
  double scale;
  /// Writes log-sum-exps.
  bool logSumExp = false;
  /// What the work items' `behind` and `ahead` may be: bounded, and above 0. By default rows see every key up to their
  /// own.
  bool behind = false, ahead = false;
};

/// Joins two partial attentions of the same rows: with m = max(l, r), a = exp(l - m), b = exp(r - m):
/// output = (a * lhs + b * rhs) / (a + b), log-sum-exp = m + log(a + b). Where l and r are -infinity: 0 and -infinity.
///
/// Operands: lhs, lhs log-sum-exp l (f32[T][heads]), rhs, rhs log-sum-exp r, output, log-sum-exp of the output. The
/// outputs may be the memory of lhs and l, or of rhs and r.
struct AttentionMergeSpec {
  /// Elements of a row; heads of a row.
  int64_t columns, heads;
  /// Element types; element is lhs' and rhs'.
  Element element, output;
};

/// tokens[r] = the token that runtime/schema/Sampling.h defines for the row and its sampling; -1 where that wants none
/// or no logit is a number. Of no op: programs for GPUs end in it, so that logits need not leave the device.
///
/// Operands: logits (f32[R][vocabulary]), samplings (kerf_sampling[R]), tokens (int32[R]).
struct SampleSpec {
  /// Logits of a row.
  int64_t vocabulary;
};

/// Any of those that ops become.
using Spec = std::variant<LinearSpec, GatedLinearSpec, RmsNormSpec, LayerNormSpec, ActivationSpec, GateSpec, AddSpec,
                          EmbedSpec, SelectSpec, PoolSpec, RopeTableSpec, RopeSpec, KvAppendSpec, RopeAppendSpec,
                          LinearRopeAppendSpec, AttentionSpec, AttentionMergeSpec>;

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_SPECS_H
