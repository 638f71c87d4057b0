// Bytes and operations of each op as linear forms over the extents of a step, and their sums.
// RUN: kerf-opt %s --kerf-print-costs -o /dev/null 2>&1 | FileCheck %s
// RUN: kerf-opt %s --kerf-print-costs=per-op=false -o /dev/null 2>&1 | FileCheck %s --check-prefix=TOTALS
// RUN: kerf-opt %s --kerf-print-costs='per-op=false tokens=10 sequences=3 past=100' -o /dev/null 2>&1 | FileCheck %s --check-prefix=STEP
// RUN: not kerf-opt %s --kerf-print-costs='tokens=10 sequences=0' -o /dev/null 2>&1 | FileCheck %s --check-prefix=RANGE

// RANGE: error: kerf-print-costs: sequences and attention-tile must be positive

// Bytes that the package keeps, by format: 64*64 + 64*64 bf16 and 64 + 16 f32.
// CHECK: weights #kerf.format<#kerf.dense<bf16>>: 2, 16384 bytes
// CHECK-NEXT: weights #kerf.format<#kerf.dense<f32>>: 2, 320 bytes
// 2 (keys and values) * 2 planes * 2 heads * 16 * 2 bytes.
// CHECK-NEXT: kv_group @kv: 256 bytes for each position
kerf.weight @table : tensor<64x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"t" : tensor<64x64xbf16>>
kerf.weight @w : tensor<64x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"w" : tensor<64x64xbf16>>
kerf.weight @g : tensor<64xf32> format <#kerf.dense<f32>> source #kerf.take<"g" : tensor<64xf32>>
kerf.weight @f : tensor<16xf32> format <#kerf.dense<f32>> source #kerf.take<"f" : tensor<16xf32>>
kerf.kv_group @kv planes 2 heads 2 head_dim 16 page_size 16 element bf16

