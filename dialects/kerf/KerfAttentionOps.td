// Positions, the cache, and attention over it.
#ifndef KERF_ATTENTION_OPS_TD
#define KERF_ATTENTION_OPS_TD

include "dialects/kerf/KerfOpBase.td"

def Kerf_RopeTableOp : Kerf_TensorOp<"rope_table"> {
  let summary = "Cosines and sines of the rotary angles of each row";
  let description = [{
    With `d` frequencies: `result[t, i] = factor * cos(positions[t] * frequencies[i])` and
    `result[t, d + i] = factor * sin(positions[t] * frequencies[i])`. The angle is rounded to f32, cosine and sine
    are exact to 2 units in the last place for angles up to 2^20.

    Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding".

    - C1: `init` is f32 and has twice as many columns as there are frequencies.

    Example:
    ```mlir
    %table = kerf.rope_table %positions, %f factor 1.0 outs(%init : tensor<?x64xf32>) : tensor<?xi32>, tensor<32xf32>
    ```
  }];
  let arguments = (ins Kerf_Indices:$positions, Kerf_Vector:$frequencies, F64Attr:$factor, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $positions `,` $frequencies `factor` $factor `outs` `(` $init `:` type($init) `)` attr-dict `:`
    type($positions) `,` type($frequencies)
  }];
}

def Kerf_RopeOp : Kerf_TensorOp<"rope"> {
  let summary = "Rotates the two halves of each head by the angles of its row";
  let description = [{
    A head has as many features as `table` has columns, `2d`; for `i < d`:
    `result[i] = x[i] * cos[i] - x[d + i] * sin[i]` and `result[d + i] = x[d + i] * cos[i] + x[i] * sin[i]`,
    in f32, rounded once.

    - C1: the columns of `input` are a multiple of the columns of `table`.
    - C2: `input` and `init` have the same shape.

    Example:
    ```mlir
    %y = kerf.rope %q, %table outs(%init : tensor<?x256xf32>) : tensor<?x256xf32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_F32Matrix:$table, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $table `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input) `,` type($table)
  }];
}

