// Verifiers of planned programs, and what their kernels promise.
#include "dialects/kerf/KerfPrograms.h"

#include <set>

using namespace mlir;
using namespace kerf;

LogicalResult SlotOp::verify() {
  // C1
  if (getIndex() < 0)
    return emitOpError("index must not be negative, got ") << getIndex();
  return success();
}

LogicalResult DispatchOp::verify() {
  // C1
  for (Attribute operand : getOperands_())
    if (!isa<SlotRefAttr, WeightRefAttr, StepRefAttr, CacheRefAttr, ResultRefAttr>(operand))
      return emitOpError("operands must be slot_ref, weight_ref, step_ref, cache_ref or result_ref, got ") << operand;
  // C2
  if (getRows() == Extent::Attended || getRows() == Extent::Cached)
    return emitOpError("rows must be one, tokens, sequences, logit_rows or work_items, got ")
           << stringifyExtent(getRows());
  // C3
  auto program = (*this)->getParentOfType<ProgramOp>();
  int64_t lists = program.getWorkLists().size(), results = program.getResults().size();
  for (Attribute operand : getOperands_()) {
    auto step = dyn_cast<StepRefAttr>(operand);
    if (step &&
        (step.getField() == StepField::WorkItems ? step.getList() < 0 || step.getList() >= lists : step.getList() != 0))
      return emitOpError("list must be one of the program's ") << lists << " work lists, got " << operand;
    auto result = dyn_cast<ResultRefAttr>(operand);
    if (result && (result.getIndex() < 0 || result.getIndex() >= results))
      return emitOpError("result must be one of the program's ") << results << ", got " << operand;
  }
  return success();
}

LogicalResult KernelOp::verify() {
  // C1
  if (getTile() <= 0 || getColumns() <= 0 || getStack() < 0)
    return emitOpError("tile and columns must be positive and stack not negative, got ")
           << getTile() << ", " << getColumns() << " and " << getStack();
  return success();
}

OrderBands kerf::getOrderBands(VariantOp variant) {
  std::set<uint32_t> firstRows = {1};
  OrderBands bands;
  for (auto kernel : variant.getOps<GpuKernelOp>()) {
    // The order in which outputs are added up, by condition; launches of one condition come by ascending rows.
    std::array<std::optional<int64_t>, 3> order;
    for (auto launch : kernel.getLaunches().getAsRange<LaunchAttr>()) {
      std::optional<int64_t> &before = order[static_cast<unsigned>(launch.getWhen())];
      if (before && *before != launch.getOrder())
        firstRows.insert(launch.getLeast());
      before = launch.getOrder();
    }
    const auto &[always, single, several] = order;
    bands.byItem |= single && several && *single != *several;
  }
  llvm::append_range(bands.firstRows, firstRows);
  return bands;
}
