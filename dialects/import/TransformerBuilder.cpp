//===- TransformerBuilder.cpp - a transformer as a graph of kerf ops ------===//
//
// Where numbers are rounded (compute type C):
//
//   residual stream f32 ─ norm → C ─ q, k, v → f32 ─ rope → C (queries) ─ attention → C ─ o → f32 ─ add → f32
//                                                     └ append → C (keys, values)
//   residual stream f32 ─ norm → C ─ gate, up → f32 ─ gate → C ─ down → f32 ─ add → f32
//
// Without rope the product rounds the queries; an MLP without a gate has an activation in its place. Where norms follow
// the sums, what they give is both the next residual and what the next linear reads, so the residual stream is of type
// C:
//
//   residual stream C ─ q, k, v … o → f32 ─ add → f32 ─ norm → C ─ up → f32 ─ activation → C ─ down → f32 ─ add, norm →
//   C
// What a linear reads is of type C; what it writes stays f32 until the next op has used it, so that fusing the two
// changes no number.
//
//===----------------------------------------------------------------------===//

#include "dialects/import/TransformerBuilder.h"

#include "dialects/import/Checkpoint.h"
#include "dialects/kerf/KerfDialect.h"

#include "llvm/ADT/MapVector.h"

#include <cmath>

using namespace mlir;
using namespace kerf;

/// Positions in one page of the KV group.
static constexpr int64_t kPageSize = 64;

namespace {

class TransformerBuilder {
public:
  TransformerBuilder(MLIRContext &context, const TransformerConfig &config, const Checkpoint &checkpoint,
                     const TransformerBuildOptions &options)
      : config(config), checkpoint(checkpoint), options(options), b(&context), atWeights(&context), f32(b.getF32Type()),
        compute(options.computeType) {}

  OwningOpRef<ModuleOp> build();

private:
  Location at(const Twine &name) { return NameLoc::get(b.getStringAttr(name)); }
  Type elementType(DType dtype);
  Value empty(Location loc, int64_t columns, Type element);

  Value symbol(StringRef name, Attribute source);
  /// Out features [begin, begin + count) of a tensor that holds several linears.
  struct Part {
    int64_t begin, count;
  };
  Attribute take(const Twine &tensor);
  Value weight(const Twine &name, const Twine &tensor) { return symbol(name.str(), take(tensor)); }
  Value linear(const Twine &name, const Twine &tensor, Value input, bool bias, Type result,
               std::optional<Part> part = std::nullopt);
  Value norm(const Twine &name, const Twine &tensor, Value input, Type result);
  Value headNorm(const Twine &name, const Twine &tensor, Value input);
  Value add(const Twine &name, Value lhs, Value rhs);
  Value embed(const Twine &name, Value table, StepField ids);
  Value projection(const std::string &name, const std::string &tensors, Value input, char which, Type result);
  Value rope(const Twine &name, Value input, Type result);
  Value &workList(int64_t window);
  void ropeTable();

  Value attention(const std::string &name, const std::string &tensors, Value input, int64_t layer, Value &cache);
  Value mlp(const std::string &name, const std::string &tensors, Value input);
  std::pair<Value, Value> layer(int64_t index, Value hidden, Value cache);
  /// Begins a program whose result has that many columns; gives its cache.
  Value begin(ModuleOp module, StringRef name, int64_t columns);
  /// From the tokens of the step to what the last layer gives.
  Value layers(Value &cache);
  void step(ModuleOp module);
  void encode(ModuleOp module);

  const TransformerConfig &config;
  const Checkpoint &checkpoint;
  const TransformerBuildOptions &options;
  OpBuilder b, atWeights;
  Type f32, compute;
  llvm::StringMap<RankedTensorType> symbols;
  /// Of the program: the number of rows that `empty` makes room for, and what every layer shares.
  Value batch, rows, table;
  /// Work lists by window.
  llvm::MapVector<int64_t, Value> work;
};

} // namespace

Type TransformerBuilder::elementType(DType dtype) {
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

Value TransformerBuilder::empty(Location loc, int64_t columns, Type element) {
  return tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{ShapedType::kDynamic, columns}, element, rows);
}

