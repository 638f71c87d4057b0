// Slots: values whose lives overlap never share one, values whose lives do not overlap do, and a slot is as long as its
// longest user at every extent.
// RUN: kerf-opt %s --split-input-file --kerf-plan-memory | FileCheck %s

// Each sum is read by the next one only, so two slots take turns; the last goes to the caller.
// CHECK-LABEL: func.func @chain
// CHECK-NOT: tensor.empty
// CHECK: %[[A:.*]] = kerf.slot [[S0:[0-9]+]]({{.*}}) size <0, 256>
// CHECK: kerf.embed {{.*}} outs(%[[A]] :
// CHECK: %[[B:.*]] = kerf.slot [[S1:[0-9]+]]({{.*}}) size <0, 256>
// CHECK: kerf.add {{.*}} outs(%[[B]] :
// CHECK: %[[C:.*]] = kerf.slot [[S0]]({{.*}}) size <0, 256>
// CHECK: kerf.add {{.*}} outs(%[[C]] :
// CHECK: %[[D:.*]] = kerf.slot [[S1]]({{.*}}) size <0, 256>
// CHECK: kerf.add {{.*}} outs(%[[D]] :
// CHECK: %[[R:.*]] = kerf.result 0({{.*}})
// CHECK: kerf.select {{.*}} outs(%[[R]] :
// CHECK-NOT: kerf.slot
kerf.weight @table : tensor<32x64xf32> format <#kerf.dense<f32>> source #kerf.take<"t" : tensor<32x64xf32>>
func.func @chain(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x64xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %table = kerf.get_weight @table : tensor<32x64xf32>
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %x0 = kerf.embed %ids, %table outs(%e : tensor<?x64xf32>) : tensor<?xi32>, tensor<32x64xf32>
  %x1 = kerf.add %x0, %x0 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %x2 = kerf.add %x1, %x1 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %x3 = kerf.add %x2, %x2 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %r = kerf.extent logit_rows of %batch
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %o = tensor.empty(%r) : tensor<?x64xf32>
  %y = kerf.select %x3, %rows outs(%o : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  return %y, %cache : tensor<?x64xf32>, !kerf.cache
}

// -----

// x0 is read at the end again: its slot may not be taken in between, though x1 to x3 come and go.
// CHECK-LABEL: func.func @overlap
// CHECK: kerf.slot [[S0:[0-9]+]](
// CHECK: %[[X0:.*]] = kerf.embed
// CHECK: kerf.slot [[S1:[0-9]+]](
// CHECK-NOT: kerf.slot [[S0]](
// CHECK: %[[X1:.*]] = kerf.add %[[X0]], %[[X0]]
// CHECK-NOT: kerf.slot [[S0]](
// CHECK-NOT: kerf.slot [[S1]](
// CHECK: kerf.slot [[S2:[0-9]+]](
// CHECK: %[[X2:.*]] = kerf.add %[[X1]], %[[X1]]
// CHECK-NOT: kerf.slot [[S0]](
// CHECK: kerf.slot [[S1]](
// CHECK: %[[X3:.*]] = kerf.add %[[X2]], %[[X2]]
// CHECK-NOT: kerf.slot [[S0]](
// CHECK: kerf.slot [[S2]](
// CHECK: kerf.add %[[X3]], %[[X0]]
kerf.weight @table : tensor<32x64xf32> format <#kerf.dense<f32>> source #kerf.take<"t" : tensor<32x64xf32>>
func.func @overlap(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x64xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %table = kerf.get_weight @table : tensor<32x64xf32>
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %x0 = kerf.embed %ids, %table outs(%e : tensor<?x64xf32>) : tensor<?xi32>, tensor<32x64xf32>
  %x1 = kerf.add %x0, %x0 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %x2 = kerf.add %x1, %x1 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %x3 = kerf.add %x2, %x2 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %x4 = kerf.add %x3, %x0 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %r = kerf.extent logit_rows of %batch
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %o = tensor.empty(%r) : tensor<?x64xf32>
  %y = kerf.select %x4, %rows outs(%o : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  return %y, %cache : tensor<?x64xf32>, !kerf.cache
}

// -----

// Layers are inlined, one into the other, and lives go on through them: %x is read after the layer that yields it too.
// CHECK-LABEL: func.func @layers
// CHECK-NOT: kerf.layer
// CHECK: kerf.slot [[S0:[0-9]+]](
// CHECK: %[[X:.*]] = kerf.embed
// CHECK: kerf.slot [[S1:[0-9]+]](
// CHECK: %[[Y:.*]] = kerf.add %[[X]], %[[X]]
// CHECK-NOT: kerf.slot [[S0]](
// CHECK-NOT: kerf.slot [[S1]](
// CHECK: kerf.slot [[S2:[0-9]+]](
// CHECK: kerf.add %[[X]], %[[Y]]
// CHECK-NOT: kerf.yield
kerf.weight @table : tensor<32x64xf32> format <#kerf.dense<f32>> source #kerf.take<"t" : tensor<32x64xf32>>
func.func @layers(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x64xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %table = kerf.get_weight @table : tensor<32x64xf32>
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %x = kerf.embed %ids, %table outs(%e : tensor<?x64xf32>) : tensor<?xi32>, tensor<32x64xf32>
  %a, %b = kerf.layer 0 (%h = %x : tensor<?x64xf32>) -> tensor<?x64xf32>, tensor<?x64xf32> {
    %y = kerf.layer 1 (%g = %h : tensor<?x64xf32>) -> tensor<?x64xf32> {
      %e0 = tensor.empty(%t) : tensor<?x64xf32>
      %z = kerf.add %g, %g outs(%e0 : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
      kerf.yield %z : tensor<?x64xf32>
    }
    kerf.yield %h, %y : tensor<?x64xf32>, tensor<?x64xf32>
  }
  %s = kerf.add %a, %b outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %r = kerf.extent logit_rows of %batch
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %o = tensor.empty(%r) : tensor<?x64xf32>
  %y = kerf.select %s, %rows outs(%o : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  return %y, %cache : tensor<?x64xf32>, !kerf.cache
}
