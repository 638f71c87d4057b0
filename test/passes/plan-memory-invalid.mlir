// What cannot be planned.
// RUN: kerf-opt %s --split-input-file --verify-diagnostics --kerf-plan-memory

func.func @destination_from_outside(%batch: !kerf.batch, %x: tensor<?x64xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@below {{destination must be a tensor.empty to be planned, got <block argument>}}
  %y = kerf.add %x, %x outs(%init : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @destination_in_use(%batch: !kerf.batch, %x: tensor<?x64xf32>, %t: index) -> tensor<?x64xf32> {
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %y = kerf.add %x, %x outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  // expected-error@below {{destination must be a tensor.empty to be planned, got %}}
  %z = kerf.add %x, %x outs(%y : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// expected-error@below {{must be straight-line code to be planned, got several blocks}}
func.func @several_blocks(%batch: !kerf.batch, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  cf.br ^next
^next:
  return %x : tensor<?x64xf32>
}

// -----

// The sum would have to lie in a slot, to be read, and with the caller.
func.func @output_that_is_read(%batch: !kerf.batch, %x: tensor<?x64xf32>, %t: index) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %y = kerf.add %x, %x outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %z = kerf.add %y, %y outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  // expected-error@below {{output 0 must be written by an op and read by nothing else to be planned, got %}}
  return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

func.func @output_twice(%batch: !kerf.batch, %x: tensor<?x64xf32>, %t: index) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %e = tensor.empty(%t) : tensor<?x64xf32>
  %y = kerf.add %x, %x outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  // expected-error@below {{output 0 must be written by an op and read by nothing else to be planned, got %}}
  return %y, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

func.func @output_that_nothing_wrote(%batch: !kerf.batch, %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error@below {{output 0 must be written by an op and read by nothing else to be planned, got <block argument>}}
  return %x : tensor<?x64xf32>
}
