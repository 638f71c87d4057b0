// Makes one linear of the query, key and value projections. The input is read once, and head norms, rotations and the
// append follow in one op. It starts from attention because only there do the three meet.
#include "dialects/kerf/KerfDialect.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/Passes.h"

namespace kerf {
#define GEN_PASS_DEF_FUSEPROJECTIONS
#include "passes/Passes.h.inc"
} // namespace kerf

using namespace mlir;
using namespace kerf;

namespace {

/// A linear that alone feeds its reader and is nothing but a product and a bias; null for anything else.
LinearOp matchProjection(Value value) {
  auto linear = value.getDefiningOp<LinearOp>();
  return linear && linear->hasOneUse() && !linear.getResidual() && !linear.getActivation() ? linear : nullptr;
}

/// A linear through an optional head norm and an optional rotation, which are all read by the next alone.
struct HeadProjection {
  RopeOp rope;
  RmsNormOp norm;
  LinearOp linear;

  static FailureOr<HeadProjection> match(Value value, int64_t headDim) {
    HeadProjection found;
    found.rope = value.getDefiningOp<RopeOp>();
    if (found.rope) {
      if (!found.rope->hasOneUse() || found.rope.getTable().getType().getDimSize(1) != headDim)
        return failure();
      value = found.rope.getInput();
    }
    found.norm = value.getDefiningOp<RmsNormOp>();
    if (found.norm) {
      // A norm over several heads at once is not a head norm.
      if (!found.norm->hasOneUse() || found.norm.getScale().getType().getDimSize(0) != headDim)
        return failure();
      value = found.norm.getInput();
    }
    found.linear = matchProjection(value);
    if (!found.linear)
      return failure();
    return found;
  }

  /// The op whose result the heads are.
  DestinationStyleOpInterface last() {
    return rope   ? DestinationStyleOpInterface(rope)
           : norm ? DestinationStyleOpInterface(norm)
                  : DestinationStyleOpInterface(linear);
  }
  Value table() { return rope ? Value(rope.getTable()) : Value(); }
  /// Erases its ops, the last of which is read no more.
  void erase() {
    for (Operation *op : {rope.getOperation(), norm.getOperation(), linear.getOperation()})
      if (op)
        op->erase();
  }
};

class Fuser {
public:
  explicit Fuser(ModuleOp module) : module(module), symbols(module), builder(module.getContext()) {}

  /// Fuses what feeds `attention` if it has the shape that the pass describes.
  void fuse(AttentionOp attention) {
    auto append = attention.getCache().getDefiningOp<KvAppendOp>();
    if (!append || append.getGroup() != attention.getGroup() || append.getPlane() != attention.getPlane())
      return;
    const int64_t headDim = lookupKvGroup(append, append.getGroupAttr()).getHeadDim();
    auto query = HeadProjection::match(attention.getQueries(), headDim);
    auto key = HeadProjection::match(append.getKeys(), headDim);
    LinearOp value = matchProjection(append.getValues());
    if (failed(query) || failed(key) || !value)
      return;
    // All moves to where the append is, so what the queries need must be there already.
    Operation *last = query->last();
    if (last->getBlock() != append->getBlock() || !last->isBeforeInBlock(append))
      return;
    LinearOp linears[] = {query->linear, key->linear, value};
    if (query->table() != key->table() || !query->norm != !key->norm)
      return;
    if (query->norm && (query->norm.getEps() != key->norm.getEps() ||
                        query->norm.getScale().getType() != key->norm.getScale().getType()))
      return;
    Type element = value.getInit().getType().getElementType();
    for (LinearOp linear : linears) {
      // Queries that are a bare product may be rounded by it: then the fused op does that.
      bool rounds = linear == last && element.isF32();
      if (linear.getInput() != value.getInput() || !linear.getBias() != !value.getBias() ||
          (linear.getInit().getType().getElementType() != element && !rounds))
        return;
    }

    auto weights = findParts(linears, [](LinearOp op) { return op.getWeight(); });
    auto biases =
        value.getBias() ? findParts(linears, [](LinearOp op) { return op.getBias(); }) : SmallVector<WeightOp>();
    if (failed(weights) || failed(biases))
      return;
    builder.setInsertionPoint(append);
    Value weight = concat(*weights);
    Value bias = biases->empty() ? Value() : concat(*biases);
    replace(append, *query, *key, value, weight, bias);
  }

