// Every op as in the example of its description: custom and generic form give back what was read.
// RUN: kerf-opt %s | kerf-opt | FileCheck %s
// RUN: kerf-opt %s --mlir-print-op-generic | kerf-opt | FileCheck %s

// CHECK: kerf.model "tiny" architecture "LlamaForCausalLM" checkpoint "models/tiny" context 2048 vocabulary 4096 hidden 256 layers 8
kerf.model "tiny" architecture "LlamaForCausalLM" checkpoint "models/tiny" context 2048 vocabulary 4096 hidden 256
  layers 8

// CHECK: kerf.weight @up : tensor<768x256xbf16> format <#kerf.dense<bf16>> source #kerf.take<"model.layers.0.mlp.up_proj.weight" : tensor<768x256xbf16>>
kerf.weight @up : tensor<768x256xbf16> format <#kerf.dense<bf16>>
  source #kerf.take<"model.layers.0.mlp.up_proj.weight" : tensor<768x256xbf16>>
// CHECK: kerf.weight @qk : tensor<192x64xf16> format <#kerf.dense<f16>> source #kerf.concat<0, #kerf.take<"q" : tensor<128x64xf16>>, #kerf.transpose<#kerf.take<"k" : tensor<64x64xf16>>>>
kerf.weight @qk : tensor<192x64xf16> format <#kerf.dense<f16>>
  source #kerf.concat<0, #kerf.take<"q" : tensor<128x64xf16>>, #kerf.transpose<#kerf.take<"k" : tensor<64x64xf16>>>>
// CHECK: kerf.weight @part : tensor<64x32xf32> format <#kerf.dense<f32>> source #kerf.transpose<#kerf.slice<1, 64, 128, #kerf.take<"qkv" : tensor<32x192xf32>>>>
kerf.weight @part : tensor<64x32xf32> format <#kerf.dense<f32>>
  source #kerf.transpose<#kerf.slice<1, 64, 128, #kerf.take<"qkv" : tensor<32x192xf32>>>>
// CHECK: kerf.weight @sum : tensor<512x384xf32> format <#kerf.dense<f32>> source #kerf.sum<#kerf.take<"a" : tensor<512x384xf16>>, #kerf.slice<0, 0, 1, #kerf.take<"b" : tensor<2x384xf16>>>>
kerf.weight @sum : tensor<512x384xf32> format <#kerf.dense<f32>>
  source #kerf.sum<#kerf.take<"a" : tensor<512x384xf16>>, #kerf.slice<0, 0, 1, #kerf.take<"b" : tensor<2x384xf16>>>>
// A sum of terms: what several terms mean is in no op yet, but a format can say it.
// CHECK: kerf.weight @frequencies : tensor<2xf32> format <#kerf.dense<f32>, #kerf.dense<bf16>> source #kerf.literal<dense<[1.000000e+00, 5.000000e-01]> : tensor<2xf32>>
kerf.weight @frequencies : tensor<2xf32> format <#kerf.dense<f32>, #kerf.dense<bf16>>
  source #kerf.literal<dense<[1.0, 0.5]> : tensor<2xf32>>

// CHECK: kerf.kv_group @kv planes 8 heads 2 head_dim 64 page_size 64 element bf16
kerf.kv_group @kv planes 8 heads 2 head_dim 64 page_size 64 element bf16

// CHECK-LABEL: func.func @get_weight
func.func @get_weight() -> tensor<768x256xbf16> {
  // CHECK: kerf.get_weight @up : tensor<768x256xbf16>
  %w = kerf.get_weight @up : tensor<768x256xbf16>
  return %w : tensor<768x256xbf16>
}

