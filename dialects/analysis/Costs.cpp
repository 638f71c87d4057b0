// Sums of costs, and their values for one step.
#include "dialects/analysis/Costs.h"
#include "dialects/kerf/KerfDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace kerf;

/// Whether an op without a cost moves nothing: kerf ops that only name things (sizes, fields, weights, destinations),
/// destinations not yet planned, terminators and arithmetic on indices.
static bool isFree(Operation *op) {
  if (isa_and_nonnull<KerfDialect>(op->getDialect()) || isa<tensor::EmptyOp, tensor::DimOp>(op) ||
      op->hasTrait<OpTrait::IsTerminator>())
    return true;
  auto holdsData = [](Type type) { return isa<ShapedType>(type); };
  return op->getNumRegions() == 0 && llvm::none_of(op->getOperandTypes(), holdsData) &&
         llvm::none_of(op->getResultTypes(), holdsData);
}

static void addCost(Region &region, RegionCost &sum) {
  for (Block &block : region)
    for (Operation &op : block) {
      if (auto layer = dyn_cast<LayerOp>(op)) {
        addCost(layer.getBody(), sum);
      } else if (auto costed = dyn_cast<CostOpInterface>(op)) {
        Cost cost = costed.getCost();
        sum.total.bytes += cost.bytes;
        sum.total.operations += cost.operations;
      } else if (!isFree(&op)) {
        ++sum.unknown[op.getName().getStringRef()];
      }
    }
}

RegionCost kerf::getRegionCost(Region &region) {
  RegionCost sum;
  addCost(region, sum);
  return sum;
}

Extents kerf::getStepExtents(int64_t tokens, int64_t sequences, int64_t past, int64_t logitRows,
                             int64_t attentionTile) {
  Extents extents{};
  extents[KERF_EXTENT_ONE] = 1;
  extents[KERF_EXTENT_TOKENS] = tokens;
  // A sequence without rows is not in the step.
  sequences = std::min(sequences, tokens);
  extents[KERF_EXTENT_SEQUENCES] = sequences;
  extents[KERF_EXTENT_LOGIT_ROWS] = logitRows;
  if (sequences == 0)
    return extents;
  int64_t rows = tokens / sequences, longer = tokens % sequences;
  for (auto [count, each] : {std::pair{sequences - longer, rows}, std::pair{longer, rows + 1}}) {
    extents[KERF_EXTENT_WORK_ITEMS] += count * llvm::divideCeil(each, attentionTile);
    extents[KERF_EXTENT_ATTENDED] += count * (each * past + each * (each + 1) / 2);
    extents[KERF_EXTENT_CACHED] += count * (each + past);
  }
  return extents;
}

int64_t kerf::evaluate(const LinearForm &form, const Extents &extents) {
  int64_t sum = 0;
  for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e) {
    int64_t product;
    if (llvm::MulOverflow(form.coefficient[e], extents[e], product) || llvm::AddOverflow(sum, product, sum))
      return std::numeric_limits<int64_t>::max();
  }
  return sum;
}

void kerf::printLinearForm(raw_ostream &os, const LinearForm &form) {
  bool first = true;
  for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e) {
    if (form.coefficient[e] == 0)
      continue;
    os << (first ? "" : " + ") << form.coefficient[e];
    if (e != KERF_EXTENT_ONE)
      os << '*' << stringifyExtent(static_cast<Extent>(e));
    first = false;
  }
  if (first)
    os << '0';
}
