// RUN: kerf-opt %s --kerf-plan-memory --kerf-emit-nvptx-kernels=variants=sm_80 | FileCheck %s
// RUN: kerf-opt %s --kerf-plan-memory --kerf-emit-nvptx-kernels='variants=sm_80 invariant' | FileCheck %s --check-prefix=INVARIANT --implicit-check-not='order 1'
// RUN: not kerf-opt %s --kerf-plan-memory --kerf-emit-nvptx-kernels=variants=sm_90 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: variants must be among compute_80 sm_80 sm_86 sm_89, got sm_90

// A product has a launch for each band of rows, without gaps; attention takes a slot for itself behind the planned ones,
// and its launches are for work items of one row and of several.
kerf.model "one" architecture "X" checkpoint "" context 64 vocabulary 96 hidden 32 layers 1
kerf.kv_group @kv planes 1 heads 1 head_dim 32 page_size 16 element bf16
kerf.weight @embed : tensor<96x32xbf16> format <#kerf.dense<bf16>> source #kerf.take<"embed" : tensor<96x32xbf16>>

// Tokens are drawn last, with a slot of their own.

// CHECK: kerf.program @step slots [#kerf.size<{{.*}}>, #kerf.size<{{.*}}>, #kerf.size<0, 0, 0, 0, [[SCRATCH:[1-9][0-9]*]]>, #kerf.size<0, 0, 0, 24592>]
// CHECK-SAME: results [#kerf.result<logits, 96>, #kerf.result<tokens, 1>]
func.func @step(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x96xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %r = kerf.extent logit_rows of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %work = kerf.work_list of %batch group @kv mask #kerf.causal
  %e = kerf.get_weight @embed : tensor<96x32xbf16>
  %i0 = tensor.empty(%t) : tensor<?x32xbf16>
  %x = kerf.embed %ids, %e outs(%i0 : tensor<?x32xbf16>) : tensor<?xi32>, tensor<96x32xbf16>
  %c = kerf.kv_append %x, %x, %batch to %cache group @kv plane 0 : tensor<?x32xbf16>, tensor<?x32xbf16>
  %i1 = tensor.empty(%t) : tensor<?x32xbf16>
  // CHECK: kerf.dispatch @[[ATTENTION:attention_[a-z0-9_]*]] [{{.*}}, #kerf.slot_ref<2>] rows work_items
  %a = kerf.attention %x, %work, %c group @kv plane 0 scale 0.5 outs(%i1 : tensor<?x32xbf16>) : tensor<?x32xbf16>
  %i3 = tensor.empty(%r) : tensor<?x32xbf16>
  %s = kerf.select %a, %rows outs(%i3 : tensor<?x32xbf16>) : tensor<?x32xbf16>, tensor<?xi32>
  %i5 = tensor.empty(%r) : tensor<?x96xf32>
  %logits = kerf.linear %s, %e outs(%i5 : tensor<?x96xf32>) : tensor<?x32xbf16>, tensor<96x32xbf16>
  return %logits, %c : tensor<?x96xf32>, !kerf.cache
}

// CHECK: kerf.dispatch @sample_v96 [#kerf.result_ref<0>, #kerf.step_ref<sampling>, #kerf.result_ref<1>, #kerf.slot_ref<3>] rows logit_rows origin "sample" bytes <0, 0, 0, 412> operations <0, 0, 0, 192>
// CHECK: kerf.variant @sm_80 attention_tile 64 {
// CHECK: kerf.gpu_kernel @embed_{{.*}} launches [#kerf.launch<"embed_{{.*}}", rows 1 to 4294967295, always, order 0, tile 1,
// CHECK: kerf.gpu_kernel @[[ATTENTION]] launches [{{.*}}single_rows{{.*}}several_rows
// CHECK: kerf.gpu_kernel @linear_bf16_bf16_f32_k32_n96 launches [
// CHECK-SAME: "linear_bf16_bf16_f32_k32_n96_r8", rows 1 to 8, always, order 1, tile 8, columns 6, threads 256
// CHECK-SAME: rows 9 to 16,{{.*}} rows 17 to 32,{{.*}} rows 33 to 192, always, order 0,{{.*}} rows 193 to 4294967295, always, order 0,
// CHECK: kerf.gpu_kernel @sample_v96 launches [
// CHECK-SAME: "sample_v96_parts", {{.*}} columns 1, threads 256, {{.*}}"sample_v96_histogram", {{.*}}"sample_v96_draw", {{.*}} threads 1024
// CHECK: gpu.module @kernels {
// CHECK: llvm.func @embed_
// CHECK: nvvm.mma.sync

// One launch takes any number of rows, and attention needs no memory for itself: the last slot is the sampler's.
// INVARIANT: kerf.program @step slots [#kerf.size<{{[^>]*}}>, #kerf.size<{{[^>]*}}>, #kerf.size<0, 0, 0, {{[0-9]*}}>] work_lists
// INVARIANT: kerf.gpu_kernel @attention_{{[^ ]*}} launches [#kerf.launch<"{{[^ ]*}}_prefill", rows 1 to 4294967295, always, order 0, {{[^>]*}}>]
// INVARIANT: kerf.gpu_kernel @linear_bf16_bf16_f32_k32_n96 launches [#kerf.launch<"{{[^ ]*}}_t64", rows 1 to 4294967295, always, order 0, tile 64, {{[^>]*}}>]
