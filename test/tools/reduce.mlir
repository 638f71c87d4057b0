// A module is cut down to what a script finds interesting: here, any gate.
// RUN: kerf-reduce %s -reduction-tree='traversal-mode=0 test=%S/Inputs/has-gate.sh' | FileCheck %s

// CHECK-NOT: func.func @uninteresting
// CHECK: func.func @interesting
// CHECK: kerf.gate
func.func @uninteresting(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = kerf.add %x, %x outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
func.func @interesting(%x: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = kerf.gate silu %x, %x outs(%init : tensor<?x8xf32>) : tensor<?x8xf32>, tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
