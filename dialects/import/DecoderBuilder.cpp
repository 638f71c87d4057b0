//===- DecoderBuilder.cpp - a decoder as a graph of kerf ops --------------===//
//
// Where numbers are rounded (compute type C):
//
//   residual stream f32 ─ norm → C ─ q, k, v → f32 ─ rope → C (queries) ─ attention → C ─ o → f32 ─ add → f32
//                                                     └ append → C (keys, values)
//   residual stream f32 ─ norm → C ─ gate, up → f32 ─ gate → C ─ down → f32 ─ add → f32
//
// What a linear reads is of type C; what it writes stays f32 until the next op has used it, so that fusing the two
// changes no number.
//
//===----------------------------------------------------------------------===//

#include "dialects/import/DecoderBuilder.h"

#include "dialects/import/Checkpoint.h"
#include "dialects/kerf/KerfDialect.h"

#include "llvm/ADT/MapVector.h"

#include <cmath>

using namespace mlir;
using namespace kerf;

/// Positions in one page of the KV group.
static constexpr int64_t kPageSize = 64;

namespace {

class DecoderBuilder {
public:
  DecoderBuilder(MLIRContext &context, const DecoderConfig &config, const Checkpoint &checkpoint,
                 const DecoderBuildOptions &options)
      : config(config), checkpoint(checkpoint), options(options), b(&context), atWeights(&context), f32(b.getF32Type()),
        compute(options.computeType) {}

  OwningOpRef<ModuleOp> build();

private:
  Location at(const Twine &name) { return NameLoc::get(b.getStringAttr(name)); }
  Type elementType(DType dtype);
  Value empty(Location loc, int64_t columns, Type element);

  Value symbol(StringRef name, Attribute source);
  Value weight(const Twine &name, const Twine &tensor);
  Value frequencies();
  Value linear(const Twine &name, const Twine &tensor, Value input, bool bias);
  Value norm(const Twine &name, const Twine &tensor, Value input, Type result);
  Value rope(const Twine &name, Value input, Type result);
  Value &workList(int64_t window);

  Value attention(const std::string &name, const std::string &tensors, Value input, int64_t layer, Value &cache);
  Value mlp(const std::string &name, const std::string &tensors, Value input);
  std::pair<Value, Value> layer(int64_t index, Value hidden, Value cache);
  void step(ModuleOp module);

  const DecoderConfig &config;
  const Checkpoint &checkpoint;
  const DecoderBuildOptions &options;
  OpBuilder b, atWeights;
  Type f32, compute;
  llvm::StringMap<RankedTensorType> symbols;
  /// Of the program: the number of rows that `empty` makes room for, and what every layer shares.
  Value batch, rows, table;
  /// Work lists by window.
  llvm::MapVector<int64_t, Value> work;
};

} // namespace

Type DecoderBuilder::elementType(DType dtype) {
  switch (dtype) {
  case DType::BF16:
    return b.getBF16Type();
  case DType::F16:
    return b.getF16Type();
  case DType::F32:
    return f32;
  case DType::Other:
    break;
  }
  llvm_unreachable("verifyTensors lets no other type pass");
}

Value DecoderBuilder::empty(Location loc, int64_t columns, Type element) {
  return tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{ShapedType::kDynamic, columns}, element, rows);
}

/// The value of the weight @`name`, which is made of `source` at its first use.
Value DecoderBuilder::symbol(StringRef name, Attribute source) {
  Location loc = at(name);
  RankedTensorType &type = symbols[name];
  if (!type) {
    auto expression = cast<SourceAttrInterface>(source);
    type = RankedTensorType::get(expression.getShape(), expression.getElementType());
    WeightOp::create(atWeights, loc, name, type, FormatAttr::getDense(type.getElementType()), expression);
  }
  return GetWeightOp::create(b, loc, type, name);
}

Value DecoderBuilder::weight(const Twine &name, const Twine &tensor) {
  std::string key = tensor.str();
  const TensorInfo &info = *checkpoint.find(key)->info;
  auto type = RankedTensorType::get(info.shape, elementType(info.dtype));
  return symbol(name.str(), TakeAttr::get(b.getContext(), key, type));
}

Value DecoderBuilder::frequencies() {
  RopeFrequencies rope = ropeInverseFrequencies(config.rope, config.headDim);
  auto type = RankedTensorType::get({config.headDim / 2}, f32);
  return symbol("rope.frequencies",
                LiteralAttr::get(b.getContext(), DenseElementsAttr::get(type, ArrayRef(rope.inverse))));
}

