// What attributes refuse. Each case is one attribute, on an op that does not look at it.
// RUN: kerf-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect

// expected-error@below {{dense format must store f32, f16 or bf16, got 'i8'}}
"test.dense"() {a = #kerf.dense<i8>} : () -> ()

// -----

// expected-error@below {{format must be a list of terms such as #kerf.dense<bf16>, got 4 : i64}}
"test.format"() {a = #kerf.format<4 : i64>} : () -> ()

// -----

// expected-error@below {{concat must have at least two parts, got 1}}
"test.concat"() {a = #kerf.concat<0, #kerf.take<"a" : tensor<2x3xf32>>>} : () -> ()

// -----

// expected-error@below {{concat must join source expressions, got "b"}}
"test.concat"() {a = #kerf.concat<0, #kerf.take<"a" : tensor<2x3xf32>>, "b">} : () -> ()

// -----

// expected-error@below {{concat axis must be in [0, 2), got 2}}
"test.concat"() {a = #kerf.concat<2, #kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<2x3xf32>>>} : () -> ()

// -----

// expected-error@below {{concat parts must have the same rank, got #kerf.take<"b" : tensor<2xf32>>}}
"test.concat"() {a = #kerf.concat<0, #kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<2xf32>>>} : () -> ()

// -----

// expected-error@below {{concat parts must agree in element type and in all axes but 0, got #kerf.take<"b" : tensor<2x4xf32>>}}
"test.concat"() {a = #kerf.concat<0, #kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<2x4xf32>>>} : () -> ()

// -----

// expected-error@below {{concat parts must agree in element type and in all axes but 1, got #kerf.take<"b" : tensor<2x4xf16>>}}
"test.concat"() {a = #kerf.concat<1, #kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<2x4xf16>>>} : () -> ()

// -----

// expected-error@below {{slice must apply to a source expression, got "a"}}
"test.slice"() {a = #kerf.slice<0, 0, 1, "a">} : () -> ()

// -----

// expected-error@below {{slice axis must be in [0, 2), got 2}}
"test.slice"() {a = #kerf.slice<2, 0, 1, #kerf.take<"a" : tensor<2x3xf32>>>} : () -> ()

// -----

// expected-error@below {{slice must be a range inside [0, 3), got [1, 4)}}
"test.slice"() {a = #kerf.slice<1, 1, 4, #kerf.take<"a" : tensor<2x3xf32>>>} : () -> ()

// -----

// expected-error@below {{slice must be a range inside [0, 2), got [1, 1)}}
"test.slice"() {a = #kerf.slice<0, 1, 1, #kerf.take<"a" : tensor<2x3xf32>>>} : () -> ()

// -----

// expected-error@below {{sum must be of two matrices of floats, got #kerf.take<"b" : tensor<3xf32>>}}
"test.sum"() {a = #kerf.sum<#kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<3xf32>>>} : () -> ()

// -----

// expected-error@below {{sum must add one row of 3 columns, got #kerf.take<"b" : tensor<2x3xf16>>}}
"test.sum"() {a = #kerf.sum<#kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<2x3xf16>>>} : () -> ()

// -----

// expected-error@below {{sum must add one row of 3 columns, got #kerf.take<"b" : tensor<1x4xf32>>}}
"test.sum"() {a = #kerf.sum<#kerf.take<"a" : tensor<2x3xf32>>, #kerf.take<"b" : tensor<1x4xf32>>>} : () -> ()

// -----

// expected-error@below {{transpose must apply to a matrix, got #kerf.take<"a" : tensor<3xf32>>}}
"test.transpose"() {a = #kerf.transpose<#kerf.take<"a" : tensor<3xf32>>>} : () -> ()

// -----

// expected-error@below {{transpose must apply to a matrix, got "a"}}
"test.transpose"() {a = #kerf.transpose<"a">} : () -> ()

// -----

// expected-error@below {{literal must have at most 4096 elements, got 4097; larger tensors belong in the checkpoint}}
"test.literal"() {a = #kerf.literal<dense<1.0> : tensor<4097xf32>>} : () -> ()

// -----

// expected-error@below {{size must have at most 7 coefficients, got 8}}
"test.size"() {a = #kerf.size<1, 2, 3, 4, 5, 6, 7, 8>} : () -> ()

// -----

// expected-error@below {{size coefficients must not be negative}}
"test.size"() {a = #kerf.size<0, -1>} : () -> ()

// -----

// A weight's source must be an expression; this one is a string.
// expected-error@below {{custom op 'kerf.weight' invalid kind of attribute specified}}
kerf.weight @w : tensor<4xf32> format <#kerf.dense<f32>> source "w"

// -----

// A checkpoint tensor with an unknown axis has no bytes to take.
// expected-error@below {{take must have a static shape, got 'tensor<?x4xf32>'}}
"test.take"() {a = #kerf.take<"a" : tensor<?x4xf32>>} : () -> ()

// -----

// expected-error@below {{take must have fewer than 2^48 elements, got 'tensor<4294967296x4294967296xf32>'}}
"test.take"() {a = #kerf.take<"a" : tensor<4294967296x4294967296xf32>>} : () -> ()

// -----

// expected-error@below {{window must have 1 to 2147483646 positions, got 0}}
"test.op"() {x = #kerf.window<0>} : () -> ()

// -----

// expected-error@below {{window must have 1 to 2147483646 positions, got 2147483647}}
"test.op"() {x = #kerf.window<2147483647>} : () -> ()

// -----

// expected-error@below {{work must have a mask such as #kerf.causal, got "causal"}}
"test.op"() {x = #kerf.work<@kv, "causal">} : () -> ()

// -----

// expected-error@below {{result must have at least one column, got 0}}
"test.op"() {x = #kerf.result<logits, 0>} : () -> ()

// -----

// expected-error@below {{tokens must have one column, got 8}}
"test.op"() {x = #kerf.result<tokens, 8>} : () -> ()

// -----

// launch_c1
// expected-error@below {{launch must have its least rows at or below its most, got 9 to 8}}
"test.op"() {x = #kerf.launch<"f", rows 9 to 8, always, order 0, tile 1, columns 1, threads 32, shared 0>} : () -> ()

// -----

// launch_c1
// expected-error@below {{launch must have a positive tile and columns, got 0 and 1}}
"test.op"() {x = #kerf.launch<"f", rows 1 to 8, always, order 0, tile 0, columns 1, threads 32, shared 0>} : () -> ()

// -----

// launch_c1
// expected-error@below {{launch must have a multiple of 32 threads up to 1024, got 33}}
"test.op"() {x = #kerf.launch<"f", rows 1 to 8, always, order 0, tile 1, columns 1, threads 33, shared 0>} : () -> ()

// -----

// launch_c1
// expected-error@below {{launch must not have negative shared memory, got -1}}
"test.op"() {x = #kerf.launch<"f", rows 1 to 8, always, order 0, tile 1, columns 1, threads 32, shared -1>} : () -> ()

// -----

// launch_c1
// expected-error@below {{launch must not have a negative order, got -1}}
"test.op"() {x = #kerf.launch<"f", rows 1 to 8, always, order -1, tile 1, columns 1, threads 32, shared 0>} : () -> ()
