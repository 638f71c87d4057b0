// The kinds of kernels that the decoder of test/gpu/shape.py has none of, in the sizes of an encoder, for roofline.py.
// What is computed means nothing.
kerf.model "others" architecture "X" checkpoint "" context 512 vocabulary 768 hidden 768 layers 1
kerf.weight @w : tensor<768x768xf32> format <#kerf.dense<f32>> source #kerf.take<"w" : tensor<768x768xf32>>
kerf.weight @v : tensor<768x768xbf16> format <#kerf.dense<bf16>> source #kerf.take<"v" : tensor<768x768xbf16>>
kerf.weight @u : tensor<12x768xf32> format <#kerf.dense<f32>> source #kerf.take<"u" : tensor<12x768xf32>>
kerf.weight @g : tensor<768xf32> format <#kerf.dense<f32>> source #kerf.take<"g" : tensor<768xf32>>

func.func @encode(%batch: !kerf.batch) -> tensor<?x768xf32> {
  %t = kerf.extent tokens of %batch
  %s = kerf.extent sequences of %batch
  %first = kerf.batch_field first_rows of %batch : tensor<?xi32>
  %count = kerf.batch_field row_counts of %batch : tensor<?xi32>
  %w = kerf.get_weight @w : tensor<768x768xf32>
  %v = kerf.get_weight @v : tensor<768x768xbf16>
  %g = kerf.get_weight @g : tensor<768xf32>
  %u = kerf.get_weight @u : tensor<12x768xf32>
  %ids = kerf.batch_field token_ids of %batch : tensor<?xi32>
  %e = tensor.empty(%t) : tensor<?x768xf32>
  %x = kerf.embed %ids, %v outs(%e : tensor<?x768xf32>) : tensor<?xi32>, tensor<768x768xbf16>
  %e0 = tensor.empty(%t) : tensor<?x768xf32>
  %a = kerf.layer_norm %x, %g, %g eps 1.0e-5 outs(%e0 : tensor<?x768xf32>) : tensor<?x768xf32>, tensor<768xf32>, tensor<768xf32>
  %e1 = tensor.empty(%t) : tensor<?x768xf32>
  %b = kerf.activation gelu %a outs(%e1 : tensor<?x768xf32>) : tensor<?x768xf32>
  %e2 = tensor.empty(%t) : tensor<?x768xf32>
  %c = kerf.linear %b, %w outs(%e2 : tensor<?x768xf32>) : tensor<?x768xf32>, tensor<768x768xf32>
  %e3 = tensor.empty(%t) : tensor<?x768xf32>
  %d = kerf.linear %c, %v outs(%e3 : tensor<?x768xf32>) : tensor<?x768xf32>, tensor<768x768xbf16>
  %f3 = tensor.empty(%t) : tensor<?x12xf32>
  %l = kerf.linear %b, %u outs(%f3 : tensor<?x12xf32>) : tensor<?x768xf32>, tensor<12x768xf32>
  %e4 = tensor.empty(%t) : tensor<?x768xf32>
  %f4 = tensor.empty(%t) : tensor<?x12xf32>
  %m, %n = kerf.attention_merge %d, %l, %a, %l outs(%e4 : tensor<?x768xf32>) lse(%f4 : tensor<?x12xf32>)
             : tensor<?x768xf32>, tensor<?x12xf32>, tensor<?x768xf32>, tensor<?x12xf32>
  %e5 = tensor.empty(%s) : tensor<?x768xf32>
  %p = kerf.pool mean %m, %first, %count outs(%e5 : tensor<?x768xf32>) : tensor<?x768xf32>, tensor<?xi32>, tensor<?xi32>
  return %p : tensor<?x768xf32>
}
