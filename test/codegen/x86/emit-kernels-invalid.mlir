// RUN: kerf-opt %s --kerf-plan-memory --kerf-emit-x86-kernels=variants=avx2 --split-input-file --verify-diagnostics

kerf.weight @w : tensor<32x32xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<32x32xf32>>
func.func @rows_of_tokens(%batch: !kerf.batch) -> tensor<?x32xf32> {
  %t = kerf.extent tokens of %batch
  %i = tensor.empty(%t) : tensor<?x32xf32>
  %o = tensor.empty(%t) : tensor<?x32xf32>
  %x = kerf.add %i, %i outs(%o : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?x32xf32>
  // expected-error@below {{output 0 must be f32: logits (logit_rows rows of the vocabulary) or vectors (sequences rows), got 'tensor<?x32xf32>' of tokens rows}}
  return %x : tensor<?x32xf32>
}

// -----

func.func @rounded_results(%batch: !kerf.batch) -> tensor<?x32xbf16> {
  %t = kerf.extent sequences of %batch
  %i = tensor.empty(%t) : tensor<?x32xf32>
  %o = tensor.empty(%t) : tensor<?x32xbf16>
  %x = kerf.add %i, %i outs(%o : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x32xf32>
  // expected-error@below {{output 0 must be f32}}
  return %x : tensor<?x32xbf16>
}

// -----

func.func @cache_first(%batch: !kerf.batch, %cache: !kerf.cache) -> (!kerf.cache, tensor<?x32xf32>) {
  %t = kerf.extent sequences of %batch
  %i = tensor.empty(%t) : tensor<?x32xf32>
  %o = tensor.empty(%t) : tensor<?x32xf32>
  %x = kerf.add %i, %i outs(%o : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?x32xf32>
  // expected-error@below {{outputs that are tensors must come first, got 'tensor<?x32xf32>' after the cache}}
  return %cache, %x : !kerf.cache, tensor<?x32xf32>
}

// -----

kerf.kv_group @kv planes 1 heads 1 head_dim 32 page_size 16 element f32
kerf.weight @e : tensor<96x32xf32> format <#kerf.dense<f32>> source #kerf.take<"e" : tensor<96x32xf32>>
func.func @list_from_outside(%batch: !kerf.batch, %cache: !kerf.cache, %work: !kerf.work_list) {
  %t = kerf.extent tokens of %batch
  %i = tensor.empty(%t) : tensor<?x32xf32>
  %o = tensor.empty(%t) : tensor<?x32xf32>
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %e = kerf.get_weight @e : tensor<96x32xf32>
  %x = kerf.embed %ids, %e outs(%i : tensor<?x32xf32>) : tensor<?xi32>, tensor<96x32xf32>
  // expected-error@below {{operands must be slots, results, weights, work lists or arrays of the step}}
  %a = kerf.attention %x, %work, %cache group @kv plane 0 scale 0.5 outs(%o : tensor<?x32xf32>) : tensor<?x32xf32>
  return
}
