// One case for each numbered constraint of each op, named after it.
// RUN: kerf-opt %s --split-input-file --verify-diagnostics

// expected-note@below {{the first one is here}}
kerf.model "a" architecture "A" checkpoint "a" context 8 vocabulary 8 hidden 8 layers 1
// model_c1
// expected-error@below {{'kerf.model' op must be the only one of its module}}
kerf.model "b" architecture "A" checkpoint "b" context 8 vocabulary 8 hidden 8 layers 1

// -----

// model_c2
// expected-error@below {{context, vocabulary, hidden and layers must be positive, got 8, 0, 8, 1}}
kerf.model "a" architecture "A" checkpoint "a" context 8 vocabulary 0 hidden 8 layers 1

// -----

// expected-error@below {{source must have the shape of 'tensor<4x8xf32>', got [8, 4]}}
kerf.weight @weight_c1 : tensor<4x8xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<8x4xf32>>

// -----

// expected-error@below {{dense format must store 'f32', got 'bf16'}}
kerf.weight @weight_c2 : tensor<4x8xf32> format <#kerf.dense<bf16>> source #kerf.take<"w" : tensor<4x8xf32>>

// -----

// expected-error@below {{source must have the element type of 'tensor<4x8xf32>', got 'f16'}}
kerf.weight @weight_c3 : tensor<4x8xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<4x8xf16>>

// -----

kerf.kv_group @kv planes 1 heads 1 head_dim 8 page_size 16 element f32
func.func @get_weight_c1() -> tensor<4x8xf32> {
  // expected-error@below {{weight must name a kerf.weight, got @kv}}
  %w = kerf.get_weight @kv : tensor<4x8xf32>
  return %w : tensor<4x8xf32>
}

// -----

// expected-note@below {{the weight is defined here}}
kerf.weight @w : tensor<4x8xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<4x8xf32>>
func.func @get_weight_c1_type() -> tensor<8x4xf32> {
  // expected-error@below {{result must be 'tensor<4x8xf32>', got 'tensor<8x4xf32>'}}
  %w = kerf.get_weight @w : tensor<8x4xf32>
  return %w : tensor<8x4xf32>
}

// -----

// expected-error@below {{planes, heads, head_dim and page_size must be positive, got 0, 1, 8, 16}}
kerf.kv_group @kv_group_c1 planes 0 heads 1 head_dim 8 page_size 16 element f32

// -----

// expected-error@below {{page_size must be a multiple of 16, got 24}}
kerf.kv_group @kv_group_c2 planes 1 heads 1 head_dim 8 page_size 24 element f32

// -----

// expected-error@below {{head_dim must be even, got 9}}
kerf.kv_group @kv_group_c3 planes 1 heads 1 head_dim 9 page_size 16 element f32

// -----

// expected-error@below {{heads * head_dim must be below 1073741824, got 4611686018427387904 * 2}}
kerf.kv_group @kv_group_c4 planes 1 heads 4611686018427387904 head_dim 2 page_size 16 element f32

// -----

func.func @batch_field_c1(%batch: !kerf.batch) -> tensor<?xi32> {
  // expected-error@below {{field must be token_ids, positions, logit_rows, first_rows or row_counts, got pages}}
  %pages = kerf.batch_field pages of %batch : tensor<?xi32>
  return %pages : tensor<?xi32>
}

// -----

func.func @work_list_c1(%batch: !kerf.batch) -> !kerf.work_list {
  // expected-error@below {{group must name a kerf.kv_group, got @kv}}
  %work = kerf.work_list of %batch group @kv mask #kerf.causal
  return %work : !kerf.work_list
}

// -----

kerf.kv_group @kv planes 1 heads 1 head_dim 8 page_size 16 element f32
func.func @work_list_c2(%batch: !kerf.batch) -> !kerf.work_list {
  // expected-error@below {{mask must be a mask attribute such as #kerf.causal, got "causal"}}
  %work = kerf.work_list of %batch group @kv mask "causal"
  return %work : !kerf.work_list
}

// -----

func.func @select_c1(%x: tensor<?x8xf32>, %rows: tensor<?xi32>, %init: tensor<?x8xf16>) -> tensor<?x8xf16> {
  // expected-error@below {{init must have the columns and element type of 'tensor<?x8xf32>', got 'tensor<?x8xf16>'}}
  %y = kerf.select %x, %rows outs(%init : tensor<?x8xf16>) : tensor<?x8xf32>, tensor<?xi32>
  return %y : tensor<?x8xf16>
}

