#include "test/codegen/nvptx/Shipped.h"

#include <cmath>

using namespace kerf::kernels;
using namespace kerf::test;

// The dialect has enums of the same names.
namespace kerf::test {
using kernels::Activation;
using kernels::Pooling;
} // namespace kerf::test

static const Element f32 = Element::F32, bf16 = Element::BF16, f16 = Element::F16;

static LinearSpec linear(int64_t k, int64_t n, Element element, Element output) {
  return {.k = k, .n = n, .input = element, .weight = element, .output = output};
}

static LinearSpec withResidual(LinearSpec spec, Element element) {
  spec.residual = true;
  spec.residualElement = element;
  return spec;
}

static LinearSpec withBias(LinearSpec spec, std::optional<Activation> activation = std::nullopt) {
  spec.bias = true;
  spec.activation = activation;
  return spec;
}

static AttentionSpec attention(int64_t queryHeads, int64_t kvHeads, int64_t headDim, Element element,
                               bool logSumExp = false) {
  return {queryHeads, kvHeads, headDim, 64, element, element, element, 1 / std::sqrt(double(headDim)), logSumExp};
}

static AttentionSpec window(AttentionSpec spec, bool ahead) {
  spec.behind = true;
  spec.ahead = ahead;
  return spec;
}

std::vector<Shipped> kerf::test::shippedKernels() {
  return {
      // Those of a decoder of 1B: 2048 features, 32 heads over 8 of 64, 8192 between.
      {"qkv_rope_append", LinearRopeAppendSpec{2048, 32, 8, 64, 64, bf16, bf16, bf16, bf16}},
      // The same before a norm of heads.
      {"qkv", linear(2048, 3072, bf16, f32)},
      {"attention_output", withResidual(linear(2048, 2048, bf16, f32), f32)},
      {"gate_up", GatedLinearSpec{2048, 8192, bf16, bf16, bf16}},
      {"down", withResidual(linear(8192, 2048, bf16, f32), f32)},
      {"logits", linear(2048, 128256, bf16, f32)},
      {"keys", linear(2048, 512, bf16, bf16)},
      // Ends of products: GPT-2's and encoders', and odd columns.
      {"bias_gelu", withBias(linear(768, 3072, bf16, bf16), Activation::GeluTanh)},
      {"bias_residual", withResidual(withBias(linear(3072, 768, bf16, f32)), f32)},
      {"bias_relu_residual", withResidual(withBias(linear(384, 1536, bf16, bf16), Activation::Relu), bf16)},
      {"odd_columns", linear(1000, 33, bf16, f32)},
      {"gate_up_bias", GatedLinearSpec{1024, 4096, bf16, bf16, bf16, Activation::GeluTanh, true}},
      {"linear_f16", linear(2048, 2048, f16, f16)},
      // Without tensor cores.
      {"linear_f32", withResidual(linear(2048, 2048, f32, f32), f32)},
      {"qkv_append_bias", LinearRopeAppendSpec{768, 12, 12, 64, 64, bf16, bf16, bf16, bf16, true, false}},
      {"qkv_rope_append_f16", LinearRopeAppendSpec{4096, 32, 8, 128, 64, f16, f16, f16, f16}},
      {"linear_f32_bf16", LinearSpec{.k = 2048, .n = 2048, .input = f32, .weight = bf16, .output = f32}},
      {"gate_up_f32", GatedLinearSpec{2048, 8192, f32, f32, f32}},
      {"qkv_rope_append_f32", LinearRopeAppendSpec{2048, 32, 8, 64, 64, f32, f32, f32, f32}},
      {"rms_norm", RmsNormSpec{2048, 2048, 1e-5, f32, bf16}},
      {"rms_norm_heads", RmsNormSpec{2048, 128, 1e-6, f32, f32}},
      {"layer_norm", LayerNormSpec{768, 1e-5, f32, bf16}},
      {"activation", ActivationSpec{3072, Activation::GeluTanh, f32, bf16}},
      {"gate", GateSpec{8192, Activation::Silu, bf16, bf16}},
      {"add", AddSpec{2048, f32, bf16, f32}},
      {"embed", EmbedSpec{128256, 2048, bf16, f32}},
      {"select", SelectSpec{2048, f32}},
      {"pool_mean", PoolSpec{384, Pooling::Mean, f32, f32}},
      {"pool_first", PoolSpec{384, Pooling::First, f32, f32}},
      {"pool_last", PoolSpec{1024, Pooling::Last, bf16, f32}},
      {"pool_max", PoolSpec{384, Pooling::Max, f32, f32}},
      {"rope_table", RopeTableSpec{32, 1}},
      {"rope", RopeSpec{2048, 64, f32, bf16}},
      {"kv_append", KvAppendSpec{8, 64, 64, f32, bf16}},
      {"rope_append_d64", RopeAppendSpec{32, 8, 64, 64, f32, bf16, bf16}},
      {"rope_append_d128_norm", RopeAppendSpec{16, 8, 128, 64, f32, bf16, bf16, true, true, 1e-6}},
      {"attention_d64_q32_h8", attention(32, 8, 64, bf16)},
      {"attention_d64_q12_h12", attention(12, 12, 64, bf16)},
      {"attention_d64_encoder", window(attention(12, 12, 64, bf16), true)},
      {"attention_d64_f16_lse", attention(32, 8, 64, f16, true)},
      {"attention_d80_q32_h32", attention(32, 32, 80, bf16)},
      {"attention_d96_q32_h32", attention(32, 32, 96, bf16)},
      {"attention_d128_q32_h8", attention(32, 8, 128, bf16)},
      {"attention_d128_window_lse", window(attention(32, 8, 128, bf16, true), false)},
      {"attention_d256_q16_h8", attention(16, 8, 256, bf16)},
      {"attention_d256_q8_h1_window", window(attention(8, 1, 256, bf16), false)},
      {"attention_d64_f32", attention(32, 8, 64, f32)},
      {"attention_d72", attention(16, 16, 72, bf16)},
      {"attention_merge", AttentionMergeSpec{2048, 32, bf16, bf16}},
      {"sample", SampleSpec{128256}},
  };
}