Value DecoderBuilder::linear(const Twine &name, const Twine &tensor, Value input, bool hasBias) {
  Location loc = at(name);
  Value matrix = weight(name + ".weight", tensor + ".weight");
  Value bias = hasBias ? weight(name + ".bias", tensor + ".bias") : Value();
  Value init = empty(loc, cast<RankedTensorType>(matrix.getType()).getDimSize(0), f32);
  return LinearOp::create(b, loc, init.getType(), input, matrix, init, bias, /*residual=*/Value(),
                          /*activation=*/ActivationAttr());
}

Value DecoderBuilder::norm(const Twine &name, const Twine &tensor, Value input, Type result) {
  Location loc = at(name);
  Value scale = weight(name + ".weight", tensor + ".weight");
  Value init = empty(loc, cast<RankedTensorType>(input.getType()).getDimSize(1), result);
  return RmsNormOp::create(b, loc, init.getType(), input, scale, b.getF64FloatAttr(config.normEpsilon), init);
}

Value DecoderBuilder::rope(const Twine &name, Value input, Type result) {
  Location loc = at(name);
  Value init = empty(loc, cast<RankedTensorType>(input.getType()).getDimSize(1), result);
  return RopeOp::create(b, loc, init.getType(), input, table, init);
}

Value DecoderBuilder::attention(const std::string &name, const std::string &tensors, Value input, int64_t layer,
                                Value &cache) {
  // Queries are complete before the append, where the optimize phase puts what it makes of both.
  Value query = linear(name + ".q", tensors + ".q_proj", input, config.qkvBias);
  if (config.qkNorm)
    query = norm(name + ".q_norm", tensors + ".q_norm", query, f32);
  query = rope(name + ".q_rope", query, compute);
  Value key = linear(name + ".k", tensors + ".k_proj", input, config.qkvBias);
  if (config.qkNorm)
    key = norm(name + ".k_norm", tensors + ".k_norm", key, f32);
  key = rope(name + ".k_rope", key, f32);
  Value value = linear(name + ".v", tensors + ".v_proj", input, config.qkvBias);

  auto group = FlatSymbolRefAttr::get(b.getContext(), "kv");
  IntegerAttr plane = b.getI64IntegerAttr(layer);
  cache = KvAppendOp::create(b, at(name + ".append"), cache.getType(), key, value, batch, cache, group, plane);
  Location loc = at(name);
  Value init = empty(loc, config.heads * config.headDim, compute);
  auto attended = AttentionOp::create(
      b, loc, init.getType(), /*log_sum_exp=*/Type(), query, workList(config.windows[layer]), cache, group, plane,
      b.getF64FloatAttr(1 / std::sqrt(double(config.headDim))), init, /*lse_init=*/Value());
  return linear(name + ".o", tensors + ".o_proj", attended.getResult(), config.outputBias);
}

/// What attention of a layer with such a window (0 for none) has to do: one work list for all of its kind.
Value &DecoderBuilder::workList(int64_t window) {
  // A window that no sequence fills is none.
  return work[window < options.context ? window : 0];
}

static kerf::Activation toOp(MlpActivation activation) {
  switch (activation) {
  case MlpActivation::Silu:
    return Activation::Silu;
  case MlpActivation::Gelu:
    return Activation::Gelu;
  case MlpActivation::GeluTanh:
    return Activation::GeluTanh;
  }
  llvm_unreachable("all activations are named above");
}

Value DecoderBuilder::mlp(const std::string &name, const std::string &tensors, Value input) {
  Value gate = linear(name + ".gate", tensors + ".gate_proj", input, config.mlpBias);
  Value up = linear(name + ".up", tensors + ".up_proj", input, config.mlpBias);
  Value init = empty(at(name), config.intermediate, compute);
  Value gated = GateOp::create(b, at(name), init.getType(), toOp(config.activation), gate, up, init);
  return linear(name + ".down", tensors + ".down_proj", gated, config.mlpBias);
}

std::pair<Value, Value> DecoderBuilder::layer(int64_t index, Value hidden, Value cache) {
  std::string name = "layers." + std::to_string(index), tensors = "model." + name;
  Location loc = at(name);
  Type types[] = {hidden.getType(), cache.getType()};
  auto op = LayerOp::create(b, loc, types, b.getI64IntegerAttr(index), ValueRange{hidden, cache});
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&op.getBody(), {}, types, {loc, loc});
  hidden = body->getArgument(0);
  cache = body->getArgument(1);
  auto add = [&](const Twine &name, Value branch) {
    Value init = empty(at(name), config.hidden, f32);
    hidden = AddOp::create(b, at(name), init.getType(), hidden, branch, init);
  };
  Value input = norm(name + ".attn.norm", tensors + ".input_layernorm", hidden, compute);
  add(name + ".attn.residual", attention(name + ".attn", tensors + ".self_attn", input, index, cache));
  input = norm(name + ".mlp.norm", tensors + ".post_attention_layernorm", hidden, compute);
  add(name + ".mlp.residual", mlp(name + ".mlp", tensors + ".mlp", input));
  YieldOp::create(b, loc, ValueRange{hidden, cache});
  return {op.getResult(0), op.getResult(1)};
}