// -----

func.func @embed_c1(%ids: tensor<?xi32>, %table: tensor<16x8xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{init must have the columns of 'tensor<16x8xf32>', got 'tensor<?x4xf32>'}}
  %x = kerf.embed %ids, %table outs(%init : tensor<?x4xf32>) : tensor<?xi32>, tensor<16x8xf32>
  return %x : tensor<?x4xf32>
}

// -----

func.func @linear_c1(%x: tensor<?x9xf32>, %w: tensor<4x8xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{input must have 8 columns, as 'tensor<4x8xf32>', got 'tensor<?x9xf32>'}}
  %y = kerf.linear %x, %w outs(%init : tensor<?x4xf32>) : tensor<?x9xf32>, tensor<4x8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @linear_c1_empty(%x: tensor<?x0xf32>, %w: tensor<8x0xf32>, %i: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{weight must have in and out features, got 'tensor<8x0xf32>'}}
  %y = kerf.linear %x, %w outs(%i : tensor<?x8xf32>) : tensor<?x0xf32>, tensor<8x0xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @linear_c2(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{init must have the rows of 'tensor<?x8xf32>' and 4 columns, got 'tensor<?x8xf32>'}}
  %y = kerf.linear %x, %w outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<4x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @linear_c3(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %b: tensor<8xf32>,
                     %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{bias must have 4 elements, got 'tensor<8xf32>'}}
  %y = kerf.linear %x, %w bias(%b : tensor<8xf32>) outs(%init : tensor<?x4xf32>) : tensor<?x8xf32>, tensor<4x8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @linear_c4(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{residual must have the shape of 'tensor<?x4xf32>', got 'tensor<?x8xf32>'}}
  %y = kerf.linear %x, %w residual(%x : tensor<?x8xf32>) outs(%init : tensor<?x4xf32>)
         : tensor<?x8xf32>, tensor<4x8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @gated_linear_c1(%x: tensor<?x9xf32>, %w: tensor<4x8xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{input must have 8 columns, as 'tensor<4x8xf32>', got 'tensor<?x9xf32>'}}
  %y = kerf.gated_linear silu %x, %w, %w outs(%init : tensor<?x4xf32>)
         : tensor<?x9xf32>, tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @gated_linear_c2(%x: tensor<?x8xf32>, %g: tensor<4x8xf32>, %u: tensor<4x8xf16>,
                           %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{gate and up must have the same type, got 'tensor<4x8xf32>' and 'tensor<4x8xf16>'}}
  %y = kerf.gated_linear silu %x, %g, %u outs(%init : tensor<?x4xf32>)
         : tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf16>
  return %y : tensor<?x4xf32>
}

// -----

func.func @gated_linear_c3(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %init: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // expected-error@below {{init must have the rows of 'tensor<?x8xf32>' and 4 columns, got 'tensor<2x4xf32>'}}
  %y = kerf.gated_linear silu %x, %w, %w outs(%init : tensor<2x4xf32>)
         : tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<2x4xf32>
}

// -----

