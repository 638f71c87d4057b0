// Shows where a step's bytes and operations go before anything is compiled: the numbers that planners spend budgets on.
#include "dialects/analysis/Costs.h"
#include "dialects/analysis/Passes.h"
#include "dialects/kerf/KerfDialect.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"

#include <functional>
#include <limits>

namespace kerf {
#define GEN_PASS_DEF_PRINTCOSTS
#include "dialects/analysis/Passes.h.inc"
} // namespace kerf

using namespace mlir;
using namespace kerf;

/// Adds two numbers that are not negative, up to the largest int64_t.
static void addUpToLimit(int64_t &sum, int64_t more) {
  if (llvm::AddOverflow(sum, more, sum))
    sum = std::numeric_limits<int64_t>::max();
}

namespace {

/// Writes the report of one module.
class CostPrinter {
public:
  /// `extents` gives the sizes of the step as rows see keys by a mask; null where forms are not to be evaluated.
  CostPrinter(raw_ostream &os, bool perOp, std::function<Extents(Attribute)> extents)
      : os(os), perOp(perOp), extents(std::move(extents)) {}

  void printModule(ModuleOp module) {
    printStored(module);
    for (Operation &op : module.getBody()->getOperations()) {
      if (auto function = dyn_cast<func::FuncOp>(op); function && !function.isExternal()) {
        os << "program @" << function.getName() << '\n';
        printTotal(printRegion(function.getBody(), 1), 1);
      } else if (auto program = dyn_cast<ProgramOp>(op)) {
        printProgram(program);
      }
    }
  }

private:
  void printCost(const Twine &name, const RegionCost &sum, unsigned depth) {
    Cost cost = sum.total();
    os.indent(2 * depth) << name << ": bytes ";
    printLinearForm(os, cost.bytes);
    os << ", operations ";
    printLinearForm(os, cost.operations);
    if (extents) {
      int64_t bytes = 0, operations = 0;
      for (const auto &[mask, part] : sum.byMask) {
        Extents sizes = extents(mask);
        addUpToLimit(bytes, evaluate(part.bytes, sizes));
        addUpToLimit(operations, evaluate(part.operations, sizes));
      }
      os << " = " << bytes << " bytes, " << operations << " operations";
      if (bytes > 0)
        os << llvm::format(", %.2f operations/byte", static_cast<double>(operations) / static_cast<double>(bytes));
    }
    os << '\n';
  }

  void printTotal(const RegionCost &cost, unsigned depth) {
    printCost("total", cost, depth);
    for (auto [name, count] : cost.unknown)
      os.indent(2 * depth) << "not counted: " << name << " (" << count << ")\n";
  }

  /// Prints the lines of a region and yields its cost.
  RegionCost printRegion(Region &region, unsigned depth) {
    for (Operation &op : region.getOps()) {
      if (auto layer = dyn_cast<LayerOp>(op)) {
        os.indent(2 * depth) << "layer " << layer.getIndex() << '\n';
        printTotal(printRegion(layer.getBody(), depth + 1), depth + 1);
      } else if (auto costed = dyn_cast<CostOpInterface>(op); costed && perOp) {
        RegionCost one;
        one.add(getMask(&op), costed.getCost());
        printCost(op.getName().getStringRef(), one, depth);
      }
    }
    return getRegionCost(region);
  }

  void printProgram(ProgramOp program) {
    os << "program @" << program.getSymName() << '\n';
    RegionCost sum;
    for (auto dispatch : program.getBody().getOps<DispatchOp>()) {
      Cost cost{getLinearForm(dispatch.getBytes()), getLinearForm(dispatch.getOperations())};
      RegionCost one;
      one.add(getMask(dispatch), cost);
      if (perOp)
        printCost(dispatch.getOrigin() + " (@" + dispatch.getKernel() + ")", one, 1);
      sum.add(getMask(dispatch), cost);
    }
    printTotal(sum, 1);
  }

  /// What the model keeps between steps.
  void printStored(ModuleOp module) {
    llvm::MapVector<Attribute, std::pair<int64_t, int64_t>> formats;
    for (auto weight : module.getOps<WeightOp>()) {
      auto &[count, bytes] = formats[weight.getFormat()];
      ++count;
      bytes += llvm::divideCeil(weight.getFormat().getStoredBits(weight.getTensorType().getShape()), 8);
    }
    for (auto &[format, entry] : formats)
      os << "weights " << format << ": " << entry.first << ", " << entry.second << " bytes\n";
    for (auto group : module.getOps<KvGroupOp>())
      os << "kv_group @" << group.getSymName() << ": "
         << 2 * group.getPlanes() * group.getHeads() * group.getHeadDim() * group.getElement().getIntOrFloatBitWidth() /
                8
         << " bytes for each position\n";
  }

  raw_ostream &os;
  bool perOp;
  std::function<Extents(Attribute)> extents;
};

struct PrintCosts : kerf::impl::PrintCostsBase<PrintCosts> {
  using PrintCostsBase::PrintCostsBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    // 2^31 of each keeps every extent, a product of two of them, inside an int64_t.
    constexpr int64_t limit = int64_t{1} << 31;
    if (tokens < 0 || tokens >= limit || sequences <= 0 || sequences >= limit || past < 0 || past >= limit ||
        logitRows < 0 || logitRows > tokens || attentionTile <= 0) {
      getOperation().emitError("kerf-print-costs: sequences and attention-tile must be positive, tokens and past not "
                               "negative, all below 2^31, and logit-rows at most tokens");
      return signalPassFailure();
    }
    int64_t rows = logitRows == 0 ? std::min<int64_t>(sequences, tokens) : logitRows;
    std::function<Extents(Attribute)> extents;
    if (tokens > 0)
      extents = [=, this](Attribute mask) {
        return getStepExtents(tokens, sequences, past, rows, attentionTile, mask);
      };
    // Errors and remarks go there too; the module itself goes to the standard output.
    CostPrinter(llvm::errs(), perOp, extents).printModule(getOperation());
  }
};

} // namespace
