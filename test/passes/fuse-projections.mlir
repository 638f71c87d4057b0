// The three projections in front of an attention become one linear, and norms, rotations and the append one op.
// RUN: kerf-opt %s --split-input-file --kerf-fuse-projections --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s

// CHECK-NOT: @a.q.weight
// CHECK-NOT: @a.k.weight
// CHECK: kerf.weight @"a.q+k+v.weight" : tensor<64x64xbf16> format <#kerf.dense<bf16>>
// CHECK-SAME: source #kerf.concat<0, #kerf.take<"q" : tensor<32x64xbf16>>, #kerf.take<"k" : tensor<16x64xbf16>>, #kerf.take<"v" : tensor<16x64xbf16>>>
// CHECK-SAME: loc(fused["wq", "wk", "wv"])
// CHECK-NOT: @a.v.weight
// CHECK-LABEL: func.func @plain
// CHECK-SAME: (%[[X:[a-z0-9]+]]: tensor<?x64xbf16> {{.*}}, %[[TABLE:[a-z0-9]+]]: tensor<?x8xf32> {{.*}}, %[[BATCH:[a-z0-9]+]]: !kerf.batch {{.*}}, %[[CACHE:[a-z0-9]+]]: !kerf.cache {{.*}}, %[[WORK:[a-z0-9]+]]: !kerf.work_list {{.*}}, %[[T:[a-z0-9]+]]: index
// CHECK: %[[W:.*]] = kerf.get_weight @"a.q+k+v.weight" : tensor<64x64xbf16>
// CHECK: %[[INIT:.*]] = tensor.empty(%[[T]]) : tensor<?x64xf32>
// CHECK: %[[QKV:.*]] = kerf.linear %[[X]], %[[W]] outs(%[[INIT]] : tensor<?x64xf32>) {{.*}} loc(fused["q", "k", "v"])
// CHECK: %[[Q:.*]], %[[C:.*]] = kerf.rope_append %[[QKV]], %[[BATCH]] to %[[CACHE]] group @kv plane 0 table(%[[TABLE]] : tensor<?x8xf32>) eps
// CHECK-SAME: outs(%{{.*}} : tensor<?x32xbf16>)
// CHECK-SAME: loc(fused["q_rope", "k_rope", "append"])
// CHECK-NOT: kerf.linear
// CHECK-NOT: kerf.kv_append
// CHECK: %[[O:.*]] = kerf.attention %[[Q]], %[[WORK]], %[[C]] group @kv plane 0
// CHECK: return %[[O]], %[[C]]
kerf.kv_group @kv planes 1 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>> loc("wq")
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>> loc("wk")
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>> loc("wv")
func.func @plain(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache,
                 %work: !kerf.work_list, %t: index) -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %eq = tensor.empty(%t) : tensor<?x32xf32>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16> loc("q")
  %er = tensor.empty(%t) : tensor<?x32xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32> loc("q_rope")
  %ek = tensor.empty(%t) : tensor<?x16xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16> loc("k")
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32> loc("k_rope")
  %v = kerf.linear %x, %wv outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16> loc("v")
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32> loc("append")
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Head norms and biases go along, those of queries before those of keys. @a.v.weight has another reader and stays.
// CHECK: kerf.weight @"a.q+k+v.bias" : tensor<64xf32> {{.*}} #kerf.concat<0, #kerf.take<"qb" : tensor<32xf32>>, #kerf.take<"kb" : tensor<16xf32>>, #kerf.take<"vb" : tensor<16xf32>>>
// CHECK-NOT: @a.q.bias
// CHECK: kerf.weight @a.v.weight
// CHECK-LABEL: func.func @norms_and_biases
// CHECK-SAME: %[[GQ:[a-z0-9]+]]: tensor<8xf32> {{.*}}, %[[GK:[a-z0-9]+]]: tensor<8xf32>
// CHECK: %[[B:.*]] = kerf.get_weight @"a.q+k+v.bias" : tensor<64xf32>
// CHECK: kerf.linear {{.*}} bias(%[[B]] : tensor<64xf32>)
// CHECK: kerf.rope_append {{.*}} scales(%[[GQ]], %[[GK]] : tensor<8xf32>, tensor<8xf32>) eps 2.500000e-01
// CHECK-NOT: kerf.rms_norm
// CHECK: return {{.*}} : tensor<?x32xbf16>, !kerf.cache, tensor<16x64xbf16>
kerf.kv_group @kv planes 1 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.q.bias : tensor<32xf32> format <#kerf.dense<f32>> source #kerf.take<"qb" : tensor<32xf32>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.k.bias : tensor<16xf32> format <#kerf.dense<f32>> source #kerf.take<"kb" : tensor<16xf32>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
kerf.weight @a.v.bias : tensor<16xf32> format <#kerf.dense<f32>> source #kerf.take<"vb" : tensor<16xf32>>
func.func @norms_and_biases(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache,
                            %work: !kerf.work_list, %gq: tensor<8xf32>, %gk: tensor<8xf32>, %eq: tensor<?x32xf32>,
                            %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache, tensor<16x64xbf16>) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %bq = kerf.get_weight @a.q.bias : tensor<32xf32>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %bk = kerf.get_weight @a.k.bias : tensor<16xf32>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %bv = kerf.get_weight @a.v.bias : tensor<16xf32>
  %q = kerf.linear %x, %wq bias(%bq : tensor<32xf32>) outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qn = kerf.rms_norm %q, %gq eps 0.25 outs(%eq : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<8xf32>
  %qr = kerf.rope %qn, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk bias(%bk : tensor<16xf32>) outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kn = kerf.rms_norm %k, %gk eps 0.25 outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<8xf32>
  %kr = kerf.rope %kn, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv bias(%bv : tensor<16xf32>) outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1, %wv : tensor<?x32xbf16>, !kerf.cache, tensor<16x64xbf16>
}

