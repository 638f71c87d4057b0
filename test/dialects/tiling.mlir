// Every tensor op cut into tiles by the transform dialect: by rows, by columns where an op allows it, and fused into
// the loop of its reader. Remainders (17 rows in tiles of 4) are part of each case.
// RUN: kerf-opt %s --transform-interpreter --canonicalize --cse --split-input-file 2>&1 | FileCheck %s

// CHECK-LABEL: func.func @linear_rows_and_columns
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xbf16>, %[[W:.*]]: tensor<96x64xbf16>, %[[B:.*]]: tensor<96xf32>, %[[R:.*]]: tensor<?x96xf32>, %[[INIT:.*]]: tensor<?x96xf32>)
func.func @linear_rows_and_columns(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<96xf32>,
                                   %r: tensor<?x96xf32>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // CHECK: scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%{{.*}} = %[[INIT]])
  // CHECK: scf.for %[[J:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[ACC:.*]] = %{{.*}})
  // CHECK-DAG: %[[XT:.*]] = tensor.extract_slice %[[X]][%[[I]], 0] [%[[ROWS:.*]], 64] [1, 1]
  // CHECK-DAG: %[[WT:.*]] = tensor.extract_slice %[[W]][%[[J]], 0] [32, 64] [1, 1]
  // CHECK-DAG: %[[BT:.*]] = tensor.extract_slice %[[B]][%[[J]]] [32] [1]
  // CHECK-DAG: %[[RT:.*]] = tensor.extract_slice %[[R]][%[[I]], %[[J]]] [%[[ROWS]], 32] [1, 1]
  // CHECK-DAG: %[[IT:.*]] = tensor.extract_slice %[[ACC]][%[[I]], %[[J]]] [%[[ROWS]], 32] [1, 1]
  // CHECK: %[[Y:.*]] = kerf.linear %[[XT]], %[[WT]] bias(%[[BT]] : tensor<32xf32>) residual(%[[RT]] : tensor<?x32xf32>) outs(%[[IT]] : tensor<?x32xf32>)
  // CHECK: tensor.insert_slice %[[Y]] into %[[ACC]][%[[I]], %[[J]]] [%[[ROWS]], 32] [1, 1]
  %y = kerf.linear %x, %w bias(%b : tensor<96xf32>) residual(%r : tensor<?x96xf32>)
         outs(%init : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  return %y : tensor<?x96xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.linear"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [4, 32]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// One value as input, residual and destination of a square linear: each use is cut in its own way.
// CHECK-LABEL: func.func @linear_of_itself
func.func @linear_of_itself(%x: tensor<16x64xf32>, %w: tensor<64x64xf32>) -> tensor<16x64xf32> {
  // CHECK: kerf.linear %{{.*}}, %{{.*}} residual(%{{.*}} : tensor<16x32xf32>) outs(%{{.*}} : tensor<16x32xf32>) : tensor<16x64xf32>, tensor<32x64xf32>
  %y = kerf.linear %x, %w residual(%x : tensor<16x64xf32>) outs(%x : tensor<16x64xf32>)
         : tensor<16x64xf32>, tensor<64x64xf32>
  return %y : tensor<16x64xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.linear"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [0, 32]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// CHECK-LABEL: func.func @gated_linear
func.func @gated_linear(%x: tensor<17x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %b: tensor<96xf32>,
                        %init: tensor<17x96xbf16>) -> tensor<17x96xbf16> {
  // The last tile of rows has one row: the rows of a tile are not static.
  // CHECK: affine.min
  // CHECK: kerf.gated_linear silu %{{.*}}, %{{.*}}, %{{.*}} bias(%{{.*}}, %{{.*}} : tensor<32xf32>, tensor<32xf32>) outs(%{{.*}} : tensor<?x32xbf16>) : tensor<?x64xbf16>, tensor<32x64xbf16>, tensor<32x64xbf16>
  %y = kerf.gated_linear silu %x, %g, %u bias(%b, %b : tensor<96xf32>, tensor<96xf32>) outs(%init : tensor<17x96xbf16>)
         : tensor<17x64xbf16>, tensor<96x64xbf16>, tensor<96x64xbf16>
  return %y : tensor<17x96xbf16>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.gated_linear"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [4, 32]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%a: tensor<16x96xf32>, %b: tensor<16x96xf32>,
                       %init: tensor<16x96xf32>) -> (tensor<16x96xf32>, tensor<16x96xf32>, tensor<16x96xf32>) {
  // CHECK: kerf.gate gelu %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x32xf32>) : tensor<4x32xf32>, tensor<4x32xf32>
  %y = kerf.gate gelu %a, %b outs(%init : tensor<16x96xf32>) : tensor<16x96xf32>, tensor<16x96xf32>
  // CHECK: kerf.add %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x32xf32>) : tensor<4x32xf32>, tensor<4x32xf32>
  %z = kerf.add %a, %b outs(%init : tensor<16x96xf32>) : tensor<16x96xf32>, tensor<16x96xf32>
  // CHECK: kerf.activation gelu %{{.*}} outs(%{{.*}} : tensor<4x32xf32>) : tensor<4x32xf32>
  %v = kerf.activation gelu %a outs(%init : tensor<16x96xf32>) : tensor<16x96xf32>
  return %y, %z, %v : tensor<16x96xf32>, tensor<16x96xf32>, tensor<16x96xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.gate", "kerf.add", "kerf.activation"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [4, 32]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Ops whose rows stay whole, in tiles of 4 rows: tables, gains and frequencies are read whole by each tile.
// CHECK-LABEL: func.func @rows_only
func.func @rows_only(%ids: tensor<16xi32>, %table: tensor<128x64xf32>, %x: tensor<?x64xf32>, %g: tensor<64xf32>,
                     %f: tensor<16xf32>, %angles: tensor<16x32xf32>, %init: tensor<16x64xf32>)
    -> (tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x32xf32>, tensor<16x64xf32>,
        tensor<16x64xf32>, tensor<16x64xf32>) {
  // CHECK: kerf.embed %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<4xi32>, tensor<128x64xf32>
  %a = kerf.embed %ids, %table outs(%init : tensor<16x64xf32>) : tensor<16xi32>, tensor<128x64xf32>
  // CHECK: kerf.select %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<?x64xf32>, tensor<4xi32>
  %b = kerf.select %x, %ids outs(%init : tensor<16x64xf32>) : tensor<?x64xf32>, tensor<16xi32>
  // CHECK: kerf.rms_norm %{{.*}}, %{{.*}} eps {{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<4x64xf32>, tensor<64xf32>
  %c = kerf.rms_norm %a, %g eps 1.0e-6 outs(%init : tensor<16x64xf32>) : tensor<16x64xf32>, tensor<64xf32>
  // CHECK: kerf.rope_table %{{.*}}, %{{.*}} factor {{.*}} outs(%{{.*}} : tensor<4x32xf32>) : tensor<4xi32>, tensor<16xf32>
  %d = kerf.rope_table %ids, %f factor 1.0 outs(%angles : tensor<16x32xf32>) : tensor<16xi32>, tensor<16xf32>
  // CHECK: kerf.rope %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<4x64xf32>, tensor<4x32xf32>
  %e = kerf.rope %c, %d outs(%init : tensor<16x64xf32>) : tensor<16x64xf32>, tensor<16x32xf32>
  // CHECK: kerf.layer_norm %{{.*}}, %{{.*}}, %{{.*}} eps {{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<4x64xf32>, tensor<64xf32>, tensor<64xf32>
  %h = kerf.layer_norm %a, %g, %g eps 1.0e-5 outs(%init : tensor<16x64xf32>)
         : tensor<16x64xf32>, tensor<64xf32>, tensor<64xf32>
  // CHECK: kerf.pool mean %{{.*}}, %{{.*}}, %{{.*}} outs(%{{.*}} : tensor<4x64xf32>) : tensor<?x64xf32>, tensor<4xi32>, tensor<4xi32>
  %p = kerf.pool mean %x, %ids, %ids outs(%init : tensor<16x64xf32>) : tensor<?x64xf32>, tensor<16xi32>, tensor<16xi32>
  return %a, %b, %c, %d, %e, %h, %p
    : tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<16x32xf32>, tensor<16x64xf32>, tensor<16x64xf32>,
      tensor<16x64xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.embed", "kerf.select", "kerf.rms_norm", "kerf.rope_table", "kerf.rope",
                                               "kerf.layer_norm", "kerf.pool"]}
      in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [4]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A whole feed-forward block by rows: norm, gate and both products run in one loop, so that the activations of 4 rows
// live at a time instead of those of all rows.
// CHECK-LABEL: func.func @fused_block
func.func @fused_block(%x: tensor<?x64xf32>, %scale: tensor<64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>,
                       %down: tensor<64x96xf32>, %normed: tensor<?x64xf32>, %wide: tensor<?x96xf32>,
                       %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[LOOP:.*]] = scf.for
  // CHECK-NOT: scf.for
  // CHECK: %[[N:.*]] = kerf.rms_norm {{.*}} outs(%{{.*}} : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: %[[A:.*]] = kerf.gated_linear silu %[[N]]
  // CHECK: %[[Y:.*]] = kerf.linear %[[A]]
  // CHECK: tensor.insert_slice %[[Y]]
  // CHECK: return %[[LOOP]]
  %n = kerf.rms_norm %x, %scale eps 1.0e-6 outs(%normed : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<64xf32>
  %a = kerf.gated_linear silu %n, %g, %u outs(%wide : tensor<?x96xf32>)
         : tensor<?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>
  %y = kerf.linear %a, %down residual(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>)
         : tensor<?x96xf32>, tensor<64x96xf32>
  return %y : tensor<?x64xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.linear"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.fuse %op tile_sizes [4]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A norm under a sum that is cut by columns: its rows must stay whole, so it stays outside of that loop, silently.
// CHECK-NOT: error:
// CHECK-LABEL: func.func @norm_stays_whole
func.func @norm_stays_whole(%x: tensor<16x64xf32>, %scale: tensor<64xf32>, %init: tensor<16x64xf32>)
    -> tensor<16x64xf32> {
  // CHECK: kerf.rms_norm {{.*}} outs(%{{.*}} : tensor<16x64xf32>)
  // CHECK: scf.for
  // CHECK-NOT: kerf.rms_norm
  // CHECK: kerf.add {{.*}} outs(%{{.*}} : tensor<16x32xf32>)
  %n = kerf.rms_norm %x, %scale eps 1.0e-6 outs(%init : tensor<16x64xf32>) : tensor<16x64xf32>, tensor<64xf32>
  %y = kerf.add %n, %x outs(%init : tensor<16x64xf32>) : tensor<16x64xf32>, tensor<16x64xf32>
  return %y : tensor<16x64xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["kerf.add"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.fuse %op tile_sizes [0, 32]
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
