// Matrix products with weights.
#ifndef KERF_LINEAR_OPS_TD
#define KERF_LINEAR_OPS_TD

include "dialects/kerf/KerfOpBase.td"

def Kerf_LinearOp : Kerf_TensorOp<"linear", [AttrSizedOperandSegments]> {
  let summary = "Linear layer: input times the transposed weight, plus bias, through an activation, plus residual";
  let description = [{
    `result[t, n] = f(sum over k of input[t, k] * weight[n, k] + bias[n]) + residual[t, n]`, with `f` as in
    `kerf.activation`, or the identity where none is given.

    Products are exact products of the stored numbers, sums run in f32 whatever the element types (a bf16 target may
    flush subnormal factors to zero), bias, activation and residual follow in f32, and the result is rounded once, to
    nearest even. A lowering fixes one order of summation for each in-feature count and format. NaN and infinity propagate.

    - C1: `input` and `weight` have the same in features (last axis); no axis of `weight` is of length 0.
    - C2: `init` has the rows of `input` and the out features (first axis) of `weight`.
    - C3: `bias` has as many elements as `weight` has out features.
    - C4: `residual` has the shape of `init`.

    Example:
    ```mlir
    %y = kerf.linear %x, %w bias(%b : tensor<96xf32>) residual(%r : tensor<?x96xf32>)
           outs(%init : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_Matrix:$weight, Kerf_Matrix:$init, Optional<Kerf_Vector>:$bias,
                       Optional<Kerf_Matrix>:$residual, OptionalAttr<Kerf_ActivationAttr>:$activation);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)? (`activation` $activation^)?
    (`residual` `(` $residual^ `:` type($residual) `)`)? `outs` `(` $init `:` type($init) `)` attr-dict `:`
    type($input) `,` type($weight)
  }];
}

def Kerf_GatedLinearOp : Kerf_TensorOp<"gated_linear", [AttrSizedOperandSegments]> {
  let summary = "Two linear layers of one input, one gating the other";
  let description = [{
    `result = f(input · gateᵀ + gate_bias) * (input · upᵀ + up_bias)`, all in f32, rounded once; `f` as in
    `kerf.activation`. Contract of the products: as `kerf.linear`.

    - C1: `input`, `gate` and `up` have the same in features (last axis); no axis of the weights is of length 0.
    - C2: `gate` and `up` have the same type.
    - C3: `init` has the rows of `input` and the out features of `gate`.
    - C4: both biases are there or none, each with as many elements as out features.

    Example:
    ```mlir
    %y = kerf.gated_linear silu %x, %g, %u outs(%init : tensor<?x768xbf16>)
           : tensor<?x256xbf16>, tensor<768x256xbf16>, tensor<768x256xbf16>
    ```
  }];
  let arguments = (ins Kerf_ActivationAttr:$activation, Kerf_Matrix:$input, Kerf_Matrix:$gate, Kerf_Matrix:$up,
                       Kerf_Matrix:$init, Optional<Kerf_Vector>:$gate_bias, Optional<Kerf_Vector>:$up_bias);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    `` $activation $input `,` $gate `,` $up
    (`bias` `(` $gate_bias^ `,` $up_bias `:` type($gate_bias) `,` type($up_bias) `)`)?
    `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input) `,` type($gate) `,` type($up)
  }];
}

#endif // KERF_LINEAR_OPS_TD
