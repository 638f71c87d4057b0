// Plans the arena. Sizes are linear in the extents of a step, so slots are shared by colouring, not by packing offsets:
// the arena is the sum of the slots, a closed formula that the package can state, and smaller steps reuse the offsets
// of the largest one.
#include "dialects/kerf/KerfPrograms.h"
#include "passes/Passes.h"

namespace kerf {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"
} // namespace kerf

using namespace mlir;
using namespace kerf;

namespace {

/// How much a slot of this size grows to hold that one, as bytes of a step with as many tokens as all other extents.
int64_t getGrowth(const LinearForm &slot, const LinearForm &size) {
  int64_t growth = 0;
  for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e)
    growth += std::max<int64_t>(0, size.coefficient[e] - slot.coefficient[e]);
  return growth;
}

/// Assigns slots to the destinations of one straight-line program.
class Planner {
public:
  explicit Planner(func::FuncOp program) : program(program), body(program.getBody().front()) {}

  LogicalResult run() {
    if (!program.getBody().hasOneBlock())
      return program.emitOpError("must be straight-line code to be planned, got several blocks");
    if (failed(checkOutputs()))
      return failure();
    number();
    for (Operation &op : llvm::make_early_inc_range(body))
      if (failed(place(&op)))
        return failure();
    // Destinations that no op uses any more.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
      if (isa<tensor::EmptyOp>(op) && op.use_empty())
        op.erase();
    return success();
  }

private:
  /// The caller's memory is written and never read, so what goes there can go nowhere else.
  LogicalResult checkOutputs() {
    Operation *end = body.getTerminator();
    for (OpOperand &output : end->getOpOperands()) {
      if (!isa<RankedTensorType>(output.get().getType()))
        continue;
      if (!output.get().getDefiningOp<DestinationStyleOpInterface>() || !output.get().hasOneUse())
        return end->emitOpError("output ")
               << output.getOperandNumber() << " must be written by an op and read by nothing else to be planned, got "
               << output.get();
    }
    return success();
  }

  /// The last op that reads each tensor result, as its position in the program.
  void number() {
    int64_t position = 0;
    for (Operation &op : body)
      positions[&op] = position++;
    for (Operation &op : body)
      for (Value result : op.getResults()) {
        int64_t last = positions[&op];
        for (Operation *user : result.getUsers())
          last = std::max(last, positions.lookup(user));
        lastUse[result] = last;
      }
  }

  LogicalResult place(Operation *op) {
    auto style = dyn_cast<DestinationStyleOpInterface>(op);
    if (!style)
      return success();
    int64_t now = positions.lookup(op);
    for (int64_t i = 0; i < style.getNumDpsInits(); ++i) {
      OpOperand *init = style.getDpsInitOperand(i);
      auto empty = init->get().getDefiningOp<tensor::EmptyOp>();
      if (!empty)
        return op->emitOpError("destination must be a tensor.empty to be planned, got ") << init->get();
      OpResult result = style.getTiedOpResult(init);
      OpBuilder builder(op);
      if (auto output = getOutputNumber(result)) {
        init->set(ResultOp::create(builder, op->getLoc(), empty.getType(), *output, empty.getDynamicSizes()));
        continue;
      }
      LinearForm size = getBytes(empty.getResult());
      int64_t slot = takeSlot(size, now, lastUse.lookup(result));
      init->set(SlotOp::create(builder, op->getLoc(), empty.getType(), slot, empty.getDynamicSizes(),
                               getSizeAttr(builder.getContext(), size)));
    }
    return success();
  }

  /// Which output of the program `value` is, if it is read by the return and by nothing else.
  std::optional<int64_t> getOutputNumber(OpResult value) {
    if (!value.hasOneUse() || !isa<func::ReturnOp>(*value.getUsers().begin()))
      return std::nullopt;
    return value.getUses().begin()->getOperandNumber();
  }

  int64_t takeSlot(const LinearForm &size, int64_t now, int64_t until) {
    int64_t best = -1;
    for (auto [index, slot] : llvm::enumerate(slots)) {
      // What op `now` reads is alive while it writes.
      if (slot.busyUntil >= now)
        continue;
      if (best < 0 || getGrowth(slot.size, size) < getGrowth(slots[best].size, size))
        best = index;
    }
    if (best < 0) {
      best = slots.size();
      slots.push_back({});
    }
    for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e)
      slots[best].size.coefficient[e] = std::max(slots[best].size.coefficient[e], size.coefficient[e]);
    slots[best].busyUntil = until;
    return best;
  }

  struct Slot {
    LinearForm size;
    int64_t busyUntil = -1;
  };

  func::FuncOp program;
  Block &body;
  DenseMap<Operation *, int64_t> positions;
  DenseMap<Value, int64_t> lastUse;
  SmallVector<Slot> slots;
};

struct PlanMemoryPass : kerf::impl::PlanMemoryBase<PlanMemoryPass> {
  void runOnOperation() override {
    for (auto program : getOperation().getOps<func::FuncOp>()) {
      if (!isProgram(program))
        continue;
      inlineLayers(program);
      if (failed(Planner(program).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
