// A module is cut down to what a script finds interesting: here, any gate.
// RUN: kerf-reduce %s -reduction-tree='traversal-mode=0 test=%S/Inputs/has-gate.sh' | FileCheck %s
// RUN: kerf-reduce -reduction-tree='traversal-mode=0 test=%S/Inputs/has-gate.sh' -o %t.mlir < %s && FileCheck %s --input-file=%t.mlir
// RUN: not kerf-reduce %s.absent 2>&1 | FileCheck %s --check-prefix=ABSENT
// RUN: echo "module {" | not kerf-reduce 2>&1 | FileCheck %s --check-prefix=INVALID
// RUN: not kerf-reduce %s -reduction-tree='traversal-mode=0 test=true' -o %t.absent/x 2>&1 | FileCheck %s --check-prefix=OUTPUT
// ABSENT: error: could not open input file {{.*}}reduce.mlir.absent: No such file or directory
// INVALID: <stdin>:1:9: error: expected operation name
// OUTPUT: error: cannot open output file

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