func.func @gated_linear_c4(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %b: tensor<4xf32>, %long: tensor<5xf32>,
                           %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{bias must have 4 elements, got 'tensor<5xf32>'}}
  %y = kerf.gated_linear silu %x, %w, %w bias(%b, %long : tensor<4xf32>, tensor<5xf32>) outs(%init : tensor<?x4xf32>)
         : tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @gated_linear_c4_one(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>, %b: tensor<4xf32>,
                               %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{must have both biases or none}}
  %y = "kerf.gated_linear"(%x, %w, %w, %init, %b)
         <{activation = #kerf<activation silu>, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0>}>
         : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @rms_norm_c1(%x: tensor<?x8xf32>, %g: tensor<3xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{scale must have a length that divides 8, got 'tensor<3xf32>'}}
  %y = kerf.rms_norm %x, %g eps 1.0e-6 outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<3xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @rms_norm_c2(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{eps must be positive, got 0.000000e+00}}
  %y = kerf.rms_norm %x, %g eps 0.0 outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Not a number is not positive either.
func.func @rms_norm_c2_nan(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{eps must be positive, got 0x7FF8000000000000}}
  %y = kerf.rms_norm %x, %g eps 0x7FF8000000000000 outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @rms_norm_c3(%x: tensor<?x8xf32>, %g: tensor<4xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{init must have the shape of 'tensor<?x8xf32>', got 'tensor<?x4xf32>'}}
  %y = kerf.rms_norm %x, %g eps 1.0e-6 outs(%init : tensor<?x4xf32>) : tensor<?x8xf32>, tensor<4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @pool_c1(%x: tensor<?x8xf32>, %first: tensor<?xi32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  // expected-error@below {{init must have the columns of 'tensor<?x8xf32>', got 'tensor<?x9xf32>'}}
  %y = kerf.pool mean %x, %first, %first outs(%init : tensor<?x9xf32>) : tensor<?x8xf32>, tensor<?xi32>, tensor<?xi32>
  return %y : tensor<?x9xf32>
}

// -----

func.func @layer_norm_c1(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %b: tensor<4xf32>,
                         %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{scale and bias must have 8 elements, got 'tensor<4xf32>'}}
  %y = kerf.layer_norm %x, %g, %b eps 1.0e-5 outs(%init : tensor<?x8xf32>)
         : tensor<?x8xf32>, tensor<8xf32>, tensor<4xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @layer_norm_c2(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{eps must be positive, got 0.000000e+00}}
  %y = kerf.layer_norm %x, %g, %g eps 0.0 outs(%init : tensor<?x8xf32>)
         : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @layer_norm_c3(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{init must have the shape of 'tensor<?x8xf32>', got 'tensor<?x4xf32>'}}
  %y = kerf.layer_norm %x, %g, %g eps 1.0e-5 outs(%init : tensor<?x4xf32>)
         : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @activation_c1(%x: tensor<?x8xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  // expected-error@below {{init must have the shape of 'tensor<?x8xf32>', got 'tensor<?x9xf32>'}}
  %y = kerf.activation gelu %x outs(%init : tensor<?x9xf32>) : tensor<?x8xf32>
  return %y : tensor<?x9xf32>
}

// -----

func.func @gate_c1(%g: tensor<?x8xf32>, %u: tensor<?x9xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{gate, up and init must have the same shape, got 'tensor<?x8xf32>', 'tensor<?x9xf32>' and 'tensor<?x8xf32>'}}
  %y = kerf.gate silu %g, %u outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<?x9xf32>
  return %y : tensor<?x8xf32>
}

// -----

func.func @add_c1(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %init: tensor<?x9xf32>) -> tensor<?x9xf32> {
  // expected-error@below {{lhs, rhs and init must have the same shape, got 'tensor<?x8xf32>', 'tensor<?x8xf32>' and 'tensor<?x9xf32>'}}
  %y = kerf.add %a, %b outs(%init : tensor<?x9xf32>) : tensor<?x8xf32>, tensor<?x8xf32>
  return %y : tensor<?x9xf32>
}

// -----

func.func @rope_table_c1(%p: tensor<?xi32>, %f: tensor<4xf32>, %init: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{init must be f32 with 8 columns, got 'tensor<?x4xf32>'}}
  %t = kerf.rope_table %p, %f factor 1.0 outs(%init : tensor<?x4xf32>) : tensor<?xi32>, tensor<4xf32>
  return %t : tensor<?x4xf32>
}

// -----

func.func @rope_c1(%q: tensor<?x12xf32>, %table: tensor<?x8xf32>, %init: tensor<?x12xf32>) -> tensor<?x12xf32> {
  // expected-error@below {{input must have a multiple of the columns of 'tensor<?x8xf32>', got 'tensor<?x12xf32>'}}
  %y = kerf.rope %q, %table outs(%init : tensor<?x12xf32>) : tensor<?x12xf32>, tensor<?x8xf32>
  return %y : tensor<?x12xf32>
}

// -----