// CHECK-LABEL: program @step
// TOTALS-LABEL: program @step
// STEP-LABEL: program @step
func.func @step(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x64xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %r = kerf.extent logit_rows of %batch
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
  %table = kerf.get_weight @table : tensor<64x64xbf16>
  %e0 = tensor.empty(%t) : tensor<?x64xf32>
  // A row of the table (128 bytes) is read and a row of f32 (256) written for each token, whose id has 4 bytes.
  // CHECK-NEXT: kerf.embed: bytes 388*tokens, operations 0
  %x = kerf.embed %ids, %table outs(%e0 : tensor<?x64xf32>) : tensor<?xi32>, tensor<64x64xbf16>
  // CHECK-NEXT: layer 7
  // TOTALS-NEXT: layer 7
  // STEP-NEXT: layer 7
  %y, %cache1 = kerf.layer 7 (%h = %x : tensor<?x64xf32>, %c = %cache : !kerf.cache)
      -> tensor<?x64xf32>, !kerf.cache {
    %g = kerf.get_weight @g : tensor<64xf32>
    %w = kerf.get_weight @w : tensor<64x64xbf16>
    %work = kerf.work_list of %batch group @kv mask #kerf.causal
    %e1 = tensor.empty(%t) : tensor<?x64xbf16>
    // CHECK-NEXT: kerf.rms_norm: bytes 256 + 384*tokens, operations 256*tokens
    %n = kerf.rms_norm %h, %g eps 1.0e-6 outs(%e1 : tensor<?x64xbf16>) : tensor<?x64xf32>, tensor<64xf32>
    %e2 = tensor.empty(%t) : tensor<?x64xf32>
    // The weight once, however many rows there are; a multiplication and an addition for each of its elements and row.
    // CHECK-NEXT: kerf.linear: bytes 8192 + 384*tokens, operations 8192*tokens
    %q = kerf.linear %n, %w outs(%e2 : tensor<?x64xf32>) : tensor<?x64xbf16>, tensor<64x64xbf16>
    %k = tensor.extract_slice %q[0, 0] [%t, 32] [1, 1] : tensor<?x64xf32> to tensor<?x32xf32>
    // Read twice 32 f32, written twice 32 bf16.
    // CHECK-NEXT: kerf.kv_append: bytes 384*tokens, operations 0
    %c1 = kerf.kv_append %k, %k, %batch to %c group @kv plane 1 : tensor<?x32xf32>, tensor<?x32xf32>
    // Queries and result by row, keys and values of one plane by cached position, products by attended key.
    // CHECK-NEXT: kerf.attention: bytes 512*tokens + 128*cached, operations 256*attended
    %o = kerf.attention %q, %work, %c1 group @kv plane 1 scale 0.25 outs(%e2 : tensor<?x64xf32>) : tensor<?x64xf32>
    // CHECK-NEXT: total: bytes 8448 + 1664*tokens + 128*cached, operations 8448*tokens + 256*attended
    // CHECK-NEXT: not counted: tensor.extract_slice (1)
    // TOTALS-NEXT: total: bytes 8448 + 1664*tokens + 128*cached, operations 8448*tokens + 256*attended
    // TOTALS-NEXT: not counted: tensor.extract_slice (1)
    // 3, 3 and 4 rows after 100 keys: attended 306 + 306 + 410, cached 103 + 103 + 104.
    // STEP-NEXT: = 64768 bytes, 346112 operations, 5.34 operations/byte
    kerf.yield %o, %c1 : tensor<?x64xf32>, !kerf.cache
  }
  %e3 = tensor.empty(%r) : tensor<?x64xf32>
  // What follows runs on the rows that want logits only.
  // CHECK-NEXT: kerf.select: bytes 516*logit_rows, operations 0
  %z = kerf.select %y, %rows outs(%e3 : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>
  %w = kerf.get_weight @w : tensor<64x64xbf16>
  // CHECK-NEXT: kerf.linear: bytes 8192 + 512*logit_rows, operations 8192*logit_rows
  %logits = kerf.linear %z, %w outs(%e3 : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<64x64xbf16>
  // CHECK-NEXT: total: bytes 16640 + 2052*tokens + 1028*logit_rows + 128*cached, operations 8448*tokens + 8192*logit_rows + 256*attended
  // CHECK-NEXT: not counted: tensor.extract_slice (1)
  return %logits, %cache1 : tensor<?x64xf32>, !kerf.cache
}

// The remaining ops, and a layer's result of fewer rows than its input: what reads it counts those.
// CHECK-LABEL: program @others
func.func @others(%batch: !kerf.batch, %qkv: tensor<?x96xf32>, %a: tensor<?x32xf32>, %lse: tensor<?x2xf32>,
                  %cache: !kerf.cache) -> (tensor<?x32xf32>, tensor<?x32xf32>, !kerf.cache) {
  %t = kerf.extent tokens of %batch
  %r = kerf.extent logit_rows of %batch
  %positions = kerf.batch_field positions of %batch : tensor<?xi32>
  %f = kerf.get_weight @f : tensor<16xf32>
  %w = kerf.get_weight @w : tensor<64x64xbf16>
  %e = tensor.empty(%t) : tensor<?x32xf32>
  // 4 + 64 + 128, and 3 operations for each of 16 angles.
  // CHECK-NEXT: kerf.rope_table: bytes 64 + 132*tokens, operations 48*tokens
  %table = kerf.rope_table %positions, %f factor 1.0 outs(%e : tensor<?x32xf32>) : tensor<?xi32>, tensor<16xf32>
  // CHECK-NEXT: kerf.rope: bytes 384*tokens, operations 96*tokens
  %q = kerf.rope %a, %table outs(%e : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?x32xf32>
  %narrow = tensor.empty(%t) : tensor<?x16xf32>
  // CHECK-NEXT: kerf.rope_table: bytes 32 + 68*tokens, operations 24*tokens
  %f8 = tensor.empty() : tensor<8xf32>
  %table16 = kerf.rope_table %positions, %f8 factor 1.0 outs(%narrow : tensor<?x16xf32>) : tensor<?xi32>, tensor<8xf32>
  // CHECK-NEXT: kerf.rope_append: bytes 704*tokens, operations 288*tokens
  %q2, %c1 = kerf.rope_append %qkv, %batch to %cache group @kv plane 0 table(%table16 : tensor<?x16xf32>) eps 1.0e-6
               outs(%e : tensor<?x32xf32>) : tensor<?x96xf32>
  // Weights of 96 x 64 bf16 and 96 biases; a row of 64 bf16, 32 features of queries, and as before.
  // CHECK-NEXT: kerf.linear_rope_append: bytes 12672 + 448*tokens, operations 12576*tokens
  %narrowed = tensor.empty(%t) : tensor<?x64xbf16>
  %all = tensor.empty() : tensor<96x64xbf16>
  %biases = tensor.empty() : tensor<96xf32>
  %q3, %c2 = kerf.linear_rope_append %narrowed, %all, %batch to %c1 group @kv plane 0 bias(%biases : tensor<96xf32>)
               table(%table16 : tensor<?x16xf32>) outs(%e : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<96x64xbf16>
  // CHECK-NEXT: kerf.gate: bytes 384*tokens, operations 64*tokens
  %g = kerf.gate silu %q, %q2 outs(%e : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?x32xf32>
  %gain = tensor.empty() : tensor<32xf32>
  // A row of f32 read and one written, 128 bytes of scale and of bias.
  // CHECK-NEXT: kerf.layer_norm: bytes 256 + 256*tokens, operations 224*tokens
  %n = kerf.layer_norm %g, %gain, %gain eps 1.0e-5 outs(%e : tensor<?x32xf32>)
         : tensor<?x32xf32>, tensor<32xf32>, tensor<32xf32>
  // CHECK-NEXT: kerf.activation: bytes 256*tokens, operations 32*tokens
  %v = kerf.activation gelu %n outs(%e : tensor<?x32xf32>) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.attention_merge: bytes 408*tokens, operations 96*tokens
  %m, %l = kerf.attention_merge %v, %lse, %a, %lse outs(%e : tensor<?x32xf32>) lse(%lse : tensor<?x2xf32>)
             : tensor<?x32xf32>, tensor<?x2xf32>, tensor<?x32xf32>, tensor<?x2xf32>
  // CHECK-NEXT: layer 0
  %few = kerf.layer 0 (%h = %m : tensor<?x32xf32>) -> tensor<?x32xf32> {
    %rows = kerf.batch_field logit_rows of %batch : tensor<?xi32>
    %e1 = tensor.empty(%r) : tensor<?x32xf32>
    // CHECK-NEXT: kerf.select: bytes 260*logit_rows
    %s = kerf.select %h, %rows outs(%e1 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?xi32>
    // CHECK-NEXT: total:
    kerf.yield %s : tensor<?x32xf32>
  }
  %zero = arith.constant 0 : index
  %rows = tensor.dim %few, %zero : tensor<?x32xf32>
  %e2 = tensor.empty(%rows) : tensor<?x32xf32>
  // CHECK-NEXT: kerf.add: bytes 384*logit_rows, operations 32*logit_rows
  %y = kerf.add %few, %few outs(%e2 : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<?x32xf32>
  return %y, %m, %c1 : tensor<?x32xf32>, tensor<?x32xf32>, !kerf.cache
}

// A planned program says what its dispatches cost.
// CHECK-LABEL: program @planned
// CHECK-NEXT: embed (@embed): bytes 1536*tokens, operations 0
// CHECK-NEXT: logits (@linear): bytes 8192 + 512*logit_rows, operations 8192*logit_rows
// CHECK-NEXT: total: bytes 8192 + 1536*tokens + 512*logit_rows, operations 8192*logit_rows
kerf.program @planned slots [#kerf.size<0, 1024>] results [#kerf.result<logits, 64>] {
  kerf.dispatch @embed [#kerf.step_ref<token_ids>, #kerf.weight_ref<@table>, #kerf.slot_ref<0>]
    rows tokens origin "embed" bytes <0, 1536> operations <>
  kerf.dispatch @linear [#kerf.slot_ref<0>, #kerf.weight_ref<@w>, #kerf.result_ref<0>]
    rows logit_rows origin "logits" bytes <8192, 0, 0, 512> operations <0, 0, 0, 8192>
}

// What is attended and cached counts by the mask. 3, 3 and 4 rows after 100 keys: through a window of 3 each row sees 3,
// and the sequences need 5 + 5 + 6; both ways each row sees all 103, 103 and 104.
// CHECK-LABEL: program @masks
// STEP-LABEL: program @masks
func.func @masks(%batch: !kerf.batch, %cache: !kerf.cache) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %near = kerf.work_list of %batch group @kv mask #kerf.window<3>
  %both = kerf.work_list of %batch group @kv mask #kerf.bidirectional
  %t = kerf.extent tokens of %batch
  %e = tensor.empty(%t) : tensor<?x64xf32>
  // CHECK-NEXT: kerf.attention: bytes 512*tokens + 128*cached, operations 256*attended
  %x = kerf.attention %e, %near, %cache group @kv plane 0 scale 0.25 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>
  // CHECK-NEXT: kerf.attention: bytes 512*tokens + 128*cached, operations 256*attended
  %y = kerf.attention %x, %both, %cache group @kv plane 0 scale 0.25 outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>
  // CHECK-NEXT: total: bytes 1024*tokens + 256*cached, operations 512*attended
  // STEP-NEXT: total: {{.*}} = 51968 bytes, 272384 operations
  return %x, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// Rows that are a multiple or a sum of extents (pairs of a token and an expert), and rows whose encoding says how they
// are stored: the slots of both must be large enough.
// CHECK-LABEL: program @multiples
func.func @multiples(%batch: !kerf.batch, %x: tensor<?x64xf32, #kerf.format<#kerf.dense<bf16>>>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %t = kerf.extent tokens of %batch
  %s = kerf.extent sequences of %batch
  %two = arith.constant 2 : index
  %pairs = arith.muli %t, %two : index
  %more = arith.addi %pairs, %s : index
  %e0 = tensor.empty(%more) : tensor<?x64xf32>
  // CHECK-NEXT: kerf.add: bytes 1536*tokens + 768*sequences, operations 128*tokens + 64*sequences
  %y = kerf.add %e0, %e0 outs(%e0 : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?x64xf32>
  %e1 = tensor.empty(%t) : tensor<?x64xf32>
  %w = kerf.get_weight @w : tensor<64x64xbf16>
  // 128 bytes of each encoded row and 256 of each result.
  // CHECK-NEXT: kerf.linear: bytes 8192 + 384*tokens, operations 8192*tokens
  %z = kerf.linear %x, %w outs(%e1 : tensor<?x64xf32>)
         : tensor<?x64xf32, #kerf.format<#kerf.dense<bf16>>>, tensor<64x64xbf16>
  return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
}

// A mean reads every row of the step, the first row of each sequence one row each; both write one row for each sequence.
// CHECK-LABEL: program @pooled
func.func @pooled(%batch: !kerf.batch, %x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %s = kerf.extent sequences of %batch
  %first = kerf.batch_field first_rows of %batch : tensor<?xi32>
  %count = kerf.batch_field row_counts of %batch : tensor<?xi32>
  %e = tensor.empty(%s) : tensor<?x64xf32>
  // CHECK-NEXT: kerf.pool: bytes 256*tokens + 264*sequences, operations 64*tokens
  %y = kerf.pool mean %x, %first, %count outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>, tensor<?xi32>
  // CHECK-NEXT: kerf.pool: bytes 520*sequences, operations 0
  %z = kerf.pool first %x, %first, %count outs(%e : tensor<?x64xf32>) : tensor<?x64xf32>, tensor<?xi32>, tensor<?xi32>
  return %y, %z : tensor<?x64xf32>, tensor<?x64xf32>
}