/// The value of the weight @`name`, which is made of `source` at its first use.
Value TransformerBuilder::symbol(StringRef name, Attribute source) {
  Location loc = at(name);
  RankedTensorType &type = symbols[name];
  if (!type) {
    auto expression = cast<SourceAttrInterface>(source);
    type = RankedTensorType::get(expression.getShape(), expression.getElementType());
    WeightOp::create(atWeights, loc, name, type, FormatAttr::getDense(type.getElementType()), expression);
  }
  return GetWeightOp::create(b, loc, type, name);
}

Attribute TransformerBuilder::take(const Twine &tensor) {
  std::string name = tensor.str();
  const TensorInfo &info = *checkpoint.find(name)->info;
  return TakeAttr::get(b.getContext(), name, RankedTensorType::get(info.shape, elementType(info.dtype)));
}

Value TransformerBuilder::linear(const Twine &name, const Twine &tensor, Value input, bool hasBias, Type result,
                                 std::optional<Part> part) {
  Location loc = at(name);
  auto get = [&](StringRef suffix, bool transposed) {
    Attribute source = take(tensor + suffix);
    // Sliced before it is transposed: a transpose keeps what is under it in memory.
    if (part)
      source = SliceAttr::get(b.getContext(), transposed, part->begin, part->begin + part->count, source);
    if (transposed)
      source = TransposeAttr::get(b.getContext(), source);
    return symbol((name + suffix).str(), source);
  };
  Value matrix = get(".weight", config.transposedLinears);
  Value bias = hasBias ? get(".bias", false) : Value();
  Value init = empty(loc, cast<RankedTensorType>(matrix.getType()).getDimSize(0), result);
  return LinearOp::create(b, loc, init.getType(), input, matrix, init, bias, /*residual=*/Value(),
                          /*activation=*/ActivationAttr());
}

Value TransformerBuilder::norm(const Twine &name, const Twine &tensor, Value input, Type result) {
  Location loc = at(name);
  Value scale = weight(name + ".weight", tensor + ".weight");
  Value bias = config.norm == NormKind::Layer ? weight(name + ".bias", tensor + ".bias") : Value();
  Value init = empty(loc, cast<RankedTensorType>(input.getType()).getDimSize(1), result);
  FloatAttr eps = b.getF64FloatAttr(config.normEpsilon);
  if (bias)
    return LayerNormOp::create(b, loc, init.getType(), input, scale, bias, eps, init);
  return RmsNormOp::create(b, loc, init.getType(), input, scale, eps, init);
}

Value TransformerBuilder::headNorm(const Twine &name, const Twine &tensor, Value input) {
  Location loc = at(name);
  Value scale = weight(name + ".weight", tensor + ".weight");
  Value init = empty(loc, cast<RankedTensorType>(input.getType()).getDimSize(1), f32);
  return RmsNormOp::create(b, loc, init.getType(), input, scale, b.getF64FloatAttr(config.normEpsilon), init);
}

Value TransformerBuilder::add(const Twine &name, Value lhs, Value rhs) {
  Value init = empty(at(name), config.hidden, f32);
  return AddOp::create(b, at(name), init.getType(), lhs, rhs, init);
}

Value TransformerBuilder::embed(const Twine &name, Value table, StepField ids) {
  Location loc = at(name);
  auto indices = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  Value which = BatchFieldOp::create(b, loc, indices, ids, batch);
  Value init = empty(loc, config.hidden, f32);
  return EmbedOp::create(b, loc, init.getType(), which, table, init);
}

/// The linear `which` of q, k and v, with the norm of each head of queries and keys where there is one.
Value TransformerBuilder::projection(const std::string &name, const std::string &tensors, Value input, char which,
                                     Type result) {
  const TensorNames &names = config.names;
  const int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
  std::string linearName = name + "." + which;
  StringRef tensor = which == 'q' ? names.query : which == 'k' ? names.key : names.value;
  std::optional<Part> part;
  if (!names.queryKeyValue.empty()) {
    tensor = names.queryKeyValue;
    part = which == 'q' ? Part{0, queries} : Part{which == 'k' ? queries : queries + keys, keys};
  }
  Value projected = linear(linearName, tensors + tensor, input, config.qkvBias, result, part);
  if (config.qkNorm && which != 'v')
    return headNorm(linearName + "_norm", tensors + (which == 'q' ? names.queryNorm : names.keyNorm), projected);
  return projected;
}

