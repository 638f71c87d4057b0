// What the pass makes of arguments, layers, weights and results; what its loops compute is tested in test/numerics.
// RUN: kerf-opt %s --kerf-lower-to-reference | FileCheck %s
// RUN: kerf-opt %s --kerf-lower-to-reference=record=true | FileCheck %s --check-prefix=RECORD
// RUN: kerf-opt %s --kerf-memory --kerf-lower-to-reference | FileCheck %s

// CHECK-NOT: kerf.model
kerf.model "tiny" architecture "LlamaForCausalLM" checkpoint "" context 64 vocabulary 5 hidden 4 layers 1
// CHECK-NOT: kerf.kv_group
kerf.kv_group @kv planes 1 heads 1 head_dim 4 page_size 16 element bf16
// CHECK-NOT: kerf.weight
kerf.weight @table : tensor<5x4xbf16> format <#kerf.dense<bf16>> source #kerf.take<"table" : tensor<5x4xbf16>>

// The i64 of the caller, nine arrays, keys and values, and the one weight, once.
// CHECK: func.func @step(%[[CALLER:.*]]: i64,
// CHECK-COUNT-9: tensor<?xi32>
// CHECK-SAME: memref<1x?x?x1x4xbf16>, %{{.*}}: memref<1x?x?x1x4xbf16>, %{{.*}}: tensor<5x4xbf16> {bufferization.writable = false}) {
// RECORD: func.func @step
func.func @step(%batch: !kerf.batch, %c0: !kerf.cache) -> (tensor<?x5xf32>, !kerf.cache) {
  // CHECK-NOT: kerf.
  %t = kerf.extent tokens of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %table = kerf.get_weight @table : tensor<5x4xbf16>
  %head = kerf.get_weight @table : tensor<5x4xbf16>
  %e0 = tensor.empty(%t) : tensor<?x4xbf16>
  // CHECK: scf.for
  // RECORD: call @kerf_reference_emit(%{{.*}}, %c1_i64
  %x = kerf.embed %ids, %table outs(%e0 : tensor<?x4xbf16>) : tensor<?xi32>, tensor<5x4xbf16>
  %y, %c1 = kerf.layer 0 (%h = %x : tensor<?x4xbf16>, %c = %c0 : !kerf.cache) -> tensor<?x5xf32>, !kerf.cache {
    // CHECK: memref.store %{{.*}}, %{{.*}} : memref<1x?x?x1x4xbf16>
    %d = kerf.kv_append %h, %h, %batch to %c group @kv plane 0 : tensor<?x4xbf16>, tensor<?x4xbf16>
    %e1 = tensor.empty(%t) : tensor<?x5xf32>
    // The product sums in f32, whatever its operands are.
    // CHECK: arith.addf %{{.*}}, %{{.*}} fastmath<reassoc,contract> : f32
    // RECORD: call @kerf_reference_emit(%{{.*}}, %c2_i64
    %z = kerf.linear %h, %head outs(%e1 : tensor<?x5xf32>) : tensor<?x4xbf16>, tensor<5x4xbf16>
    kerf.yield %z, %d : tensor<?x5xf32>, !kerf.cache
  }
  // RECORD: call @kerf_reference_emit(%{{.*}}, %c0_i64
  // CHECK: call @kerf_reference_emit(%[[CALLER]], %c0_i64
  // CHECK-NOT: call @kerf_reference_emit
  // CHECK: return
  return %y, %c1 : tensor<?x5xf32>, !kerf.cache
}

// What is no program stays.
// CHECK-LABEL: func.func @upstream(%arg0: tensor<?xf32>) -> tensor<?xf32>
func.func @upstream(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}