// -----

// One product has one input.
// CHECK-LABEL: func.func @keys_of_another_input
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @keys_of_another_input(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x1, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// What is fused away can be read by nothing else.
// CHECK-LABEL: func.func @values_with_another_reader
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @values_with_another_reader(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache, tensor<?x16xf32>) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1, %v : tensor<?x32xbf16>, !kerf.cache, tensor<?x16xf32>
}

// -----

// Unrotated keys that something else reads.
// CHECK-LABEL: func.func @keys_with_another_reader
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @keys_with_another_reader(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache, tensor<?x16xf32>) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1, %k : tensor<?x32xbf16>, !kerf.cache, tensor<?x16xf32>
}

// -----

// Rotated queries are what the fused op yields, but not to readers before the append.
// CHECK-LABEL: func.func @queries_with_another_reader
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @queries_with_another_reader(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache, tensor<?x32xbf16>) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1, %qr : tensor<?x32xbf16>, !kerf.cache, tensor<?x32xbf16>
}

// -----

// One op rotates by one table.
// CHECK-LABEL: func.func @keys_of_another_table
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @keys_of_another_table(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table1 outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Norms come in pairs.
// CHECK-LABEL: func.func @norm_of_keys_alone
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @norm_of_keys_alone(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kn = kerf.rms_norm %k, %g eps 0.25 outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<8xf32>
  %kr = kerf.rope %kn, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// A norm over all heads of the keys is not a head norm.
// CHECK-LABEL: func.func @norm_over_several_heads
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @norm_over_several_heads(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qn = kerf.rms_norm %q, %g eps 0.25 outs(%eq : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<8xf32>
  %qr = kerf.rope %qn, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kn = kerf.rms_norm %k, %g16 eps 0.25 outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<16xf32>
  %kr = kerf.rope %kn, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// One op has one eps.
// CHECK-LABEL: func.func @norms_of_different_eps
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @norms_of_different_eps(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qn = kerf.rms_norm %q, %g eps 0.25 outs(%eq : tensor<?x32xf32>) : tensor<?x32xf32>, tensor<8xf32>
  %qr = kerf.rope %qn, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kn = kerf.rms_norm %k, %g eps 0.5 outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<8xf32>
  %kr = kerf.rope %kn, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Biases are there for all or for none.
// CHECK-LABEL: func.func @bias_of_queries_alone
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @bias_of_queries_alone(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq bias(%b : tensor<32xf32>) outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// One product has one element type.
// CHECK-LABEL: func.func @values_of_another_type
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @values_of_another_type(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xbf16>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xbf16>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xbf16>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Parts of one weight are stored alike.
// CHECK-LABEL: func.func @values_of_another_format
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xf16> format <#kerf.dense<f16>> source #kerf.take<"v" : tensor<16x64xf16>>
func.func @values_of_another_format(%x: tensor<?x64xf32>, %x1: tensor<?x64xf32>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xf32>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xf32>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xf32>, tensor<16x64xf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// The append is of another layer: what attention reads is not what these projections wrote.
// CHECK-LABEL: func.func @append_to_another_plane
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @append_to_another_plane(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 1 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// A residual of one part would be lost.
// CHECK-LABEL: func.func @values_with_a_residual
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @values_with_a_residual(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv residual(%ek : tensor<?x16xf32>) outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Only weights can be joined, and no weight may be left joined in vain.
// CHECK-NOT: q+k+v
// CHECK-LABEL: func.func @biases_that_are_no_weights
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @biases_that_are_no_weights(%x: tensor<?x64xbf16>, %x1: tensor<?x64xbf16>, %table: tensor<?x8xf32>,
    %table1: tensor<?x8xf32>, %batch: !kerf.batch, %c0: !kerf.cache, %work: !kerf.work_list, %g: tensor<8xf32>,
    %g16: tensor<16xf32>, %b: tensor<32xf32>, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>, %ev: tensor<?x16xf32>)
    -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq bias(%b : tensor<32xf32>) outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk bias(%g16 : tensor<16xf32>) outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %kr = kerf.rope %k, %table outs(%ek : tensor<?x16xf32>) : tensor<?x16xf32>, tensor<?x8xf32>
  %v = kerf.linear %x, %wv bias(%g16 : tensor<16xf32>) outs(%ev : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %kr, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Positions that are learned leave nothing to rotate. The product of all three is not rounded: the fused op rounds the
// queries, as their own product did.
// CHECK-LABEL: func.func @unrotated
// CHECK: %[[QKV:.*]] = kerf.linear {{.*}} outs(%{{.*}} : tensor<?x64xf32>)
// CHECK: kerf.rope_append %[[QKV]], %{{.*}} to %{{.*}} group @kv plane 0 eps {{.*}} outs(%{{.*}} : tensor<?x32xbf16>) : tensor<?x64xf32>
// CHECK-NOT: kerf.linear
// CHECK-NOT: kerf.kv_append
// CHECK: kerf.attention
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @unrotated(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch,
    %c0: !kerf.cache, %work: !kerf.work_list, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>,
    %ev: tensor<?x16xbf16>) -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%er : tensor<?x32xbf16>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %v = kerf.linear %x, %wv outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %q, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// CHECK-LABEL: func.func @keys_unrotated
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @keys_unrotated(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch,
    %c0: !kerf.cache, %work: !kerf.work_list, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>,
    %ev: tensor<?x16xbf16>) -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%eq : tensor<?x32xf32>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %qr = kerf.rope %q, %table outs(%er : tensor<?x32xbf16>) : tensor<?x32xf32>, tensor<?x8xf32>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %v = kerf.linear %x, %wv outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %qr, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// Keys that their product rounded would not be rounded any more.
// CHECK-LABEL: func.func @keys_rounded
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @keys_rounded(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch,
    %c0: !kerf.cache, %work: !kerf.work_list, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>,
    %ev: tensor<?x16xbf16>) -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%er : tensor<?x32xbf16>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %k = kerf.linear %x, %wk outs(%ev : tensor<?x16xbf16>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %v = kerf.linear %x, %wv outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xbf16>, tensor<?x16xf32>
  %o = kerf.attention %q, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}

// -----

// CHECK-LABEL: func.func @values_with_an_activation
// CHECK-COUNT-3: kerf.linear
// CHECK-NOT: kerf.rope_append
// CHECK: kerf.kv_append
kerf.kv_group @kv planes 2 heads 2 head_dim 8 page_size 16 element bf16
kerf.weight @a.q.weight : tensor<32x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"q" : tensor<32x64xbf16>>
kerf.weight @a.k.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"k" : tensor<16x64xbf16>>
kerf.weight @a.v.weight : tensor<16x64xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<16x64xbf16>>
func.func @values_with_an_activation(%x: tensor<?x64xbf16>, %table: tensor<?x8xf32>, %batch: !kerf.batch,
    %c0: !kerf.cache, %work: !kerf.work_list, %eq: tensor<?x32xf32>, %er: tensor<?x32xbf16>, %ek: tensor<?x16xf32>,
    %ev: tensor<?x16xbf16>) -> (tensor<?x32xbf16>, !kerf.cache) {
  %wq = kerf.get_weight @a.q.weight : tensor<32x64xbf16>
  %wk = kerf.get_weight @a.k.weight : tensor<16x64xbf16>
  %wv = kerf.get_weight @a.v.weight : tensor<16x64xbf16>
  %q = kerf.linear %x, %wq outs(%er : tensor<?x32xbf16>) : tensor<?x64xbf16>, tensor<32x64xbf16>
  %k = kerf.linear %x, %wk outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %v = kerf.linear %x, %wv activation relu outs(%ek : tensor<?x16xf32>) : tensor<?x64xbf16>, tensor<16x64xbf16>
  %c1 = kerf.kv_append %k, %v, %batch to %c0 group @kv plane 0 : tensor<?x16xf32>, tensor<?x16xf32>
  %o = kerf.attention %q, %work, %c1 group @kv plane 0 scale 1.0 outs(%er : tensor<?x32xbf16>) : tensor<?x32xbf16>
  return %o, %c1 : tensor<?x32xbf16>, !kerf.cache
}
