// Norms, gating and sums.
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

def Kerf_GateOp : Kerf_TensorOp<"gate"> {
  let summary = "An activation of one tensor times another";
  let description = [{
    `result = f(gate) * up`, in f32, rounded once.

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
