// Reading the batch, and choosing rows of it.
#ifndef KERF_BATCH_OPS_TD
#define KERF_BATCH_OPS_TD

include "dialects/kerf/KerfOpBase.td"

def Kerf_ExtentOp : Kerf_Op<"extent", [Pure]> {
  let summary = "A size of the step";
  let description = [{
    Example:
    ```mlir
    %t = kerf.extent tokens of %batch
    ```
  }];
  let arguments = (ins Kerf_ExtentAttr:$extent, Kerf_BatchType:$batch);
  let results = (outs Index:$result);
  let assemblyFormat = "`` $extent `of` $batch attr-dict";
}

def Kerf_BatchFieldOp : Kerf_Op<"batch_field", [Pure]> {
  let summary = "An array of the step as a tensor";
  let description = [{
    - C1: `field` is `token_ids`, `positions`, `logit_rows`, `first_rows` or `row_counts`; what belongs to a KV group is
      reached through its work list.

    Example:
    ```mlir
    %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
    ```
  }];
  let arguments = (ins Kerf_StepFieldAttr:$field, Kerf_BatchType:$batch);
  let results = (outs Kerf_Indices:$result);
  let assemblyFormat = "`` $field `of` $batch attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kerf_WorkListOp : Kerf_Op<"work_list", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The attention work of a step over one KV group";
  let description = [{
    Splits the rows of each sequence into ranges and gives each the run of keys that `mask` lets it see. Masks
    compare positions, not slots.

    - C1: `group` names a `kerf.kv_group`.
    - C2: `mask` is a mask attribute: `#kerf.causal`, `#kerf.window<N>` or `#kerf.bidirectional`.

    Example:
    ```mlir
    %all = kerf.work_list of %batch group @kv mask #kerf.causal
    %near = kerf.work_list of %batch group @kv mask #kerf.window<4096>
    ```
  }];
  let arguments = (ins Kerf_BatchType:$batch, FlatSymbolRefAttr:$group, AnyAttr:$mask);
  let results = (outs Kerf_WorkListType:$result);
  let assemblyFormat = "`of` $batch `group` $group `mask` $mask attr-dict";
  let hasVerifier = 1;
}

def Kerf_SelectOp : Kerf_TensorOp<"select"> {
  let summary = "Rows of a tensor by index";
  let description = [{
    `result[i, :] = input[rows[i], :]`. Exact. No rows give an empty result.

    - C1: `input` and `init` have the same columns and element type.

    Example:
    ```mlir
    %y = kerf.select %x, %rows outs(%init : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Kerf_Matrix:$input, Kerf_Indices:$rows, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $rows `outs` `(` $init `:` type($init) `)` attr-dict `:` type($input) `,` type($rows)
  }];
}

def Kerf_EmbedOp : Kerf_TensorOp<"embed"> {
  let summary = "Rows of an embedding table by token id";
  let description = [{
    `result[i, :] = table[ids[i], :]`, widened or rounded to nearest even to the element type of `init`. Ids are
    checked by the runtime before a step.

    - C1: `table` and `init` have the same columns.

    Example:
    ```mlir
    %x = kerf.embed %ids, %table outs(%init : tensor<?x256xf32>) : tensor<?xi32>, tensor<4096x256xbf16>
    ```
  }];
  let arguments = (ins Kerf_Indices:$ids, Kerf_Matrix:$table, Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $ids `,` $table `outs` `(` $init `:` type($init) `)` attr-dict `:` type($ids) `,` type($table)
  }];
}

def Kerf_PoolOp : Kerf_TensorOp<"pool"> {
  let summary = "One row of the rows of each sequence";
  let description = [{
    Over the rows `i` of `input` from `first[s]` up to `first[s] + count[s]`: `result[s, :]` is their mean, the first, the
    last, or the maximum in each column, where NaN is greater than all numbers. Sums run in f32 over ascending rows and
    are divided once; the result is rounded once to the element type of `init`. Counts are at least 1.

    - C1: `input` and `init` have the same columns.

    Example:
    ```mlir
    %y = kerf.pool mean %x, %first, %count outs(%init : tensor<?x384xf32>)
           : tensor<?x384xf32>, tensor<?xi32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Kerf_PoolingAttr:$pooling, Kerf_Matrix:$input, Kerf_Indices:$first, Kerf_Indices:$count,
                       Kerf_Matrix:$init);
  let results = (outs Kerf_Matrix:$result);
  let assemblyFormat = [{
    $pooling $input `,` $first `,` $count `outs` `(` $init `:` type($init) `)` attr-dict `:`
    type($input) `,` type($first) `,` type($count)
  }];
}

#endif // KERF_BATCH_OPS_TD