  /// Erases the weights that nothing reads any more.
  void eraseUnread() {
    SymbolUserMap users(tables, module);
    for (WeightOp weight : llvm::SmallSetVector<WeightOp, 32>(replaced.begin(), replaced.end())) {
      bool read = llvm::any_of(users.getUsers(weight), [](Operation *user) { return !user->use_empty(); });
      if (read)
        continue;
      for (Operation *user : users.getUsers(weight))
        user->erase();
      symbols.erase(weight);
    }
  }

private:
  /// The weights that `get` takes of each linear; fails if one of them is not a weight or the formats differ.
  FailureOr<SmallVector<WeightOp>> findParts(ArrayRef<LinearOp> linears, function_ref<Value(LinearOp)> get) {
    SmallVector<WeightOp> parts;
    for (LinearOp linear : linears) {
      auto reference = get(linear).getDefiningOp<GetWeightOp>();
      auto part = reference ? symbols.lookup<WeightOp>(reference.getWeight()) : nullptr;
      if (!part || part.getFormat() != (parts.empty() ? part : parts.front()).getFormat())
        return failure();
      parts.push_back(part);
    }
    return parts;
  }

  /// A weight that joins `parts`.
  Value concat(MutableArrayRef<WeightOp> parts) {
    SmallVector<Attribute> sources;
    SmallVector<Location> locations;
    int64_t rows = 0;
    for (WeightOp part : parts) {
      sources.push_back(part.getSource());
      locations.push_back(part.getLoc());
      rows += part.getTensorType().getDimSize(0);
    }
    SmallVector<int64_t> shape(parts.front().getTensorType().getShape());
    shape[0] = rows;
    auto type = RankedTensorType::get(shape, parts.front().getTensorType().getElementType());
    auto source = ConcatAttr::get(module.getContext(), 0, sources);

    // "layers.0.attn.q.weight", … become "layers.0.attn.q+k+v.weight".
    StringRef first = parts.front().getSymName();
    auto [path, suffix] = first.rsplit('.');
    std::string name = path.str();
    for (WeightOp part : parts.drop_front())
      name += "+" + part.getSymName().rsplit('.').first.rsplit('.').second.str();
    name += "." + suffix.str();

    OpBuilder atWeights(parts.front().getOperation());
    auto joined = WeightOp::create(atWeights, builder.getFusedLoc(locations), name, type, parts.front().getFormat(),
                                   cast<SourceAttrInterface>(Attribute(source)));
    symbols.insert(joined);
    replaced.append(parts.begin(), parts.end());
    return GetWeightOp::create(builder, joined.getLoc(), type, joined.getSymName());
  }

  void replace(KvAppendOp append, HeadProjection &query, HeadProjection &key, LinearOp value, Value weight,
               Value bias) {
    int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    auto oldInit = value.getInit().getType();
    auto type = RankedTensorType::get({oldInit.getDimSize(0), columns}, oldInit.getElementType());
    Location loc = builder.getFusedLoc({query.linear.getLoc(), key.linear.getLoc(), value.getLoc()});
    builder.setInsertionPoint(append);
    auto empty = value.getInit().getDefiningOp<tensor::EmptyOp>();
    Value rows = empty && empty.getNumOperands() == 1
                     ? empty.getDynamicSizes().front()
                     : tensor::DimOp::create(builder, loc, value.getInit(), 0).getResult();
    Value init = tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType(), ValueRange{rows});
    Value projected = LinearOp::create(builder, loc, type, value.getInput(), weight, init, bias, /*residual=*/Value(),
                                       /*activation=*/ActivationAttr());
    double eps = query.norm ? query.norm.getEpsAttr().getValueAsDouble() : 1e-6;
    DestinationStyleOpInterface last = query.last();
    Value queries = last.getDpsInits().front();
    auto fused = RopeAppendOp::create(
        builder, builder.getFusedLoc({last.getLoc(), key.last().getLoc(), append.getLoc()}), queries.getType(),
        append.getCache().getType(), projected, append.getBatch(), append.getCache(), queries, query.table(),
        query.norm ? query.norm.getScale() : Value(), key.norm ? key.norm.getScale() : Value(), append.getGroupAttr(),
        append.getPlaneAttr(), builder.getF64FloatAttr(eps));
    last->getResult(0).replaceAllUsesWith(fused.getQueries());
    append.getResult().replaceAllUsesWith(fused.getResult());
    append.erase();
    query.erase();
    key.erase();
    value.erase();
  }

  ModuleOp module;
  SymbolTable symbols;
  SymbolTableCollection tables;
  OpBuilder builder;
  SmallVector<WeightOp> replaced;
};

struct FuseProjectionsPass : kerf::impl::FuseProjectionsBase<FuseProjectionsPass> {
  void runOnOperation() override {
    Fuser fuser(getOperation());
    SmallVector<AttentionOp> attentions;
    getOperation().walk([&](AttentionOp op) { attentions.push_back(op); });
    for (AttentionOp attention : attentions)
      fuser.fuse(attention);
    fuser.eraseUnread();
  }
};

} // namespace
