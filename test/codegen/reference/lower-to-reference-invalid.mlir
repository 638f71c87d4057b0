// RUN: kerf-opt %s --split-input-file --verify-diagnostics --kerf-lower-to-reference

kerf.kv_group @kv planes 1 heads 1 head_dim 4 page_size 16 element bf16
// The cache of the reference is changed in place: who reads the old value must come first.
func.func @read_after_append(%x: tensor<?x4xf32>, %batch: !kerf.batch, %c0: !kerf.cache) -> tensor<?x4xf32> {
  %work = kerf.work_list of %batch group @kv mask #kerf.causal
  // expected-note@below {{the append is here}}
  %c1 = kerf.kv_append %x, %x, %batch to %c0 group @kv plane 0 : tensor<?x4xf32>, tensor<?x4xf32>
  %t = kerf.extent tokens of %batch
  %e = tensor.empty(%t) : tensor<?x4xf32>
  // expected-error@below {{must read its cache before the append that replaces it}}
  %y = kerf.attention %x, %work, %c0 group @kv plane 0 scale 0.5 outs(%e : tensor<?x4xf32>) : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

kerf.weight @w : tensor<3xf32> format <#kerf.dense<f32>, #kerf.dense<bf16>> source #kerf.take<"w" : tensor<3xf32>>
func.func @sum_of_terms() -> tensor<3xf32> {
  // expected-error@below {{weight must be stored as it is to be read by the reference, got #kerf.format<#kerf.dense<f32>, #kerf.dense<bf16>>}}
  %w = kerf.get_weight @w : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

// expected-error@below {{arguments must be tensors, batches or caches, got 'index'}}
func.func @index_argument(%n: index, %batch: !kerf.batch) {
  return
}

// -----

// A work list has its mask from the op that makes it.
// expected-error@below {{arguments must be tensors, batches or caches, got '!kerf.work_list'}}
func.func @work_list_argument(%work: !kerf.work_list, %batch: !kerf.batch) {
  return
}

// -----

// expected-error@below {{results must be caches or tensors of which only the first axis is dynamic, got 'index'}}
func.func @index_result(%batch: !kerf.batch) -> index {
  %t = kerf.extent tokens of %batch
  return %t : index
}

// -----

// expected-error@below {{must be straight-line code to be lowered to the reference, got 2 blocks}}
func.func @branches(%batch: !kerf.batch) {
  %t = kerf.extent tokens of %batch
  cf.br ^end
^end:
  return
}
