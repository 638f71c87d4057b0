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

/// `kerf.rope` of an optional head norm of a linear.
struct RotatedProjection {
  RopeOp rope;
  RmsNormOp norm;
  LinearOp linear;

  static FailureOr<RotatedProjection> match(Value value) {
    RotatedProjection found;
    found.rope = value.getDefiningOp<RopeOp>();
    if (!found.rope || !found.rope->hasOneUse())
      return failure();
    Value input = found.rope.getInput();
    found.norm = input.getDefiningOp<RmsNormOp>();
    if (found.norm) {
      // A norm over several heads at once is not a head norm.
      if (!found.norm->hasOneUse() ||
          found.norm.getScale().getType().getDimSize(0) != found.rope.getTable().getType().getDimSize(1))
        return failure();
      input = found.norm.getInput();
    }
    found.linear = input.getDefiningOp<LinearOp>();
    if (!found.linear || !found.linear->hasOneUse() || found.linear.getResidual())
      return failure();
    return found;
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
    auto query = RotatedProjection::match(attention.getQueries());
    auto key = RotatedProjection::match(append.getKeys());
    auto value = append.getValues().getDefiningOp<LinearOp>();
    if (failed(query) || failed(key) || !value || !value->hasOneUse() || value.getResidual())
      return;
    // All moves to where the append is, so what the queries need must be there already.
    if (query->rope->getBlock() != append->getBlock() || !query->rope->isBeforeInBlock(append))
      return;
    LinearOp linears[] = {query->linear, key->linear, value};
    if (query->rope.getTable() != key->rope.getTable() || !query->norm != !key->norm)
      return;
    if (query->norm && (query->norm.getEps() != key->norm.getEps() ||
                        query->norm.getScale().getType() != key->norm.getScale().getType()))
      return;
    for (LinearOp linear : linears)
      if (linear.getInput() != value.getInput() || !linear.getBias() != !value.getBias() ||
          linear.getInit().getType().getElementType() != value.getInit().getType().getElementType())
        return;

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
      for (Operation *user : llvm::make_early_inc_range(llvm::to_vector(users.getUsers(weight))))
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

  void replace(KvAppendOp append, RotatedProjection &query, RotatedProjection &key, LinearOp value, Value weight,
               Value bias) {
    int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    auto oldInit = query.linear.getInit().getType();
    auto type = RankedTensorType::get({oldInit.getDimSize(0), columns}, oldInit.getElementType());
    Location loc = builder.getFusedLoc({query.linear.getLoc(), key.linear.getLoc(), value.getLoc()});
    builder.setInsertionPoint(append);
    auto empty = query.linear.getInit().getDefiningOp<tensor::EmptyOp>();
    Value rows = empty && empty.getNumOperands() == 1
                     ? empty.getDynamicSizes().front()
                     : tensor::DimOp::create(builder, loc, query.linear.getInit(), 0).getResult();
    Value init = tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType(), ValueRange{rows});
    Value projected = LinearOp::create(builder, loc, type, value.getInput(), weight, init, bias, Value());
    double eps = query.norm ? query.norm.getEpsAttr().getValueAsDouble() : 1e-6;
    auto fused =
        RopeAppendOp::create(builder, builder.getFusedLoc({query.rope.getLoc(), key.rope.getLoc(), append.getLoc()}),
                             query.rope.getInit().getType(), append.getCache().getType(), projected,
                             query.rope.getTable(), append.getBatch(), append.getCache(), query.rope.getInit(),
                             query.norm ? query.norm.getScale() : Value(), key.norm ? key.norm.getScale() : Value(),
                             append.getGroupAttr(), append.getPlaneAttr(), builder.getF64FloatAttr(eps));
    query.rope.getResult().replaceAllUsesWith(fused.getQueries());
    append.getResult().replaceAllUsesWith(fused.getResult());
    append.erase();
    for (RotatedProjection *part : {&query, &key}) {
      part->rope.erase();
      if (part->norm)
        part->norm.erase();
      part->linear.erase();
    }
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