def Kerf_KvAppendOp : Kerf_Op<"kv_append",
    [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<Kerf_CostOpInterface>]> {
  let summary = "Keeps the keys and values of a step's rows";
  let description = [{
    Row `t` of `keys` and `values` goes to the slot that the batch gives row `t` in `group`, rounded to nearest even
    to the group's element type. Rows without a slot are not kept.

    - C1: `group` names a `kerf.kv_group`, `plane` is one of its planes.
    - C2: `keys` and `values` have `heads * head_dim` columns.

    Example:
    ```mlir
    %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 3 : tensor<?x128xf32>, tensor<?x128xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$keys, Kerf_Matrix:$values, Kerf_BatchType:$batch, Kerf_CacheType:$cache,
                       FlatSymbolRefAttr:$group, Kerf_I64Attr:$plane);
  let results = (outs Kerf_CacheType:$result);
  let assemblyFormat = [{
    $keys `,` $values `,` $batch `to` $cache `group` $group `plane` $plane attr-dict `:` type($keys) `,` type($values)
  }];
}

def Kerf_RopeAppendOp : Kerf_Op<"rope_append",
    [Pure, AttrSizedOperandSegments, AllTypesMatch<["init", "queries"]>, DestinationStyleOpInterface,
     DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<Kerf_CostOpInterface>]> {
  let summary = "Splits a fused projection into heads: norm and rotate queries and keys, keep keys and values";
  let description = [{
    `input` has the columns `[queries | keys | values]`. Equals slicing them, `kerf.rms_norm` of each query head by
    `query_scale` and of each key head by `key_scale` where given, `kerf.rope` of queries and keys by `table` where
    given, and `kerf.kv_append`, with nothing rounded between. Yields the queries. The name is of what it does for most
    models; one with learned positions has no `table`, and then nothing is rotated.

    - C1: `group` names a `kerf.kv_group`, `plane` is one of its planes.
    - C2: `init` has the columns of one or more query heads, `input` those and `2 * heads * head_dim` more.
    - C3: `table` has `head_dim` columns.
    - C4: both scales are there or none, each `head_dim` long; `eps` is positive.
    - C5: `init` has the rows of `input`.

    Example:
    ```mlir
    %q, %c1 = kerf.rope_append %qkv, %batch to %c0 group @kv plane 3 table(%table : tensor<?x64xf32>) eps 1.0e-6
                outs(%init : tensor<?x256xf32>) : tensor<?x512xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_BatchType:$batch, Kerf_CacheType:$cache, Kerf_Matrix:$init,
                       Optional<Kerf_F32Matrix>:$table, Optional<Kerf_Vector>:$query_scale, Optional<Kerf_Vector>:$key_scale,
                       FlatSymbolRefAttr:$group, Kerf_I64Attr:$plane, F64Attr:$eps);
  let results = (outs Kerf_Matrix:$queries, Kerf_CacheType:$result);
  let assemblyFormat = [{
    $input `,` $batch `to` $cache `group` $group `plane` $plane (`table` `(` $table^ `:` type($table) `)`)?
    (`scales` `(` $query_scale^ `,` $key_scale `:` type($query_scale) `,` type($key_scale) `)`)? `eps` $eps
    `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input)
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
  }];
  let hasVerifier = 1;
}

def Kerf_LinearRopeAppendOp : Kerf_Op<"linear_rope_append",
    [Pure, AttrSizedOperandSegments, AllTypesMatch<["init", "queries"]>, DestinationStyleOpInterface,
     DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<Kerf_CostOpInterface>]> {
  let summary = "A projection to queries, keys and values that rotates its sums and keeps keys and values";
  let description = [{
    Equals `kerf.linear` of `input`, `weight` and `bias`, whose columns are `[queries | keys | values]`, and
    `kerf.rope_append` of its sums by `table`, where given, without scales and with nothing rounded between. Yields the
    queries. A head norm needs the sum over a head before the first feature can be stored, and stays a
    `kerf.rope_append` of its own.

    - C1: `group` names a `kerf.kv_group`, `plane` is one of its planes.
    - C2: `init` has the columns of one or more query heads, `weight` those and `2 * heads * head_dim` more out features
      (first axis).
    - C3: `table` has `head_dim` columns.
    - C4: `input` and `weight` have the same in features (last axis); no axis of `weight` is of length 0; `init` has the
      rows of `input`.
    - C5: `bias` has as many elements as `weight` has out features.

    Example:
    ```mlir
    %q, %c1 = kerf.linear_rope_append %x, %w, %batch to %c0 group @kv plane 3 table(%table : tensor<?x64xf32>)
                outs(%init : tensor<?x256xbf16>) : tensor<?x256xbf16>, tensor<512x256xbf16>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_Matrix:$weight, Kerf_BatchType:$batch, Kerf_CacheType:$cache,
                       Kerf_Matrix:$init, Optional<Kerf_Vector>:$bias, Optional<Kerf_F32Matrix>:$table,
                       FlatSymbolRefAttr:$group, Kerf_I64Attr:$plane);
  let results = (outs Kerf_Matrix:$queries, Kerf_CacheType:$result);
  let assemblyFormat = [{
    $input `,` $weight `,` $batch `to` $cache `group` $group `plane` $plane (`bias` `(` $bias^ `:` type($bias) `)`)?
    (`table` `(` $table^ `:` type($table) `)`)? `outs` `(` $init `:` type($init) `)` attr-dict `:`
    type($input) `,` type($weight)
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
  }];
  let hasVerifier = 1;
}

def Kerf_AttentionOp : Kerf_Op<"attention",
    [Pure, AllTypesMatch<["init", "result"]>, DestinationStyleOpInterface,
     DeclareOpInterfaceMethods<SymbolUserOpInterface>, DeclareOpInterfaceMethods<Kerf_CostOpInterface>]> {
  let summary = "Softmax attention of a step's rows over one plane of a KV group";
  let description = [{
    For each row and query head `h`, over the keys that the work list lets the row see:
    `result = softmax(scale * query · key) · value`, with key head `h / (query heads / heads)`. Scores, maximum, sums
    and the weighted sum of values run in f32; the result is rounded once. Keys are taken in blocks at fixed logical
    positions in ascending order, so a row's bits do not depend on the other rows of the step.
    A row that sees no key gives 0 and a log-sum-exp of -infinity.

    `log_sum_exp[t, h]` is the natural logarithm of the sum of the exponentials of the scaled scores.

    Source: Dao et al., "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness"; Ainslie et al.,
    "GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints".

    - C1: `group` names a `kerf.kv_group`, `plane` is one of its planes.
    - C2: `queries` has `query heads * head_dim` columns, query heads being a multiple of the group's heads.
    - C3: `queries` and `init` have the same shape.
    - C4: `lse_init` has one f32 column for each query head.
    - C5: `scale` is positive.
    - C6: `work` is a work list over `group`, where it is seen which it is.

    Example:
    ```mlir
    %o = kerf.attention %q, %work, %c1 group @kv plane 3 scale 1.25e-1 outs(%init : tensor<?x256xbf16>)
           : tensor<?x256xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$queries, Kerf_WorkListType:$work, Kerf_CacheType:$cache,
                       FlatSymbolRefAttr:$group, Kerf_I64Attr:$plane, F64Attr:$scale, Kerf_Matrix:$init,
                       Optional<Kerf_F32Matrix>:$lse_init);
  let results = (outs Kerf_Matrix:$result, Optional<Kerf_F32Matrix>:$log_sum_exp);
  let assemblyFormat = [{
    $queries `,` $work `,` $cache `group` $group `plane` $plane `scale` $scale
    `outs` `(` $init `:` type($init) `)` (`lse` `(` $lse_init^ `:` type($lse_init) `)`)? attr-dict `:`
    type($queries) (`->` type($log_sum_exp)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable();
  }];
  let hasVerifier = 1;
}

def Kerf_AttentionMergeOp : Kerf_Op<"attention_merge",
    [Pure, AllTypesMatch<["init", "result"]>, AllTypesMatch<["lse_init", "log_sum_exp"]>,
     DestinationStyleOpInterface, DeclareOpInterfaceMethods<Kerf_CostOpInterface>]> {
  let summary = "Joins two partial attentions of the same rows over disjoint keys";
  let description = [{
    With `m = max(lhs_lse, rhs_lse)`, weights `a = exp(lhs_lse - m)`, `b = exp(rhs_lse - m)`:
    `result = (a * lhs + b * rhs) / (a + b)` and `log_sum_exp = m + log(a + b)`, in f32, the result rounded once.
    Where both log-sum-exps are -infinity the result is 0 and the log-sum-exp -infinity.

    - C1: `lhs`, `rhs` and `init` have the same shape.
    - C2: `lhs_lse`, `rhs_lse` and `lse_init` have the same shape.
    - C3: the columns of `lhs` are a multiple of those of `lhs_lse`.

    Example:
    ```mlir
    %o, %l = kerf.attention_merge %o0, %l0, %o1, %l1 outs(%init : tensor<?x256xf32>) lse(%linit : tensor<?x4xf32>)
               : tensor<?x256xf32>, tensor<?x4xf32>, tensor<?x256xf32>, tensor<?x4xf32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$lhs, Kerf_F32Matrix:$lhs_lse, Kerf_Matrix:$rhs, Kerf_F32Matrix:$rhs_lse,
                       Kerf_Matrix:$init, Kerf_F32Matrix:$lse_init);
  let results = (outs Kerf_Matrix:$result, Kerf_F32Matrix:$log_sum_exp);
  let assemblyFormat = [{
    $lhs `,` $lhs_lse `,` $rhs `,` $rhs_lse `outs` `(` $init `:` type($init) `)` `lse` `(` $lse_init `:`
    type($lse_init) `)` attr-dict `:` type($lhs) `,` type($lhs_lse) `,` type($rhs) `,` type($rhs_lse)
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return ::mlir::MutableOperandRange(getOperation(), /*start=*/4, /*length=*/2);
    }
  }];
  let hasVerifier = 1;
}

#endif // KERF_ATTENTION_OPS_TD