// CHECK-LABEL: func.func @batch
func.func @batch(%batch: !kerf.batch) -> (index, index, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, !kerf.work_list) {
  // CHECK: kerf.extent tokens of %{{.*}}
  %t = kerf.extent tokens of %batch
  // CHECK: kerf.extent logit_rows of %{{.*}}
  %r = kerf.extent logit_rows of %batch
  // CHECK: kerf.batch_field token_ids of %{{.*}} : tensor<?xi32>
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  // CHECK: kerf.batch_field positions of %{{.*}} : tensor<?xi32>
  %positions = kerf.batch_field positions of %batch : tensor<?xi32>
  // CHECK: kerf.batch_field logit_rows of %{{.*}} : tensor<?xi32>
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  // CHECK: kerf.work_list of %{{.*}} group @kv mask #kerf.causal
  %work = kerf.work_list of %batch group @kv mask #kerf.causal
  // CHECK: kerf.work_list of %{{.*}} group @kv mask #kerf.window<4096>
  %near = kerf.work_list of %batch group @kv mask #kerf.window<4096>
  // CHECK: kerf.work_list of %{{.*}} group @kv mask #kerf.bidirectional
  %both = kerf.work_list of %batch group @kv mask #kerf.bidirectional
  return %t, %r, %ids, %positions, %rows, %work
    : index, index, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, !kerf.work_list
}

// CHECK-LABEL: func.func @pool
func.func @pool(%batch: !kerf.batch, %x: tensor<?x384xf32>, %init: tensor<?x384xf32>) -> tensor<?x384xf32> {
  // CHECK: %[[FIRST:.*]] = kerf.batch_field first_rows of %{{.*}} : tensor<?xi32>
  %first = kerf.batch_field first_rows of %batch : tensor<?xi32>
  // CHECK: %[[COUNT:.*]] = kerf.batch_field row_counts of %{{.*}} : tensor<?xi32>
  %count = kerf.batch_field row_counts of %batch : tensor<?xi32>
  // CHECK: kerf.pool mean %{{.*}}, %[[FIRST]], %[[COUNT]] outs(%{{.*}} : tensor<?x384xf32>) : tensor<?x384xf32>, tensor<?xi32>, tensor<?xi32>
  %y = kerf.pool mean %x, %first, %count outs(%init : tensor<?x384xf32>)
         : tensor<?x384xf32>, tensor<?xi32>, tensor<?xi32>
  // CHECK: kerf.pool max
  %z = kerf.pool max %x, %first, %count outs(%y : tensor<?x384xf32>)
         : tensor<?x384xf32>, tensor<?xi32>, tensor<?xi32>
  return %z : tensor<?x384xf32>
}