void DecoderBuilder::step(ModuleOp module) {
  Location loc = at("step");
  auto cacheType = CacheType::get(b.getContext());
  Type inputs[] = {BatchType::get(b.getContext()), cacheType};
  Type outputs[] = {RankedTensorType::get({ShapedType::kDynamic, config.vocab}, f32), cacheType};
  auto function = func::FuncOp::create(b, loc, "step", b.getFunctionType(inputs, outputs));
  atWeights.setInsertionPoint(function);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  batch = body->getArgument(0);
  Value cache = body->getArgument(1);

  auto indices = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  rows = ExtentOp::create(b, loc, Extent::Tokens, batch);
  Value positions = BatchFieldOp::create(b, loc, indices, StepField::Positions, batch);
  for (int64_t window : config.windows)
    workList(window);
  for (auto &[window, list] : work) {
    Attribute mask = window ? Attribute(WindowAttr::get(b.getContext(), window)) : CausalAttr::get(b.getContext());
    list = WorkListOp::create(b, loc, batch, FlatSymbolRefAttr::get(b.getContext(), "kv"), mask);
  }

  Location embed = at("embed"), rope = at("rope");
  Value ids = BatchFieldOp::create(b, embed, indices, StepField::TokenIds, batch);
  Value embedding = weight("embed.weight", "model.embed_tokens.weight");
  Value init = empty(embed, config.hidden, f32);
  Value hidden = EmbedOp::create(b, embed, init.getType(), ids, embedding, init);
  Value angles = frequencies();
  init = empty(rope, config.headDim, f32);
  double factor = ropeInverseFrequencies(config.rope, config.headDim).attentionFactor;
  table = RopeTableOp::create(b, rope, init.getType(), positions, angles, b.getF64FloatAttr(factor), init);

  for (int64_t index = 0; index < config.layers; ++index)
    std::tie(hidden, cache) = layer(index, hidden, cache);

  // Rows are chosen before the norm: most rows of a prompt want no logits.
  Location select = at("select");
  rows = ExtentOp::create(b, select, Extent::LogitRows, batch);
  Value chosen = BatchFieldOp::create(b, select, indices, StepField::LogitRows, batch);
  init = empty(select, config.hidden, f32);
  hidden = SelectOp::create(b, select, init.getType(), hidden, chosen, init);
  hidden = norm("norm", "model.norm", hidden, compute);
  Location head = at("head");
  Value matrix = config.tiedEmbeddings ? weight("embed.weight", "model.embed_tokens.weight")
                                       : weight("head.weight", "lm_head.weight");
  init = empty(head, config.vocab, f32);
  Value logits = LinearOp::create(b, head, init.getType(), hidden, matrix, init, Value(), Value(), ActivationAttr());
  func::ReturnOp::create(b, loc, ValueRange{logits, cache});
}

OwningOpRef<ModuleOp> DecoderBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(at(options.name));
  b.setInsertionPointToStart(module->getBody());
  Location loc = at("model");
  ModelOp::create(b, loc, options.name, config.architecture, checkpoint.directory(), options.context, config.vocab,
                  config.hidden, config.layers);
  KvGroupOp::create(b, at("kv"), "kv", config.layers, config.kvHeads, config.headDim, kPageSize, compute);
  step(*module);
  return module;
}

llvm::Expected<OwningOpRef<ModuleOp>> kerf::buildDecoder(MLIRContext &context, const DecoderConfig &config,
                                                         const Checkpoint &checkpoint,
                                                         const DecoderBuildOptions &options) {
  // Bounds of the dialect's literals and takes.
  constexpr int64_t maxHeadDim = 2 * 4096, maxElements = int64_t{1} << 48;
  if (config.headDim > maxHeadDim)
    return importError("config.json: head_dim must be at most " + Twine(maxHeadDim) + ", got " + Twine(config.headDim));
  for (const ExpectedTensor &tensor : expectedTensors(config)) {
    const TensorInfo &info = *checkpoint.find(tensor.name)->info;
    uint64_t elements = info.bytes / (info.dtype == DType::F32 ? 4 : 2);
    if (elements >= uint64_t(maxElements))
      return importError(checkpoint.directory() + ": tensor '" + tensor.name + "' must have fewer than " +
                         Twine(maxElements) + " elements, got " + Twine(elements));
  }
  return DecoderBuilder(context, config, checkpoint, options).build();
}