Value TransformerBuilder::rope(const Twine &name, Value input, Type result) {
  Location loc = at(name);
  Value init = empty(loc, cast<RankedTensorType>(input.getType()).getDimSize(1), result);
  return RopeOp::create(b, loc, init.getType(), input, table, init);
}

Value TransformerBuilder::attention(const std::string &name, const std::string &tensors, Value input, int64_t layer,
                                    Value &cache) {
  // Queries are complete before the append, where the optimize phase puts what it makes of both.
  const bool rotated = !!config.rope;
  Value query = projection(name, tensors, input, 'q', rotated ? f32 : compute);
  if (rotated)
    query = rope(name + ".q_rope", query, compute);
  Value key = projection(name, tensors, input, 'k', f32);
  if (rotated)
    key = rope(name + ".k_rope", key, f32);
  Value value = projection(name, tensors, input, 'v', f32);

  auto group = FlatSymbolRefAttr::get(b.getContext(), "kv");
  IntegerAttr plane = b.getI64IntegerAttr(config.encoder ? 0 : layer);
  cache = KvAppendOp::create(b, at(name + ".append"), cache.getType(), key, value, batch, cache, group, plane);
  Location loc = at(name);
  Value init = empty(loc, config.heads * config.headDim, compute);
  double scale = config.scaleScores ? 1 / std::sqrt(double(config.headDim)) : 1;
  if (config.scaleScoresByLayer)
    scale /= double(layer + 1);
  auto attended =
      AttentionOp::create(b, loc, init.getType(), /*log_sum_exp=*/Type(), query, workList(config.windows[layer]), cache,
                          group, plane, b.getF64FloatAttr(scale), init, /*lse_init=*/Value());
  return linear(name + ".o", tensors + config.names.output, attended.getResult(), config.outputBias, f32);
}

/// What attention of a layer with such a window (0 for none) has to do: one work list for all of its kind.
Value &TransformerBuilder::workList(int64_t window) {
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
  case MlpActivation::Relu:
    return Activation::Relu;
  }
  llvm_unreachable("all activations are named above");
}

Value TransformerBuilder::mlp(const std::string &name, const std::string &tensors, Value input) {
  const TensorNames &names = config.names;
  Value gate = config.gatedMlp ? linear(name + ".gate", tensors + names.gate, input, config.mlpBias, f32) : Value();
  Value inner = linear(name + ".up", tensors + names.up, input, config.mlpBias, f32);
  Value init = empty(at(name), config.intermediate, compute);
  if (gate)
    inner = GateOp::create(b, at(name), init.getType(), toOp(config.activation), gate, inner, init);
  else
    inner = ActivationOp::create(b, at(name), init.getType(), toOp(config.activation), inner, init);
  return linear(name + ".down", tensors + names.down, inner, config.mlpBias, f32);
}

std::pair<Value, Value> TransformerBuilder::layer(int64_t index, Value hidden, Value cache) {
  const TensorNames &names = config.names;
  std::string name = "layers." + std::to_string(index);
  std::string tensors = (names.prefix + names.layers + "." + Twine(index) + ".").str();
  Location loc = at(name);
  Type types[] = {hidden.getType(), cache.getType()};
  auto op = LayerOp::create(b, loc, types, b.getI64IntegerAttr(index), ValueRange{hidden, cache});
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&op.getBody(), {}, types, {loc, loc});
  hidden = body->getArgument(0);
  cache = body->getArgument(1);
  const std::string attentionNorm = tensors + names.attentionNorm.str(), mlpNorm = tensors + names.mlpNorm.str();
  const bool before = !config.normAfter;
  Value input = before ? norm(name + ".attn.norm", attentionNorm, hidden, compute) : hidden;
  hidden = add(name + ".attn.residual", hidden, attention(name + ".attn", tensors, input, index, cache));
  if (!before)
    hidden = norm(name + ".attn.norm", attentionNorm, hidden, compute);
  input = before ? norm(name + ".mlp.norm", mlpNorm, hidden, compute) : hidden;
  hidden = add(name + ".mlp.residual", hidden, mlp(name + ".mlp", tensors, input));
  if (!before)
    hidden = norm(name + ".mlp.norm", mlpNorm, hidden, compute);
  YieldOp::create(b, loc, ValueRange{hidden, cache});
  return {op.getResult(0), op.getResult(1)};
}

