// What canonicalization, CSE and symbol-dce make of the dialect, and what they must leave alone.
// RUN: kerf-opt %s --canonicalize --cse --symbol-dce | FileCheck %s

// A weight that nothing reads is part of the model all the same: only a pass that says so may drop it.
// CHECK: kerf.weight @unused
kerf.weight @unused : tensor<8x8xf32> format <#kerf.dense<f32>> source #kerf.take<"unused" : tensor<8x8xf32>>
kerf.weight @w : tensor<8x8xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<8x8xf32>>
// CHECK: kerf.kv_group @kv
kerf.kv_group @kv planes 2 heads 1 head_dim 8 page_size 16 element f32

// Reading a weight twice is reading it once.
// CHECK-LABEL: func.func @same_weight
func.func @same_weight() -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  // CHECK: %[[W:.*]] = kerf.get_weight @w
  // CHECK-NEXT: return %[[W]], %[[W]]
  %a = kerf.get_weight @w : tensor<8x8xf32>
  %b = kerf.get_weight @w : tensor<8x8xf32>
  return %a, %b : tensor<8x8xf32>, tensor<8x8xf32>
}

// A linear that nobody reads goes, with its destination and the read of its weight.
// CHECK-LABEL: func.func @dead
func.func @dead(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-NEXT: return
  %w = kerf.get_weight @w : tensor<8x8xf32>
  %y = kerf.linear %x, %w outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<8x8xf32>
  return %x : tensor<?x8xf32>
}

// Keys are kept as long as the cache that they end in is returned, and not longer.
// CHECK-LABEL: func.func @appends
func.func @appends(%k: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache) -> !kerf.cache {
  // CHECK-NEXT: %[[C:.*]] = kerf.kv_append {{.*}} plane 0
  // CHECK-NEXT: return %[[C]]
  %c1 = kerf.kv_append %k, %k, %batch to %c0 group @kv plane 0 : tensor<?x8xf32>, tensor<?x8xf32>
  %dead = kerf.kv_append %k, %k, %batch to %c1 group @kv plane 1 : tensor<?x8xf32>, tensor<?x8xf32>
  return %c1 : !kerf.cache
}

// Destinations of the arena stay: a slot says where a value lies, and no two slots are one.
// CHECK-LABEL: func.func @slots
func.func @slots(%x: tensor<?x8xf32>, %t: index) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: kerf.slot 0
  // CHECK: kerf.slot 0
  %a = kerf.slot 0 (%t) size <0, 32> : tensor<?x8xf32>
  %b = kerf.slot 0 (%t) size <0, 32> : tensor<?x8xf32>
  return %a, %b : tensor<?x8xf32>, tensor<?x8xf32>
}

// A layer that passes everything through is no layer.
// CHECK-LABEL: func.func @identity_layer
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[C:.*]]: !kerf.cache)
func.func @identity_layer(%x: tensor<?x8xf32>, %c0: !kerf.cache) -> (tensor<?x8xf32>, !kerf.cache) {
  // CHECK-NEXT: return %[[X]], %[[C]]
  %y, %c1 = kerf.layer 0 (%h = %x : tensor<?x8xf32>, %c = %c0 : !kerf.cache) -> tensor<?x8xf32>, !kerf.cache {
    kerf.yield %h, %c : tensor<?x8xf32>, !kerf.cache
  }
  return %y, %c1 : tensor<?x8xf32>, !kerf.cache
}

// A layer without attention no longer touches the cache: the cache is threaded around it. Its attributes stay.
// CHECK-LABEL: func.func @passed_through
// CHECK-SAME: (%[[X:.*]]: tensor<?x8xf32>, %[[INIT:.*]]: tensor<?x8xf32>, %[[C:.*]]: !kerf.cache)
func.func @passed_through(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>,
                          %c0: !kerf.cache) -> (tensor<?x8xf32>, !kerf.cache) {
  // CHECK: %[[Y:.*]] = kerf.layer 5 (%[[H:.*]] = %[[X]] : tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[W:.*]] = kerf.get_weight @w
  // CHECK: %[[Z:.*]] = kerf.linear %[[H]], %[[W]]
  // CHECK: kerf.yield %[[Z]] : tensor<?x8xf32>
  // CHECK: } {note = "kept"}
  // CHECK: return %[[Y]], %[[C]]
  %y, %unread, %c1 = kerf.layer 5 (%h = %x : tensor<?x8xf32>, %unused = %init : tensor<?x8xf32>, %c = %c0 : !kerf.cache)
      -> tensor<?x8xf32>, tensor<?x8xf32>, !kerf.cache {
    %w = kerf.get_weight @w : tensor<8x8xf32>
    %z = kerf.linear %h, %w outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<8x8xf32>
    %v = kerf.linear %z, %w outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<8x8xf32>
    kerf.yield %z, %v, %c : tensor<?x8xf32>, tensor<?x8xf32>, !kerf.cache
  } {note = "kept"}
  return %y, %c1 : tensor<?x8xf32>, !kerf.cache
}

// A layer may pass two of its inputs on in each other's place: only the order of values outside changes.
// CHECK-LABEL: func.func @swapped
// CHECK-SAME: (%[[A:.*]]: tensor<?x8xf32>, %[[B:.*]]: tensor<?x8xf32>)
func.func @swapped(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK-NEXT: return %[[B]], %[[A]]
  %y, %z = kerf.layer 0 (%h = %a : tensor<?x8xf32>, %g = %b : tensor<?x8xf32>) -> tensor<?x8xf32>, tensor<?x8xf32> {
    kerf.yield %g, %h : tensor<?x8xf32>, tensor<?x8xf32>
  }
  return %y, %z : tensor<?x8xf32>, tensor<?x8xf32>
}

// A layer that nobody reads goes: nothing in it has an effect.
// CHECK-LABEL: func.func @dead_layer
func.func @dead_layer(%x: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache) -> tensor<?x8xf32> {
  // CHECK-NEXT: return
  %c1 = kerf.layer 0 (%h = %x : tensor<?x8xf32>, %c = %c0 : !kerf.cache) -> !kerf.cache {
    %d = kerf.kv_append %h, %h, %batch to %c group @kv plane 0 : tensor<?x8xf32>, tensor<?x8xf32>
    kerf.yield %d : !kerf.cache
  }
  return %x : tensor<?x8xf32>
}

// The rows of a result are the rows of its destination, without asking the op.
// CHECK-LABEL: func.func @rows_of_result
func.func @rows_of_result(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> index {
  // CHECK: tensor.dim %arg1
  // CHECK-NOT: kerf.add
  %c0 = arith.constant 0 : index
  %y = kerf.add %x, %x outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<?x8xf32>
  %rows = tensor.dim %y, %c0 : tensor<?x8xf32>
  return %rows : index
}