// CHECK-LABEL: func.func @select
func.func @select(%x: tensor<?x64xf32>, %rows: tensor<?xi32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: kerf.select %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  %y = kerf.select %x, %rows outs(%init : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @embed
func.func @embed(%ids: tensor<?xi32>, %table: tensor<4096x256xbf16>, %init: tensor<?x256xf32>) -> tensor<?x256xf32> {
  // CHECK: kerf.embed %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x256xf32>) : tensor<?xi32>, tensor<4096x256xbf16>
  %x = kerf.embed %ids, %table outs(%init : tensor<?x256xf32>) : tensor<?xi32>, tensor<4096x256xbf16>
  return %x : tensor<?x256xf32>
}

// CHECK-LABEL: func.func @linear
func.func @linear(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<96xf32>, %r: tensor<?x96xf32>,
                  %init: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  // CHECK: kerf.linear %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<96xf32>) residual(%{{.*}} : tensor<?x96xf32>) outs(%{{.*}} : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.linear %x, %w bias(%b : tensor<96xf32>) residual(%r : tensor<?x96xf32>)
         outs(%init : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  // CHECK: kerf.linear %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %z = kerf.linear %x, %w outs(%init : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  // CHECK: kerf.linear %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<96xf32>) activation gelu_tanh residual(%{{.*}} : tensor<?x96xf32>) outs
  %v = kerf.linear %x, %w bias(%b : tensor<96xf32>) activation gelu_tanh residual(%y : tensor<?x96xf32>)
         outs(%init : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  return %v, %z : tensor<?x96xf32>, tensor<?x96xf32>
}

// CHECK-LABEL: func.func @gated_linear
func.func @gated_linear(%x: tensor<?x256xbf16>, %g: tensor<768x256xbf16>, %u: tensor<768x256xbf16>,
                        %b: tensor<768xf32>, %init: tensor<?x768xbf16>) -> (tensor<?x768xbf16>, tensor<?x768xbf16>) {
  // CHECK: kerf.gated_linear silu %{{.*}}, %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x768xbf16>) : tensor<?x256xbf16>, tensor<768x256xbf16>, tensor<768x256xbf16>
  %y = kerf.gated_linear silu %x, %g, %u outs(%init : tensor<?x768xbf16>)
         : tensor<?x256xbf16>, tensor<768x256xbf16>, tensor<768x256xbf16>
  // CHECK: kerf.gated_linear gelu_tanh %{{.*}} bias(%[[B:.*]], %[[B]] : tensor<768xf32>, tensor<768xf32>) outs
  %z = kerf.gated_linear gelu_tanh %x, %g, %u bias(%b, %b : tensor<768xf32>, tensor<768xf32>)
         outs(%init : tensor<?x768xbf16>) : tensor<?x256xbf16>, tensor<768x256xbf16>, tensor<768x256xbf16>
  return %y, %z : tensor<?x768xbf16>, tensor<?x768xbf16>
}

// CHECK-LABEL: func.func @rms_norm
func.func @rms_norm(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %init: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
  // CHECK: kerf.rms_norm %{{.*}}, %{{.*}} eps 9.9999999999999995E-7 outs(%{{.*}} : tensor<?x64xbf16>) : tensor<?x64xf32>, tensor<64xf32>
  %y = kerf.rms_norm %x, %g eps 1.0e-6 outs(%init : tensor<?x64xbf16>) : tensor<?x64xf32>, tensor<64xf32>
  return %y : tensor<?x64xbf16>
}

// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<?x64xf32>, %g: tensor<64xf32>, %b: tensor<64xf32>,
                      %init: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
  // CHECK: kerf.layer_norm %{{.*}}, %{{.*}}, %{{.*}} eps 1.000000e-05 outs(%{{.*}} : tensor<?x64xbf16>) : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  %y = kerf.layer_norm %x, %g, %b eps 1.0e-5 outs(%init : tensor<?x64xbf16>)
         : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
  return %y : tensor<?x64xbf16>
}

// CHECK-LABEL: func.func @activation
func.func @activation(%x: tensor<?x768xf32>, %init: tensor<?x768xbf16>) -> tensor<?x768xbf16> {
  // CHECK: kerf.activation gelu %{{.*}} outs(%{{.*}} : tensor<?x768xbf16>) : tensor<?x768xf32>
  %y = kerf.activation gelu %x outs(%init : tensor<?x768xbf16>) : tensor<?x768xf32>
  return %y : tensor<?x768xbf16>
}

// CHECK-LABEL: func.func @gate
func.func @gate(%g: tensor<?x768xf32>, %u: tensor<?x768xf32>, %init: tensor<?x768xbf16>) -> tensor<?x768xbf16> {
  // CHECK: kerf.gate silu %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x768xbf16>) : tensor<?x768xf32>, tensor<?x768xf32>
  %y = kerf.gate silu %g, %u outs(%init : tensor<?x768xbf16>) : tensor<?x768xf32>, tensor<?x768xf32>
  // CHECK: kerf.gate gelu
  %z = kerf.gate gelu %g, %u outs(%y : tensor<?x768xbf16>) : tensor<?x768xf32>, tensor<?x768xf32>
  // CHECK: kerf.gate relu
  %v = kerf.gate relu %g, %u outs(%z : tensor<?x768xbf16>) : tensor<?x768xf32>, tensor<?x768xf32>
  return %v : tensor<?x768xbf16>
}

// CHECK-LABEL: func.func @add
func.func @add(%a: tensor<?x64xf32>, %b: tensor<?x64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: kerf.add %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %y = kerf.add %a, %b outs(%init : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @rope_table
func.func @rope_table(%positions: tensor<?xi32>, %f: tensor<32xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: kerf.rope_table %{{.*}}, %{{.*}} factor 1.000000e+00 outs(%{{.*}} : tensor<?x64xf32>) : tensor<?xi32>, tensor<32xf32>
  %table = kerf.rope_table %positions, %f factor 1.0 outs(%init : tensor<?x64xf32>) : tensor<?xi32>, tensor<32xf32>
  return %table : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @rope
func.func @rope(%q: tensor<?x256xf32>, %table: tensor<?x64xf32>, %init: tensor<?x256xf32>) -> tensor<?x256xf32> {
  // CHECK: kerf.rope %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x256xf32>) : tensor<?x256xf32>, tensor<?x64xf32>
  %y = kerf.rope %q, %table outs(%init : tensor<?x256xf32>) : tensor<?x256xf32>, tensor<?x64xf32>
  return %y : tensor<?x256xf32>
}

// CHECK-LABEL: func.func @kv_append
func.func @kv_append(%k: tensor<?x128xf32>, %v: tensor<?x128xf32>, %batch: !kerf.batch,
                     %c0: !kerf.cache) -> !kerf.cache {
  // CHECK: kerf.kv_append %{{.*}}, %{{.*}}, %{{.*}} to %{{.*}} group @kv plane 3 : tensor<?x128xf32>, tensor<?x128xf32>
  %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 3 : tensor<?x128xf32>, tensor<?x128xf32>
  return %c1 : !kerf.cache
}

// CHECK-LABEL: func.func @rope_append
func.func @rope_append(%qkv: tensor<?x512xf32>, %table: tensor<?x64xf32>, %batch: !kerf.batch, %c0: !kerf.cache,
                       %g: tensor<64xf32>, %init: tensor<?x256xf32>) -> (tensor<?x256xf32>, !kerf.cache) {
  // CHECK: kerf.rope_append %{{.*}}, %{{.*}} to %{{.*}} group @kv plane 3 table(%{{.*}} : tensor<?x64xf32>) eps 9.9999999999999995E-7 outs(%{{.*}} : tensor<?x256xf32>) : tensor<?x512xf32>{{$}}
  %q, %c1 = kerf.rope_append %qkv, %batch to %c0 group @kv plane 3 table(%table : tensor<?x64xf32>) eps 1.0e-6
              outs(%init : tensor<?x256xf32>) : tensor<?x512xf32>
  // CHECK: kerf.rope_append {{.*}} plane 4 table(%{{.*}} : tensor<?x64xf32>) scales(%[[G:.*]], %[[G]] : tensor<64xf32>, tensor<64xf32>) eps
  %r, %c2 = kerf.rope_append %qkv, %batch to %c1 group @kv plane 4 table(%table : tensor<?x64xf32>)
              scales(%g, %g : tensor<64xf32>, tensor<64xf32>) eps 1.0e-6
              outs(%q : tensor<?x256xf32>) : tensor<?x512xf32>
  // CHECK: kerf.rope_append {{.*}} plane 5 eps
  %s, %c3 = kerf.rope_append %qkv, %batch to %c2 group @kv plane 5 eps 1.0e-6
              outs(%r : tensor<?x256xf32>) : tensor<?x512xf32>
  return %s, %c3 : tensor<?x256xf32>, !kerf.cache
}

// CHECK-LABEL: func.func @linear_rope_append
func.func @linear_rope_append(%x: tensor<?x96xbf16>, %w: tensor<512x96xbf16>, %b: tensor<512xf32>,
                              %table: tensor<?x64xf32>, %batch: !kerf.batch, %c0: !kerf.cache,
                              %init: tensor<?x256xbf16>) -> (tensor<?x256xbf16>, !kerf.cache) {
  // CHECK: kerf.linear_rope_append %{{.*}}, %{{.*}}, %{{.*}} to %{{.*}} group @kv plane 3 bias(%{{.*}} : tensor<512xf32>) table(%{{.*}} : tensor<?x64xf32>) outs(%{{.*}} : tensor<?x256xbf16>) : tensor<?x96xbf16>, tensor<512x96xbf16>{{$}}
  %q, %c1 = kerf.linear_rope_append %x, %w, %batch to %c0 group @kv plane 3 bias(%b : tensor<512xf32>)
              table(%table : tensor<?x64xf32>) outs(%init : tensor<?x256xbf16>)
              : tensor<?x96xbf16>, tensor<512x96xbf16>
  // CHECK: kerf.linear_rope_append {{.*}} plane 4 outs(
  %r, %c2 = kerf.linear_rope_append %x, %w, %batch to %c1 group @kv plane 4 outs(%q : tensor<?x256xbf16>)
              : tensor<?x96xbf16>, tensor<512x96xbf16>
  return %r, %c2 : tensor<?x256xbf16>, !kerf.cache
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x256xf32>, %work: !kerf.work_list, %c1: !kerf.cache, %init: tensor<?x256xbf16>,
                     %linit: tensor<?x4xf32>) -> (tensor<?x256xbf16>, tensor<?x256xbf16>, tensor<?x4xf32>) {
  // CHECK: kerf.attention %{{.*}}, %{{.*}}, %{{.*}} group @kv plane 3 scale 1.250000e-01 outs(%{{.*}} : tensor<?x256xbf16>) : tensor<?x256xf32>{{$}}
  %o = kerf.attention %q, %work, %c1 group @kv plane 3 scale 1.25e-1 outs(%init : tensor<?x256xbf16>)
         : tensor<?x256xf32>
  // CHECK: kerf.attention {{.*}} outs(%{{.*}} : tensor<?x256xbf16>) lse(%{{.*}} : tensor<?x4xf32>) : tensor<?x256xf32> -> tensor<?x4xf32>
  %p, %l = kerf.attention %q, %work, %c1 group @kv plane 3 scale 1.25e-1 outs(%init : tensor<?x256xbf16>)
             lse(%linit : tensor<?x4xf32>) : tensor<?x256xf32> -> tensor<?x4xf32>
  return %o, %p, %l : tensor<?x256xbf16>, tensor<?x256xbf16>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @attention_merge
func.func @attention_merge(%o0: tensor<?x256xf32>, %l0: tensor<?x4xf32>, %o1: tensor<?x256xf32>, %l1: tensor<?x4xf32>,
                           %init: tensor<?x256xf32>, %linit: tensor<?x4xf32>)
    -> (tensor<?x256xf32>, tensor<?x4xf32>) {
  // CHECK: kerf.attention_merge %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<?x256xf32>) lse(%{{.*}} : tensor<?x4xf32>) : tensor<?x256xf32>, tensor<?x4xf32>, tensor<?x256xf32>, tensor<?x4xf32>
  %o, %l = kerf.attention_merge %o0, %l0, %o1, %l1 outs(%init : tensor<?x256xf32>) lse(%linit : tensor<?x4xf32>)
             : tensor<?x256xf32>, tensor<?x4xf32>, tensor<?x256xf32>, tensor<?x4xf32>
  return %o, %l : tensor<?x256xf32>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @layer
func.func @layer(%x: tensor<?x64xf32>, %c0: !kerf.cache) -> (tensor<?x64xf32>, !kerf.cache) {
  // CHECK: kerf.layer 3 (%[[H:.*]] = %{{.*}} : tensor<?x64xf32>, %[[C:.*]] = %{{.*}} : !kerf.cache) -> tensor<?x64xf32>, !kerf.cache {
  // CHECK-NEXT: kerf.yield %[[H]], %[[C]] : tensor<?x64xf32>, !kerf.cache
  // CHECK-NEXT: }
  %y, %c1 = kerf.layer 3 (%h = %x : tensor<?x64xf32>, %c = %c0 : !kerf.cache) -> tensor<?x64xf32>, !kerf.cache {
    kerf.yield %h, %c : tensor<?x64xf32>, !kerf.cache
  }
  // Discardable attributes of a layer survive.
  // CHECK: } {note}
  %z = kerf.layer 4 (%h = %y : tensor<?x64xf32>) -> tensor<?x64xf32> {
    kerf.yield %h : tensor<?x64xf32>
  } {note}
  return %z, %c1 : tensor<?x64xf32>, !kerf.cache
}

// CHECK-LABEL: func.func @destinations
func.func @destinations(%t: index, %r: index) -> (tensor<?x64xf32>, tensor<?x4096xf32>) {
  // CHECK: kerf.slot 2(%{{.*}}) size <0, 256> : tensor<?x64xf32>
  %slot = kerf.slot 2 (%t) size <0, 256> : tensor<?x64xf32>
  // CHECK: kerf.result 0(%{{.*}}) : tensor<?x4096xf32>
  %result = kerf.result 0 (%r) : tensor<?x4096xf32>
  return %slot, %result : tensor<?x64xf32>, tensor<?x4096xf32>
}

kerf.weight @table : tensor<4096x256xbf16> format <#kerf.dense<bf16>>
  source #kerf.take<"model.embed_tokens.weight" : tensor<4096x256xbf16>>

// CHECK: kerf.program @step slots [#kerf.size<0, 1024>] work_lists [#kerf.work<@kv, #kerf.causal>, #kerf.work<@kv, #kerf.window<16>>] results [#kerf.result<logits, 4096>, #kerf.result<vectors, 64>] {
kerf.program @step slots [#kerf.size<0, 1024>]
    work_lists [#kerf.work<@kv, #kerf.causal>, #kerf.work<@kv, #kerf.window<16>>]
    results [#kerf.result<logits, 4096>, #kerf.result<vectors, 64>] {
  // CHECK-NEXT: kerf.dispatch @embed [#kerf.step_ref<token_ids>, #kerf.weight_ref<@table>, #kerf.slot_ref<0>] rows tokens origin "embed" bytes <0, 1536> operations <>
  kerf.dispatch @embed [#kerf.step_ref<token_ids>, #kerf.weight_ref<@table>, #kerf.slot_ref<0>]
    rows tokens origin "embed" bytes <0, 1536> operations <>
  // CHECK-NEXT: kerf.dispatch @attention [#kerf.step_ref<work_items list 1>, #kerf.step_ref<pages of @kv>, #kerf.cache_ref<@kv, 7>, #kerf.result_ref<1>]
  kerf.dispatch @attention [#kerf.step_ref<work_items list 1>, #kerf.step_ref<pages of @kv>, #kerf.cache_ref<@kv, 7>, #kerf.result_ref<1>]
    rows work_items origin "layers.7.attention" bytes <0, 1024, 0, 0, 0, 0, 512> operations <0, 0, 0, 0, 0, 1024>
}

// A program without dispatches: a model whose step does nothing is still a model.
// CHECK: kerf.program @empty slots [] {
kerf.program @empty slots [] {
}

// CHECK: kerf.variant @avx2 attention_tile 4 {
kerf.variant @avx2 attention_tile 4 {
  // CHECK-NEXT: kerf.kernel @embed tile 1 columns 1 stack 0
  kerf.kernel @embed tile 1 columns 1 stack 0
  // CHECK-NEXT: func.func @embed
  func.func @embed(%operands: !llvm.ptr, %rows: i64, %task: i64) { return }
}

// Compiled: the functions are a file in the resources.
// CHECK: kerf.variant @avx512 attention_tile 4 object dense_resource<avx512> : tensor<3xi8> {
kerf.variant @avx512 attention_tile 4 object dense_resource<avx512> : tensor<3xi8> {
  kerf.kernel @embed tile 1 columns 1 stack 0
}

// CHECK: kerf.variant @sm_80 attention_tile 64 {
kerf.variant @sm_80 attention_tile 64 {
  // CHECK-NEXT: kerf.gpu_kernel @add launches [#kerf.launch<"add_few", rows 1 to 8, always, order 0, tile 8, columns 2, threads 256, shared 0>,
  // CHECK-SAME: #kerf.launch<"add_many", rows 9 to 4294967295, several_rows, order 0, tile 64, columns 1, threads 128, shared 65536>]
  kerf.gpu_kernel @add launches [
    #kerf.launch<"add_few", rows 1 to 8, always, order 0, tile 8, columns 2, threads 256, shared 0>,
    #kerf.launch<"add_many", rows 9 to 4294967295, several_rows, order 0, tile 64, columns 1, threads 128, shared 65536>]
}

// CHECK: avx512: "0x01000000010203"
{-#
  dialect_resources: {
    builtin: {
      avx512: "0x01000000010203"
    }
  }
#-}
