// What a model consists of besides its graph: identity, weights, KV groups.
#ifndef KERF_MODEL_OPS_TD
#define KERF_MODEL_OPS_TD

include "dialects/kerf/KerfOpBase.td"

def Kerf_ModelOp : Kerf_Op<"model", [HasParent<"::mlir::ModuleOp">]> {
  let summary = "Identity and limits of the model in this module";
  let description = [{
    `checkpoint` is the directory that source expressions read, relative to the working directory of the compiler or
    absolute; `context` is the longest sequence, in tokens.

    - C1: a module holds at most one `kerf.model`.
    - C2: `context`, `vocabulary`, `hidden` and `layers` are positive.

    Example:
    ```mlir
    kerf.model "tiny" architecture "LlamaForCausalLM" checkpoint "models/tiny" context 2048 vocabulary 4096
      hidden 256 layers 8
    ```
  }];
  let arguments = (ins StrAttr:$name, StrAttr:$architecture, StrAttr:$checkpoint, Kerf_I64Attr:$context,
                       Kerf_I64Attr:$vocabulary, Kerf_I64Attr:$hidden, Kerf_I64Attr:$layers);
  let assemblyFormat = [{
    $name `architecture` $architecture `checkpoint` $checkpoint `context` $context `vocabulary` $vocabulary
    `hidden` $hidden `layers` $layers attr-dict
  }];
  let hasVerifier = 1;
}

def Kerf_WeightOp : Kerf_Op<"weight", [HasParent<"::mlir::ModuleOp">, Symbol]> {
  let summary = "A constant tensor whose bytes stay outside the IR";
  let description = [{
    A matrix is `[out features, in features]`. `format` says what numbers are stored, `source` where they come from.

    - C1: `source` has the shape of `type`.
    - C2: a dense `format` stores the element type of `type`.
    - C3: `source` has the element type of `type`.

    Example:
    ```mlir
    kerf.weight @up : tensor<768x256xbf16> format <#kerf.dense<bf16>>
      source #kerf.take<"model.layers.0.mlp.up_proj.weight" : tensor<768x256xbf16>>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, Kerf_FormatAttr:$format,
                       Kerf_SourceAttrInterface:$source);
  let assemblyFormat = "$sym_name `:` $type `format` $format `source` $source attr-dict";
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
  }];
  let hasVerifier = 1;
}

def Kerf_GetWeightOp : Kerf_Op<"get_weight",
    [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The value of a weight";
  let description = [{
    - C1: `weight` names a `kerf.weight` of the result's type.

    Example:
    ```mlir
    %w = kerf.get_weight @up : tensor<768x256xbf16>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Kerf_KvGroupOp : Kerf_Op<"kv_group", [HasParent<"::mlir::ModuleOp">, Symbol]> {
  let summary = "A pool of pages that keeps keys and values";
  let description = [{
    `planes` independent planes (one for each layer that writes), each with `heads` key and value heads of `head_dim`
    numbers, in pages of `page_size` positions. Every plane of a group has the same page table.

    - C1: `planes`, `heads`, `head_dim` and `page_size` are positive.
    - C2: `page_size` is a multiple of 16, the block in which attention takes keys.
    - C3: `head_dim` is even: rotations take the two halves of a head.
    - C4: `heads * head_dim`, the elements of a row of keys, is below 2^30.

    Example:
    ```mlir
    kerf.kv_group @kv planes 8 heads 2 head_dim 64 page_size 64 element bf16
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Kerf_I64Attr:$planes, Kerf_I64Attr:$heads, Kerf_I64Attr:$head_dim,
                       Kerf_I64Attr:$page_size, TypeAttrOf<Kerf_Float>:$element);
  let assemblyFormat = [{
    $sym_name `planes` $planes `heads` $heads `head_dim` $head_dim `page_size` $page_size `element` $element attr-dict
  }];
  let hasVerifier = 1;
}

#endif // KERF_MODEL_OPS_TD
