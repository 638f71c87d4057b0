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
        sum.add(getMask(&op), costed.getCost());
      } else if (!isFree(&op)) {
        ++sum.unknown[op.getName().getStringRef()];
      }
    }
}

void RegionCost::add(Attribute mask, const Cost &cost) {
  byMask[mask].bytes += cost.bytes;
  byMask[mask].operations += cost.operations;
}

Cost RegionCost::total() const {
  Cost total;
  for (const auto &[mask, cost] : byMask) {
    total.bytes += cost.bytes;
    total.operations += cost.operations;
  }
  return total;
}

Attribute kerf::getMask(Operation *op) {
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    auto list = attention.getWork().getDefiningOp<WorkListOp>();
    return list ? list.getMask() : Attribute();
  }
  if (auto dispatch = dyn_cast<DispatchOp>(op))
    for (Attribute operand : dispatch.getOperands_())
      if (auto step = dyn_cast<StepRefAttr>(operand); step && step.getField() == StepField::WorkItems)
        return cast<WorkAttr>(dispatch->getParentOfType<ProgramOp>().getWorkLists()[step.getList()]).getMask();
  return Attribute();
}

/// Sum over the integers x of [low, high] of the smaller of x and `most`; nothing where high < low.
static int64_t sumUpTo(int64_t low, int64_t high, int64_t most) {
  auto sum = [](__int128 low, __int128 high) { return high < low ? 0 : (low + high) * (high - low + 1) / 2; };
  const int64_t bend = std::clamp(most, low - 1, high);
  return static_cast<int64_t>(sum(low, bend) + static_cast<__int128>(high - bend) * most);
}

/// Keys that `rows` rows of a sequence see, each for itself and any of them, when `past` keys come before.
static std::pair<int64_t, int64_t> countKeys(int64_t rows, int64_t past, Attribute mask) {
  MaskRange range{std::nullopt, 0};
  if (auto interface = dyn_cast_or_null<MaskAttrInterface>(mask))
    range = interface.getRange();
  const int64_t length = past + rows;
  int64_t attended = rows * length, cached = length;
  if (range.ahead)
    attended = sumUpTo(past + 1 + *range.ahead, length + *range.ahead, length);
  if (range.behind) {
    // The sum of what is above 0: of all, less what is below.
    const int64_t low = past + 1 - *range.behind, high = length - *range.behind;
    attended -= sumUpTo(low, high, high) - sumUpTo(low, high, 0);
    cached -= std::max<int64_t>(0, low);
  }
  return {attended, cached};
}

RegionCost kerf::getRegionCost(Region &region) {
  RegionCost sum;
  addCost(region, sum);
  return sum;
}

Extents kerf::getStepExtents(int64_t tokens, int64_t sequences, int64_t past, int64_t logitRows, int64_t attentionTile,
                             Attribute mask) {
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
    auto [attended, cached] = countKeys(each, past, mask);
    extents[KERF_EXTENT_ATTENDED] += count * attended;
    extents[KERF_EXTENT_CACHED] += count * cached;
  }
  return extents;
}

int64_t kerf::evaluate(const LinearForm &form, const Extents &extents) {
  int64_t sum = 0;
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e) {
    int64_t product;
    if (llvm::MulOverflow(form.coefficient[e], extents[e], product) || llvm::AddOverflow(sum, product, sum))
      return std::numeric_limits<int64_t>::max();
  }
  return sum;
}

void kerf::printLinearForm(raw_ostream &os, const LinearForm &form) {
  bool first = true;
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e) {
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
