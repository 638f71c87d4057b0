// What may be folded into a linear, and what must be left alone: a fold that is wrong gives wrong numbers or computes
// a product twice.
// RUN: kerf-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(kerf-fuse-epilogues))' --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s --implicit-check-not=kerf.linear_rope_append
// RUN: kerf-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(kerf-fuse-epilogues{append}))' --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s --check-prefix=APPEND

// CHECK-LABEL: func.func @gate
// CHECK-SAME: (%[[X:[a-z0-9]+]]: {{.*}}, %[[G:[a-z0-9]+]]: tensor<96x64xbf16> {{.*}}, %[[U:[a-z0-9]+]]: tensor<96x64xbf16>
// CHECK-NOT: kerf.linear
// CHECK: %[[INIT:.*]] = tensor.empty(%{{.*}}) : tensor<?x96xbf16>
// CHECK: %[[Y:.*]] = kerf.gated_linear silu %[[X]], %[[G]], %[[U]] outs(%[[INIT]] : tensor<?x96xbf16>)
// CHECK-SAME: loc(fused["gate", "up", "mlp"])
// CHECK-NOT: kerf.gate
// CHECK: return %[[Y]]
func.func @gate(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %t: index) -> tensor<?x96xbf16> {
  %e0 = tensor.empty(%t) : tensor<?x96xf32>
  %a = kerf.linear %x, %g outs(%e0 : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16> loc("gate")
  %e1 = tensor.empty(%t) : tensor<?x96xf32>
  %b = kerf.linear %x, %u outs(%e1 : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16> loc("up")
  %e2 = tensor.empty(%t) : tensor<?x96xbf16>
  %y = kerf.gate silu %a, %b outs(%e2 : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32> loc("mlp")
  return %y : tensor<?x96xbf16>
}

// -----

// The order of the biases is the order of the weights.
// CHECK-LABEL: func.func @gate_biases
// CHECK-SAME: (%[[X:[a-z0-9]+]]: {{.*}}, %[[G:[a-z0-9]+]]: tensor<96x64xbf16> {{.*}}, %[[U:[a-z0-9]+]]: tensor<96x64xbf16> {{.*}}, %[[GB:[a-z0-9]+]]: tensor<96xf32> {{.*}}, %[[UB:[a-z0-9]+]]: tensor<96xf32>
// CHECK: kerf.gated_linear gelu %[[X]], %[[G]], %[[U]] bias(%[[GB]], %[[UB]] : tensor<96xf32>, tensor<96xf32>)
func.func @gate_biases(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %gb: tensor<96xf32>,
                       %ub: tensor<96xf32>, %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %b = kerf.linear %x, %u bias(%ub : tensor<96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %a = kerf.linear %x, %g bias(%gb : tensor<96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate gelu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// CHECK-LABEL: func.func @gate_of_different_inputs
// CHECK-COUNT-2: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_of_different_inputs(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %g: tensor<96x64xbf16>,
                                    %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %a = kerf.linear %x, %g outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x1, %g outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// CHECK-LABEL: func.func @gate_with_another_reader
// CHECK-COUNT-2: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_with_another_reader(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>,
                                    %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> (tensor<?x96xbf16>, tensor<?x96xf32>) {
  %a = kerf.linear %x, %g outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x, %u outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y, %a : tensor<?x96xbf16>, tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @gate_of_itself
// CHECK: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_of_itself(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %i: tensor<?x96xf32>,
                          %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %a = kerf.linear %x, %g outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %a outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// CHECK-LABEL: func.func @gate_weights_of_different_types
// CHECK-COUNT-2: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_weights_of_different_types(%x: tensor<?x64xf32>, %g: tensor<96x64xbf16>, %u: tensor<96x64xf16>,
                                           %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %g outs(%i : tensor<?x96xf32>) : tensor<?x64xf32>, tensor<96x64xbf16>
  %b = kerf.linear %x, %u outs(%i : tensor<?x96xf32>) : tensor<?x64xf32>, tensor<96x64xf16>
  %y = kerf.gate silu %a, %b outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @gate_with_one_bias
// CHECK-COUNT-2: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_with_one_bias(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %gb: tensor<96xf32>,
                              %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %a = kerf.linear %x, %g bias(%gb : tensor<96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x, %u outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// A residual of the gate's side would be lost: gated_linear has none.
// CHECK-LABEL: func.func @gate_of_a_residual
// CHECK: kerf.linear {{.*}} residual(
// CHECK: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_of_a_residual(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>, %r: tensor<?x96xf32>,
                              %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %a = kerf.linear %x, %g residual(%r : tensor<?x96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x, %u outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// CHECK-LABEL: func.func @residual
// CHECK-SAME: (%[[X:[a-z0-9]+]]: {{.*}}, %[[W:[a-z0-9]+]]: tensor<96x64xbf16> {{.*}}, %[[B:[a-z0-9]+]]: tensor<96xf32> {{.*}}, %[[R:[a-z0-9]+]]: tensor<?x96xf32> {{.*}}, %{{.*}}, %[[J:[a-z0-9]+]]: tensor<?x96xf32>
// CHECK-NEXT: %[[Y:.*]] = kerf.linear %[[X]], %[[W]] bias(%[[B]] : tensor<96xf32>) residual(%[[R]] : tensor<?x96xf32>) outs(%[[J]] : tensor<?x96xf32>)
// CHECK-SAME: loc(fused["down", "sum"])
// CHECK-NEXT: return %[[Y]]
func.func @residual(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<96xf32>, %r: tensor<?x96xf32>,
                    %i: tensor<?x96xf32>, %j: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w bias(%b : tensor<96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16> loc("down")
  %y = kerf.add %r, %a outs(%j : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32> loc("sum")
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @residual_on_the_right
// CHECK-SAME: %[[R:[a-z0-9]+]]: tensor<?x96xf32>
// CHECK: kerf.linear {{.*}} residual(%[[R]] : tensor<?x96xf32>)
// CHECK-NOT: kerf.add
func.func @residual_on_the_right(%r: tensor<?x96xf32>, %x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>,
                                 %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.add %a, %r outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// Only one of two linears can take the sum; the other stays and is the residual.
// CHECK-LABEL: func.func @residual_is_a_linear
// CHECK: %[[A:.*]] = kerf.linear %{{[^ ]*}}, %{{[^ ]*}} outs
// CHECK: kerf.linear {{.*}} residual(%[[A]] : tensor<?x96xf32>)
// CHECK-NOT: kerf.add
func.func @residual_is_a_linear(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %v: tensor<96x64xbf16>,
                                %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x, %v outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.add %a, %b outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @residual_already_present
// CHECK: kerf.linear {{.*}} residual(
// CHECK: kerf.add
func.func @residual_already_present(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %r: tensor<?x96xf32>,
                                    %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w residual(%r : tensor<?x96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.add %r, %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @residual_with_another_reader
// CHECK: %[[A:.*]] = kerf.linear %{{[^ ]*}}, %{{[^ ]*}} outs
// CHECK: %[[Y:.*]] = kerf.add %{{.*}}, %[[A]]
// CHECK: return %[[Y]], %[[A]]
func.func @residual_with_another_reader(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %r: tensor<?x96xf32>,
                                        %i: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.add %r, %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y, %a : tensor<?x96xf32>, tensor<?x96xf32>
}

// -----

// Twice the same linear is two readers of it.
// CHECK-LABEL: func.func @doubled
// CHECK: %[[A:.*]] = kerf.linear %{{[^ ]*}}, %{{[^ ]*}} outs
// CHECK: kerf.add %[[A]], %[[A]]
func.func @doubled(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.add %a, %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// The activation comes behind the bias and rounds once.
// CHECK-LABEL: func.func @activation
// CHECK-SAME: (%[[X:[a-z0-9]+]]: {{.*}}, %[[W:[a-z0-9]+]]: tensor<96x64xbf16> {{.*}}, %[[B:[a-z0-9]+]]: tensor<96xf32>
// CHECK: %[[INIT:.*]] = tensor.empty(%{{.*}}) : tensor<?x96xbf16>
// CHECK: %[[Y:.*]] = kerf.linear %[[X]], %[[W]] bias(%[[B]] : tensor<96xf32>) activation gelu_tanh outs(%[[INIT]] : tensor<?x96xbf16>)
// CHECK-SAME: loc(fused["up", "mlp"])
// CHECK-NOT: kerf.activation
// CHECK: return %[[Y]]
func.func @activation(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %b: tensor<96xf32>, %t: index) -> tensor<?x96xbf16> {
  %e0 = tensor.empty(%t) : tensor<?x96xf32>
  %a = kerf.linear %x, %w bias(%b : tensor<96xf32>) outs(%e0 : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16> loc("up")
  %e1 = tensor.empty(%t) : tensor<?x96xbf16>
  %y = kerf.activation gelu_tanh %a outs(%e1 : tensor<?x96xbf16>) : tensor<?x96xf32> loc("mlp")
  return %y : tensor<?x96xbf16>
}

// -----

// A residual comes behind the activation.
// CHECK-LABEL: func.func @activation_and_residual
// CHECK: kerf.linear {{.*}} activation relu residual(%{{.*}} : tensor<?x96xf32>) outs
// CHECK-NOT: kerf.add
func.func @activation_and_residual(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %r: tensor<?x96xf32>,
                                   %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.activation relu %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>
  %y = kerf.add %r, %b outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// A function of the sum with the residual is none that a linear has.
// CHECK-LABEL: func.func @activation_of_a_residual
// CHECK: kerf.linear {{.*}} residual(
// CHECK: kerf.activation relu
func.func @activation_of_a_residual(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %r: tensor<?x96xf32>,
                                    %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w residual(%r : tensor<?x96xf32>) outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.activation relu %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @two_activations
// CHECK: kerf.linear {{.*}} activation gelu outs
// CHECK: kerf.activation relu
func.func @two_activations(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>, %i: tensor<?x96xf32>) -> tensor<?x96xf32> {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.activation gelu %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>
  %y = kerf.activation relu %b outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

// CHECK-LABEL: func.func @activation_with_another_reader
// CHECK: %[[A:.*]] = kerf.linear %{{[^ ]*}}, %{{[^ ]*}} outs
// CHECK: kerf.activation gelu %[[A]]
func.func @activation_with_another_reader(%x: tensor<?x64xbf16>, %w: tensor<96x64xbf16>,
                                          %i: tensor<?x96xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  %a = kerf.linear %x, %w outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.activation gelu %a outs(%i : tensor<?x96xf32>) : tensor<?x96xf32>
  return %y, %a : tensor<?x96xf32>, tensor<?x96xf32>
}

// -----

// The gate's side has an activation already, which gated_linear would lose.
// CHECK-LABEL: func.func @gate_of_an_activation
// CHECK: kerf.linear {{.*}} activation relu outs
// CHECK: kerf.linear
// CHECK: kerf.gate silu
func.func @gate_of_an_activation(%x: tensor<?x64xbf16>, %g: tensor<96x64xbf16>, %u: tensor<96x64xbf16>,
                                 %i: tensor<?x96xf32>, %j: tensor<?x96xbf16>) -> tensor<?x96xbf16> {
  %a = kerf.linear %x, %g activation relu outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %b = kerf.linear %x, %u outs(%i : tensor<?x96xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  %y = kerf.gate silu %a, %b outs(%j : tensor<?x96xbf16>) : tensor<?x96xf32>, tensor<?x96xf32>
  return %y : tensor<?x96xbf16>
}

// -----

// Only for targets that have a kernel for it.
// CHECK-LABEL: func.func @append
// CHECK: kerf.linear
// CHECK: kerf.rope_append
// APPEND-LABEL: func.func @append
// APPEND-SAME: (%[[X:[a-z0-9]+]]: {{.*}}, %[[W:[a-z0-9]+]]: tensor<64x16xbf16> {{.*}}, %[[B:[a-z0-9]+]]: tensor<64xf32> {{.*}}, %[[T:[a-z0-9]+]]: tensor<?x8xf32> {{.*}}, %[[BATCH:[a-z0-9]+]]: !kerf.batch {{.*}}, %[[C0:[a-z0-9]+]]: !kerf.cache
// APPEND-NOT: kerf.linear
// APPEND: %[[INIT:.*]] = tensor.empty(%{{.*}}) : tensor<?x32xbf16>
// APPEND: %[[Q:.*]], %[[C1:.*]] = kerf.linear_rope_append %[[X]], %[[W]], %[[BATCH]] to %[[C0]] group @kv plane 1 bias(%[[B]] : tensor<64xf32>) table(%[[T]] : tensor<?x8xf32>) outs(%[[INIT]] : tensor<?x32xbf16>)
// APPEND-SAME: loc(fused["qkv", "append"])
// APPEND-NOT: kerf.rope_append
// APPEND: return %[[Q]], %[[C1]]
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @append(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %b: tensor<64xf32>, %table: tensor<?x8xf32>,
                  %batch: !kerf.batch, %c0: !kerf.cache, %t: index) -> (tensor<?x32xbf16>, !kerf.cache) {
  %e0 = tensor.empty(%t) : tensor<?x64xf32>
  %y = kerf.linear %x, %w bias(%b : tensor<64xf32>) outs(%e0 : tensor<?x64xf32>)
         : tensor<?x16xbf16>, tensor<64x16xbf16> loc("qkv")
  %e1 = tensor.empty(%t) : tensor<?x32xbf16>
  %q, %c1 = kerf.rope_append %y, %batch to %c0 group @kv plane 1 table(%table : tensor<?x8xf32>) eps 1.0e-6
              outs(%e1 : tensor<?x32xbf16>) : tensor<?x64xf32> loc("append")
  return %q, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// APPEND-LABEL: func.func @append_without_rotation
// APPEND: kerf.linear_rope_append %{{.*}}, %{{.*}}, %{{.*}} to %{{.*}} group @kv plane 0 outs(
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @append_without_rotation(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %batch: !kerf.batch,
                                   %c0: !kerf.cache, %i: tensor<?x64xf32>, %j: tensor<?x32xbf16>) -> tensor<?x32xbf16> {
  %y = kerf.linear %x, %w outs(%i : tensor<?x64xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  %q, %c1 = kerf.rope_append %y, %batch to %c0 group @kv plane 0 eps 1.0e-6
              outs(%j : tensor<?x32xbf16>) : tensor<?x64xf32>
  return %q : tensor<?x32xbf16>
}

// -----

// A norm needs the whole head.
// APPEND-LABEL: func.func @append_with_norms
// APPEND: kerf.linear
// APPEND: kerf.rope_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @append_with_norms(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %g: tensor<8xf32>, %batch: !kerf.batch,
                             %c0: !kerf.cache, %i: tensor<?x64xf32>, %j: tensor<?x32xbf16>) -> tensor<?x32xbf16> {
  %y = kerf.linear %x, %w outs(%i : tensor<?x64xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  %q, %c1 = kerf.rope_append %y, %batch to %c0 group @kv plane 0 scales(%g, %g : tensor<8xf32>, tensor<8xf32>)
              eps 1.0e-6 outs(%j : tensor<?x32xbf16>) : tensor<?x64xf32>
  return %q : tensor<?x32xbf16>
}

// -----

// APPEND-LABEL: func.func @append_of_what_others_read
// APPEND: kerf.linear
// APPEND: kerf.rope_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @append_of_what_others_read(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %batch: !kerf.batch,
    %c0: !kerf.cache, %i: tensor<?x64xf32>, %j: tensor<?x32xbf16>) -> (tensor<?x32xbf16>, tensor<?x64xf32>) {
  %y = kerf.linear %x, %w outs(%i : tensor<?x64xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  %q, %c1 = kerf.rope_append %y, %batch to %c0 group @kv plane 0 eps 1.0e-6
              outs(%j : tensor<?x32xbf16>) : tensor<?x64xf32>
  return %q, %y : tensor<?x32xbf16>, tensor<?x64xf32>
}

// -----

// APPEND-LABEL: func.func @append_of_activated
// APPEND: kerf.linear {{.*}} activation
// APPEND: kerf.rope_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
func.func @append_of_activated(%x: tensor<?x16xbf16>, %w: tensor<64x16xbf16>, %batch: !kerf.batch,
    %c0: !kerf.cache, %i: tensor<?x64xf32>, %j: tensor<?x32xbf16>) -> tensor<?x32xbf16> {
  %y = kerf.linear %x, %w activation relu outs(%i : tensor<?x64xf32>) : tensor<?x16xbf16>, tensor<64x16xbf16>
  %q, %c1 = kerf.rope_append %y, %batch to %c0 group @kv plane 0 eps 1.0e-6
              outs(%j : tensor<?x32xbf16>) : tensor<?x64xf32>
  return %q : tensor<?x32xbf16>
}
