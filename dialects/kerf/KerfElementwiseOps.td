// Norms, activations, gating and sums.
#ifndef KERF_ELEMENTWISE_OPS_TD
#define KERF_ELEMENTWISE_OPS_TD

include "dialects/kerf/KerfOpBase.td"

def Kerf_RmsNormOp : Kerf_TensorOp<"rms_norm"> {
  let summary = "Root-mean-square norm over runs of the last axis";
  let description = [{
    The last axis is cut into runs as long as `scale` (one run for a whole row, several for a norm of each head); for
    each run `result[i] = input[i] * rsqrt(mean + eps) * scale[i]`, where `mean` is the mean of the run's squares.
    All in f32 whatever the element types, rounded once to the element type of `init`.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization".

    - C1: the columns of `input` are a multiple of the length of `scale`.
    - C2: `eps` is positive.
    - C3: `input` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.rms_norm %x, %g eps 1.0e-6 outs(%init : tensor<?x64xbf16>) : tensor<?x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_Vector:$scale, F64Attr:$eps, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $scale `eps` $eps `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input) `,` type($scale)
  }];
}

def Kerf_LayerNormOp : Kerf_TensorOp<"layer_norm"> {
  let summary = "Norm over the last axis by its mean and variance";
  let description = [{
    `result[i] = (input[i] - mean) * rsqrt(variance + eps) * scale[i] + bias[i]`, where `variance` is the mean of the
    squares of `input[i] - mean`: the row is read twice, since the difference of the mean of squares and the squared
    mean cancels. All in f32 whatever the element types, rounded once to the element type of `init`.

    Source: Ba, Kiros and Hinton, "Layer Normalization".

    - C1: `scale` and `bias` have as many elements as `input` has columns.
    - C2: `eps` is positive.
    - C3: `input` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.layer_norm %x, %g, %b eps 1.0e-5 outs(%init : tensor<?x64xbf16>)
           : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_Vector:$scale, Kerf_Vector:$bias, F64Attr:$eps, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $scale `,` $bias `eps` $eps `outs` `(` $init `:` type($init) `)` attr-dict `:`
    type($input) `,` type($scale) `,` type($bias)
  }];
}

def Kerf_ActivationOp : Kerf_TensorOp<"activation"> {
  let summary = "A function of each element";
  let description = [{
    `result = f(input)`, rounded once: `silu` is `x / (1 + exp(-x))`, `gelu` is `x / 2 * (1 + erf(x / sqrt 2))`,
    `gelu_tanh` is its approximation `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`, `relu` is `max(x, 0)`.
    In f32: `silu` and `gelu_tanh` to a few units in the last place, `gelu` to 2^-21 of `x`, `relu` exactly. NaN stays
    NaN.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)".

    - C1: `input` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.activation gelu %x outs(%init : tensor<?x768xbf16>) : tensor<?x768xf32>
    ```
  }];
  let arguments = (ins Kerf_ActivationAttr:$activation, Kerf_Matrix:$input, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = "$activation $input `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input)";
}

def Kerf_GateOp : Kerf_TensorOp<"gate"> {
  let summary = "An activation of one tensor times another";
  let description = [{
    `result = f(gate) * up`, in f32, rounded once; `f` as in `kerf.activation`.

    - C1: `gate`, `up` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.gate silu %g, %u outs(%init : tensor<?x768xbf16>) : tensor<?x768xf32>, tensor<?x768xf32>
    ```
  }];
  let arguments = (ins Kerf_ActivationAttr:$activation, Kerf_Matrix:$gate, Kerf_Matrix:$up, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    `` $activation $gate `,` $up `outs` `(` $init `:` type($init) `)` attr-dict `:` type($gate) `,` type($up)
  }];
}

def Kerf_AddOp : Kerf_TensorOp<"add", [Commutative]> {
  let summary = "Sum of two tensors, as at the end of a residual branch";
  let description = [{
    `result = lhs + rhs` in f32, rounded once.

    - C1: `lhs`, `rhs` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.add %a, %b outs(%init : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$lhs, Kerf_Matrix:$rhs, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `outs` `(` $init `:` type($init) `)` attr-dict `:` type($lhs) `,` type($rhs)
  }];
}

#endif // KERF_ELEMENTWISE_OPS_TD