void TransformerBuilder::ropeTable() {
  Location loc = at("rope");
  auto indices = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  Value positions = BatchFieldOp::create(b, loc, indices, StepField::Positions, batch);
  RopeFrequencies rope = ropeInverseFrequencies(*config.rope, config.headDim);
  auto type = RankedTensorType::get({config.headDim / 2}, f32);
  Value angles = symbol("rope.frequencies",
                        LiteralAttr::get(b.getContext(), DenseElementsAttr::get(type, ArrayRef(rope.inverse))));
  Value init = empty(loc, config.headDim, f32);
  table = RopeTableOp::create(b, loc, init.getType(), positions, angles, b.getF64FloatAttr(rope.attentionFactor), init);
}

Value TransformerBuilder::begin(ModuleOp module, StringRef name, int64_t columns) {
  Location loc = at(name);
  auto cacheType = CacheType::get(b.getContext());
  Type inputs[] = {BatchType::get(b.getContext()), cacheType};
  Type outputs[] = {RankedTensorType::get({ShapedType::kDynamic, columns}, f32), cacheType};
  auto function = func::FuncOp::create(b, loc, name, b.getFunctionType(inputs, outputs));
  atWeights.setInsertionPoint(function);
  Block *body = function.addEntryBlock();
  b.setInsertionPointToStart(body);
  batch = body->getArgument(0);
  rows = ExtentOp::create(b, loc, Extent::Tokens, batch);
  for (int64_t window : config.windows)
    workList(window);
  for (auto &[window, list] : work) {
    Attribute mask = window ? Attribute(WindowAttr::get(b.getContext(), window)) : CausalAttr::get(b.getContext());
    if (config.encoder)
      mask = BidirectionalAttr::get(b.getContext());
    list = WorkListOp::create(b, loc, batch, FlatSymbolRefAttr::get(b.getContext(), "kv"), mask);
  }
  return body->getArgument(1);
}

Value TransformerBuilder::layers(Value &cache) {
  const TensorNames &names = config.names;
  Value hidden =
      embed("embed", weight("embed.weight", names.prefix + names.embedding + ".weight"), StepField::TokenIds);
  if (config.rope) {
    ropeTable();
  } else {
    Attribute positions = take(names.prefix + names.positions + ".weight");
    // A text is one segment, so every token adds the first type: to its position, while packing.
    if (config.tokenTypes)
      positions =
          SumAttr::get(b.getContext(), positions,
                       SliceAttr::get(b.getContext(), 0, 0, 1, take(names.prefix + names.tokenTypes + ".weight")));
    hidden = add("embed.sum", hidden, embed("positions", symbol("positions.weight", positions), StepField::Positions));
  }
  if (!names.embeddingNorm.empty())
    hidden = norm("embed.norm", names.prefix + names.embeddingNorm, hidden, config.normAfter ? compute : f32);
  for (int64_t index = 0; index < config.layers; ++index)
    std::tie(hidden, cache) = layer(index, hidden, cache);
  return hidden;
}

void TransformerBuilder::step(ModuleOp module) {
  Location loc = at("step");
  const TensorNames &names = config.names;
  Value cache = begin(module, "step", config.vocab);
  Value hidden = layers(cache);
  // Rows are chosen before the norm: most rows of a prompt want no logits.
  Location select = at("select");
  rows = ExtentOp::create(b, select, Extent::LogitRows, batch);
  auto indices = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  Value chosen = BatchFieldOp::create(b, select, indices, StepField::LogitRows, batch);
  Value init = empty(select, config.hidden, f32);
  hidden = SelectOp::create(b, select, init.getType(), hidden, chosen, init);
  hidden = norm("norm", names.prefix + names.norm, hidden, compute);
  Location head = at("head");
  Value matrix = config.tiedEmbeddings ? weight("embed.weight", names.prefix + names.embedding + ".weight")
                                       : weight("head.weight", names.head + ".weight");
  init = empty(head, config.vocab, f32);
  Value logits = LinearOp::create(b, head, init.getType(), hidden, matrix, init, Value(), Value(), ActivationAttr());
  func::ReturnOp::create(b, loc, ValueRange{logits, cache});
}