func.func @rope_c2(%q: tensor<?x16xf32>, %table: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{init must have the shape of 'tensor<?x16xf32>', got 'tensor<?x8xf32>'}}
  %y = kerf.rope %q, %table outs(%init : tensor<?x8xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// expected-note@below {{the group is defined here}}
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @kv_append_c1(%k: tensor<?x16xf32>, %batch: !kerf.batch, %c: !kerf.cache) -> !kerf.cache {
  // expected-error@below {{plane must be in [0, 2), got 2}}
  %d = kerf.kv_append %k, %k, %batch to %c group @kv plane 2 : tensor<?x16xf32>, tensor<?x16xf32>
  return %d : !kerf.cache
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @kv_append_c2(%k: tensor<?x16xf32>, %v: tensor<?x8xf32>, %batch: !kerf.batch,
                        %c: !kerf.cache) -> !kerf.cache {
  // expected-error@below {{keys and values must have 16 columns, got 'tensor<?x16xf32>' and 'tensor<?x8xf32>'}}
  %d = kerf.kv_append %k, %v, %batch to %c group @kv plane 0 : tensor<?x16xf32>, tensor<?x8xf32>
  return %d : !kerf.cache
}

// -----

func.func @rope_append_c1(%x: tensor<?x64xf32>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                          %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{group must name a kerf.kv_group, got @kv}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 table(%table : tensor<?x8xf32>) eps 1.0e-6
             outs(%init : tensor<?x32xf32>) : tensor<?x64xf32>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c2(%x: tensor<?x48xf32>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                          %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{input must have 32 + 32 columns, got 'tensor<?x48xf32>'}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 table(%table : tensor<?x8xf32>) eps 1.0e-6
             outs(%init : tensor<?x32xf32>) : tensor<?x48xf32>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c2_queries(%x: tensor<?x44xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                                  %init: tensor<?x12xf32>) -> tensor<?x12xf32> {
  // expected-error@below {{init must have a multiple of 8 columns, got 'tensor<?x12xf32>'}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 eps 1.0e-6
             outs(%init : tensor<?x12xf32>) : tensor<?x44xf32>
  return %q : tensor<?x12xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c3(%x: tensor<?x64xf32>, %table: tensor<?x4xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                          %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{table must have 8 columns, got 'tensor<?x4xf32>'}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 table(%table : tensor<?x4xf32>) eps 1.0e-6
             outs(%init : tensor<?x32xf32>) : tensor<?x64xf32>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c4(%x: tensor<?x64xf32>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                          %g: tensor<4xf32>, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{scale must have 8 elements, got 'tensor<4xf32>'}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 table(%table : tensor<?x8xf32>)
             scales(%g, %g : tensor<4xf32>, tensor<4xf32>) eps 1.0e-6
             outs(%init : tensor<?x32xf32>) : tensor<?x64xf32>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c4_eps(%x: tensor<?x64xf32>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                              %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{eps must be positive, got -1.000000e+00}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 table(%table : tensor<?x8xf32>) eps -1.0
             outs(%init : tensor<?x32xf32>) : tensor<?x64xf32>
  return %q : tensor<?x32xf32>
}

// -----

// expected-note@below {{the group is defined here}}
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c1(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{plane must be in [0, 2), got 2}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 2 bias(%b : tensor<64xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<?x32xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @rope_append_c5(%x: tensor<?x64xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                          %init: tensor<5x32xf32>) -> tensor<5x32xf32> {
  // expected-error@below {{init must have the rows of 'tensor<?x64xf32>', got 'tensor<5x32xf32>'}}
  %q, %d = kerf.rope_append %x, %batch to %c group @kv plane 0 eps 1.0e-6
             outs(%init : tensor<5x32xf32>) : tensor<?x64xf32>
  return %q : tensor<5x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c2(%x: tensor<?x16xbf16>, %w: tensor<48x16xbf16>, %b: tensor<48xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{weight must have 32 + 32 out features, got 'tensor<48x16xbf16>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<48xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<?x32xf32>) : tensor<?x16xbf16>, tensor<48x16xbf16>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c2_queries(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x12xf32>) -> tensor<?x12xf32> {
  // expected-error@below {{init must have a multiple of 8 columns, got 'tensor<?x12xf32>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<64xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<?x12xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  return %q : tensor<?x12xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c3(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %t: tensor<?x4xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{table must have 8 columns, got 'tensor<?x4xf32>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<64xf32>)
             table(%t : tensor<?x4xf32>) outs(%init : tensor<?x32xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c4(%x: tensor<?x24xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{input must have 16 columns, as 'tensor<64x16xbf16>', got 'tensor<?x24xbf16>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<64xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<?x32xf32>) : tensor<?x24xbf16>, tensor<64x16xbf16>
  return %q : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c4_rows(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<5x32xf32>) -> tensor<5x32xf32> {
  // expected-error@below {{init must have the rows of 'tensor<?x16xbf16>', got 'tensor<5x32xf32>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<64xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<5x32xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  return %q : tensor<5x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @linear_rope_append_c5(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<32xf32>, %t: tensor<?x8xf32>,
    %batch: !kerf.batch, %c: !kerf.cache, %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{bias must have 64 elements, got 'tensor<32xf32>'}}
  %q, %d = kerf.linear_rope_append %x, %w, %batch to %c group @kv plane 0 bias(%b : tensor<32xf32>)
             table(%t : tensor<?x8xf32>) outs(%init : tensor<?x32xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  return %q : tensor<?x32xf32>
}

// -----

kerf.weight @kv : tensor<4x8xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<4x8xf32>>
func.func @attention_c1(%q: tensor<?x32xf32>, %work: !kerf.work_list, %c: !kerf.cache,
                        %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{group must name a kerf.kv_group, got @kv}}
  %o = kerf.attention %q, %work, %c group @kv plane 0 scale 1.0 outs(%init : tensor<?x32xf32>) : tensor<?x32xf32>
  return %o : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @attention_c2(%q: tensor<?x24xf32>, %work: !kerf.work_list, %c: !kerf.cache,
                        %init: tensor<?x24xf32>) -> tensor<?x24xf32> {
  // expected-error@below {{queries must have a multiple of 16 columns, got 'tensor<?x24xf32>'}}
  %o = kerf.attention %q, %work, %c group @kv plane 0 scale 1.0 outs(%init : tensor<?x24xf32>) : tensor<?x24xf32>
  return %o : tensor<?x24xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @attention_c3(%q: tensor<?x32xf32>, %work: !kerf.work_list, %c: !kerf.cache,
                        %init: tensor<?x16xf32>) -> tensor<?x16xf32> {
  // expected-error@below {{init must have the shape of 'tensor<?x32xf32>', got 'tensor<?x16xf32>'}}
  %o = kerf.attention %q, %work, %c group @kv plane 0 scale 1.0 outs(%init : tensor<?x16xf32>) : tensor<?x32xf32>
  return %o : tensor<?x16xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @attention_c4(%q: tensor<?x32xf32>, %work: !kerf.work_list, %c: !kerf.cache, %init: tensor<?x32xf32>,
                        %linit: tensor<?x2xf32>) -> tensor<?x2xf32> {
  // expected-error@below {{log-sum-exp must have 4 columns, got 'tensor<?x2xf32>'}}
  %o, %l = kerf.attention %q, %work, %c group @kv plane 0 scale 1.0 outs(%init : tensor<?x32xf32>)
             lse(%linit : tensor<?x2xf32>) : tensor<?x32xf32> -> tensor<?x2xf32>
  return %l : tensor<?x2xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element f32
func.func @attention_c5(%q: tensor<?x32xf32>, %work: !kerf.work_list, %c: !kerf.cache,
                        %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{scale must be positive, got 0.000000e+00}}
  %o = kerf.attention %q, %work, %c group @kv plane 0 scale 0.0 outs(%init : tensor<?x32xf32>) : tensor<?x32xf32>
  return %o : tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.kv_group @other planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @attention_c6(%q: tensor<?x32xf32>, %batch: !kerf.batch, %c: !kerf.cache,
                        %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
  // expected-note@below {{the list is made here}}
  %work = kerf.work_list of %batch group @other mask #kerf.causal
  // expected-error@below {{work list must be over @kv, got one over @other}}
  %o = kerf.attention %q, %work, %c group @kv plane 0 scale 0.5 outs(%init : tensor<?x32xf32>) : tensor<?x32xf32>
  return %o : tensor<?x32xf32>
}

// -----

func.func @attention_merge_c1(%a: tensor<?x32xf32>, %b: tensor<?x16xf32>, %l: tensor<?x4xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{lhs, rhs and init must have the same shape}}
  %o, %m = kerf.attention_merge %a, %l, %b, %l outs(%a : tensor<?x32xf32>) lse(%l : tensor<?x4xf32>)
             : tensor<?x32xf32>, tensor<?x4xf32>, tensor<?x16xf32>, tensor<?x4xf32>
  return %o : tensor<?x32xf32>
}

// -----

func.func @attention_merge_c2(%a: tensor<?x32xf32>, %l: tensor<?x4xf32>, %r: tensor<?x2xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{log-sum-exps must have the same shape}}
  %o, %m = kerf.attention_merge %a, %l, %a, %r outs(%a : tensor<?x32xf32>) lse(%l : tensor<?x4xf32>)
             : tensor<?x32xf32>, tensor<?x4xf32>, tensor<?x32xf32>, tensor<?x2xf32>
  return %o : tensor<?x32xf32>
}

// -----

func.func @attention_merge_c3(%a: tensor<?x32xf32>, %l: tensor<?x3xf32>) -> tensor<?x32xf32> {
  // expected-error@below {{lhs must have a multiple of the columns of 'tensor<?x3xf32>', got 'tensor<?x32xf32>'}}
  %o, %m = kerf.attention_merge %a, %l, %a, %l outs(%a : tensor<?x32xf32>) lse(%l : tensor<?x3xf32>)
             : tensor<?x32xf32>, tensor<?x3xf32>, tensor<?x32xf32>, tensor<?x3xf32>
  return %o : tensor<?x32xf32>
}

// -----

func.func @layer_c1_results(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{results must have the types that the body yields ('tensor<?x8xf32>'), got ('tensor<?x4xf32>')}}
  %y = kerf.layer 0 (%h = %x : tensor<?x8xf32>) -> tensor<?x4xf32> {
    // expected-note@below {{yielded here}}
    kerf.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

func.func @layer_c1_arguments(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  // expected-error@below {{body must take the types of the inputs ('tensor<?x8xf32>'), got ('tensor<?x4xf32>')}}
  %y = "kerf.layer"(%x) <{index = 0 : i64}> ({
  ^bb0(%h: tensor<?x4xf32>):
    kerf.yield %h : tensor<?x4xf32>
  }) : (tensor<?x8xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @layer_c2(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error@below {{index must not be negative, got -1}}
  %y = kerf.layer -1 (%h = %x : tensor<?x8xf32>) -> tensor<?x8xf32> {
    kerf.yield %h : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// -----

func.func @slot_c1(%t: index) -> tensor<?x8xf32> {
  // expected-error@below {{index must not be negative, got -1}}
  %slot = kerf.slot -1 (%t) size <0, 32> : tensor<?x8xf32>
  return %slot : tensor<?x8xf32>
}

// -----

kerf.program @dispatch_c1 slots [] {
  // expected-error@below {{operands must be slot_ref, weight_ref, step_ref, cache_ref or result_ref, got 7 : i64}}
  kerf.dispatch @k [7] rows tokens origin "x" bytes <> operations <>
}

// -----

kerf.program @dispatch_c2 slots [] {
  // expected-error@below {{rows must be one, tokens, sequences, logit_rows or work_items, got attended}}
  kerf.dispatch @k [] rows attended origin "x" bytes <> operations <>
}

// -----

kerf.program @dispatch_c3 slots [] work_lists [#kerf.work<@kv, #kerf.causal>] {
  // expected-error@below {{list must be one of the program's 1 work lists, got #kerf.step_ref<work_items list 1>}}
  kerf.dispatch @k [#kerf.step_ref<work_items list 1>] rows tokens origin "x" bytes <> operations <>
}

// -----

kerf.program @dispatch_c3 slots [] results [#kerf.result<logits, 8>] {
  // expected-error@below {{result must be one of the program's 1, got #kerf.result_ref<1>}}
  kerf.dispatch @k [#kerf.result_ref<1>] rows tokens origin "x" bytes <> operations <>
}

// -----

// expected-error-re@below {{invalid properties {{.*}} for op kerf.variant}}
"kerf.variant"() <{attention_tile = 4 : i64, object = dense<1> : tensor<3xi8>, sym_name = "avx2"}> ({
^bb0:
}) : () -> ()

// -----

kerf.variant @kernel_c1 attention_tile 4 {
  // expected-error@below {{tile and columns must be positive and stack not negative, got 0, 1 and 0}}
  kerf.kernel @k tile 0 columns 1 stack 0
}
