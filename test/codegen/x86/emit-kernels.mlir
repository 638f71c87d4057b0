// RUN: kerf-opt %s --kerf-plan-memory --kerf-emit-x86-kernels=variants=avx2 | FileCheck %s

// Two programs over the same weights and cache: each states what it gives and what its attention goes through, and they
// share their kernels whatever counts the rows.
kerf.model "two" architecture "X" checkpoint "" context 64 vocabulary 96 hidden 32 layers 1
kerf.kv_group @kv planes 3 heads 1 head_dim 32 page_size 16 element f32
kerf.weight @embed : tensor<96x32xf32> format <#kerf.dense<f32>> source #kerf.take<"embed" : tensor<96x32xf32>>
kerf.weight @square : tensor<32x32xf32> format <#kerf.dense<f32>> source #kerf.take<"square" : tensor<32x32xf32>>

// CHECK: kerf.program @step slots [{{.*}}] work_lists [#kerf.work<@kv, #kerf.causal>, #kerf.work<@kv, #kerf.window<24>>] results [#kerf.result<logits, 96>] {
func.func @step(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x96xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %r = kerf.extent logit_rows of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %work = kerf.work_list of %batch group @kv mask #kerf.causal
  %near = kerf.work_list of %batch group @kv mask #kerf.window<24>
  %again = kerf.work_list of %batch group @kv mask #kerf.causal
  %e = kerf.get_weight @embed : tensor<96x32xf32>
  %w = kerf.get_weight @square : tensor<32x32xf32>
  %i0 = tensor.empty(%t) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @embed_{{.*}} rows tokens origin
  %x = kerf.embed %ids, %e outs(%i0 : tensor<?x32xf32>) : tensor<?xi32>, tensor<96x32xf32>
  // CHECK-NEXT: kerf.dispatch @kv_append_{{.*}} rows tokens origin
  %c = kerf.kv_append %x, %x, %batch to %cache group @kv plane 0 : tensor<?x32xf32>, tensor<?x32xf32>
  %i1 = tensor.empty(%t) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @attention_{{.*}}#kerf.step_ref<work_items>{{.*}} rows work_items origin
  %a = kerf.attention %x, %work, %c group @kv plane 0 scale 0.5 outs(%i1 : tensor<?x32xf32>) : tensor<?x32xf32>
  %in = tensor.empty(%t) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @attention_{{[^ ]*}}_behind [{{.*}}#kerf.step_ref<work_items list 1>{{.*}} rows work_items origin
  %n = kerf.attention %a, %near, %c group @kv plane 1 scale 0.5 outs(%in : tensor<?x32xf32>) : tensor<?x32xf32>
  %ia = tensor.empty(%t) : tensor<?x32xf32>
  // A list that is stated twice is one.
  // CHECK-NEXT: kerf.dispatch @attention_{{.*}}#kerf.step_ref<work_items>{{.*}} rows work_items origin
  %b = kerf.attention %n, %again, %c group @kv plane 2 scale 0.5 outs(%ia : tensor<?x32xf32>) : tensor<?x32xf32>
  %i2 = tensor.empty(%t) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @[[SQUARE:linear_f32_f32_f32_k32_n32]] [{{.*}}] rows tokens origin
  %y = kerf.linear %b, %w outs(%i2 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<32x32xf32>
  %i3 = tensor.empty(%r) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @select_{{.*}} rows logit_rows origin
  %s = kerf.select %y, %rows outs(%i3 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?xi32>
  %i4 = tensor.empty(%r) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @[[SQUARE]] [{{.*}}] rows logit_rows origin
  %z = kerf.linear %s, %w outs(%i4 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<32x32xf32>
  %i5 = tensor.empty(%r) : tensor<?x96xf32>
  // CHECK-NEXT: kerf.dispatch @linear_{{.*}}#kerf.result_ref<0>] rows logit_rows origin
  %logits = kerf.linear %z, %e outs(%i5 : tensor<?x96xf32>) : tensor<?x32xf32>, tensor<96x32xf32>
  return %logits, %c : tensor<?x96xf32>, !kerf.cache
}

// A program without attention has no work lists; its rows count by sequences.
// CHECK: kerf.program @encode slots [{{.*}}] results [#kerf.result<vectors, 32>] {
func.func @encode(%batch: !kerf.batch) -> tensor<?x32xf32> {
  %n = kerf.extent sequences of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %e = kerf.get_weight @embed : tensor<96x32xf32>
  %w = kerf.get_weight @square : tensor<32x32xf32>
  %p = tensor.empty(%n) : tensor<?x32xf32>
  %i0 = tensor.empty(%n) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.dispatch @embed_{{.*}} rows sequences origin
  %x = kerf.embed %ids, %e outs(%p : tensor<?x32xf32>) : tensor<?xi32>, tensor<96x32xf32>
  // CHECK-NEXT: kerf.dispatch @[[SQUARE]] [{{.*}}#kerf.result_ref<0>] rows sequences origin
  %y = kerf.linear %x, %w outs(%i0 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<32x32xf32>
  return %y : tensor<?x32xf32>
}