static kerf::Pooling toOp(SentencePooling pooling) {
  switch (pooling) {
  case SentencePooling::Mean:
    return Pooling::Mean;
  case SentencePooling::First:
    return Pooling::First;
  case SentencePooling::Last:
    return Pooling::Last;
  case SentencePooling::Max:
    return Pooling::Max;
  }
  llvm_unreachable("all poolings are named above");
}

void TransformerBuilder::encode(ModuleOp module) {
  Location loc = at("encode"), pool = at("pool");
  Value cache = begin(module, "encode", config.hidden);
  Value hidden = layers(cache);
  auto indices = RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type());
  rows = ExtentOp::create(b, pool, Extent::Sequences, batch);
  Value first = BatchFieldOp::create(b, pool, indices, StepField::FirstRows, batch);
  Value count = BatchFieldOp::create(b, pool, indices, StepField::RowCounts, batch);
  Value init = empty(pool, config.hidden, f32);
  Value vectors = PoolOp::create(b, pool, init.getType(), toOp(options.sentence.pooling), hidden, first, count, init);
  if (options.sentence.normalize) {
    // x / |x| is the root mean square norm of x with a gain of 1 / sqrt(columns).
    Location normalize = at("normalize");
    auto type = RankedTensorType::get({config.hidden}, f32);
    auto gain = DenseElementsAttr::get(type, float(1 / std::sqrt(double(config.hidden))));
    Value scale = symbol("normalize.scale", LiteralAttr::get(b.getContext(), gain));
    init = empty(normalize, config.hidden, f32);
    vectors = RmsNormOp::create(b, normalize, init.getType(), vectors, scale,
                                b.getF64FloatAttr(1e-24 / double(config.hidden)), init);
  }
  func::ReturnOp::create(b, loc, ValueRange{vectors, cache});
}

OwningOpRef<ModuleOp> TransformerBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(at(options.name));
  b.setInsertionPointToStart(module->getBody());
  Location loc = at("model");
  ModelOp::create(b, loc, options.name, config.architecture, checkpoint.directory(), options.context, config.vocab,
                  config.hidden, config.layers);
  // The keys of an encoder's layer are read in that layer and never again, so that one plane serves all.
  int64_t planes = config.encoder ? 1 : config.layers;
  KvGroupOp::create(b, at("kv"), "kv", planes, config.kvHeads, config.headDim, kPageSize, compute);
  if (config.encoder)
    encode(*module);
  else
    step(*module);
  return module;
}

llvm::Expected<OwningOpRef<ModuleOp>> kerf::buildTransformer(MLIRContext &context, const TransformerConfig &config,
                                                             const Checkpoint &checkpoint,
                                                             const TransformerBuildOptions &options) {
  // Bounds of the dialect's literals and takes.
  constexpr int64_t maxHeadDim = 2 * 4096, maxElements = int64_t{1} << 48;
  if (config.headDim > maxHeadDim)
    return importError("config.json: head_dim must be at most " + Twine(maxHeadDim) + ", got " + Twine(config.headDim));
  if (options.sentence.normalize && config.hidden > maxHeadDim / 2)
    return importError("config.json: hidden_size must be at most " + Twine(maxHeadDim / 2) +
                       " where vectors are normalized, got " + Twine(config.hidden));
  for (const ExpectedTensor &tensor : expectedTensors(config)) {
    const TensorInfo &info = *checkpoint.find(tensor.name)->info;
    uint64_t elements = info.bytes / (info.dtype == DType::F32 ? 4 : 2);
    if (elements >= uint64_t(maxElements))
      return importError(checkpoint.directory() + ": tensor '" + tensor.name + "' must have fewer than " +
                         Twine(maxElements) + " elements, got " + Twine(elements));
  }
  return TransformerBuilder(context, config, checkpoint, options).build();
}
