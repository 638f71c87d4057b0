// The model is run without recording first; only a pass that changed the logits is worth the memory of all results.
#include "codegen/VerifyNumerics.h"

#include "codegen/reference/Model.h"
#include "codegen/reference/SlotReuse.h"
#include "dialects/kerf/KerfDialect.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <limits>
#include <optional>

using namespace mlir;
using namespace kerf;

SmallVector<StringAttr> kerf::getLocationNames(Location location) {
  SmallVector<StringAttr> names;
  if (auto name = dyn_cast<NameLoc>(location)) {
    names = getLocationNames(name.getChildLoc());
    names.push_back(name.getName());
  } else if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location part : fused.getLocations())
      names.append(getLocationNames(part));
  } else if (auto call = dyn_cast<CallSiteLoc>(location)) {
    names = getLocationNames(call.getCallee());
  }
  return names;
}

std::vector<TokenSequence> kerf::makeTokenSequences(int64_t vocabulary) {
  std::vector<TokenSequence> sequences;
  uint32_t state = 1;
  for (size_t length : {1, 7, 19}) {
    TokenSequence &sequence = sequences.emplace_back();
    for (size_t i = 0; i < length; ++i) {
      // Numerical Recipes' linear congruential generator; its upper bits are the good ones.
      state = state * 1664525u + 1013904223u;
      sequence.push_back(static_cast<int32_t>((state >> 8) % vocabulary));
    }
  }
  return sequences;
}

double kerf::getRelativeError(const FloatMatrix &found, const FloatMatrix &expected) {
  double difference = 0, magnitude = 0;
  for (auto [f, e] : llvm::zip_equal(found.values, expected.values)) {
    if (f == e || (std::isnan(f) && std::isnan(e)))
      magnitude += std::isfinite(e) ? static_cast<double>(e) * e : 0;
    else if (!std::isfinite(f) || !std::isfinite(e))
      return std::numeric_limits<double>::infinity();
    else {
      difference += (static_cast<double>(f) - e) * (static_cast<double>(f) - e);
      magnitude += static_cast<double>(e) * e;
    }
  }
  if (difference == 0)
    return 0;
  return magnitude == 0 ? std::numeric_limits<double>::infinity() : std::sqrt(difference / magnitude);
}

static double coarsestTolerance(ModuleOp module) {
  double tolerance = 1e-4;
  module.walk([&](Operation *op) {
    if (!isa<KerfDialect>(op->getDialect()) || isa<GetWeightOp>(op))
      return;
    for (Type type : op->getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type)) {
        if (tensor.getElementType().isBF16())
          tolerance = std::max(tolerance, 5e-2);
        else if (tensor.getElementType().isF16())
          tolerance = std::max(tolerance, 1e-2);
      }
  });
  return tolerance;
}

struct VerifyNumerics::State {
  /// The module as the last pass left it, and what it gave.
  OwningOpRef<ModuleOp> before;
  std::optional<OperationFingerPrint> fingerPrint;
  std::vector<FloatMatrix> logits;
};

VerifyNumerics::VerifyNumerics(Evaluator &evaluator, VerifyNumericsOptions options, NumericsReport &report)
    : evaluator(evaluator), options(std::move(options)), report(report), state(std::make_unique<State>()) {}
VerifyNumerics::~VerifyNumerics() = default;

static ModuleOp moduleOf(Operation *op) {
  auto module = dyn_cast<ModuleOp>(op);
  return module ? module : op->getParentOfType<ModuleOp>();
}

void VerifyNumerics::keep(ModuleOp module) {
  state->before = cast<ModuleOp>(module->clone());
  state->fingerPrint.emplace(module);
}

void VerifyNumerics::runBeforePass(Pass *pass, Operation *op) {
  ModuleOp module = moduleOf(op);
  if (!module || state->before || report.diverged || report.failed)
    return;
  if (options.sequences.empty()) {
    ModelOp model = getModel(module);
    options.sequences = makeTokenSequences(model ? model.getVocabulary() : 1);
  }
  auto logits = evaluator.evaluate(module, options.sequences);
  if (!logits) {
    report.failed = true;
    module.emitError("the model could not be run before pass '")
        << pass->getName() << "': " << llvm::toString(logits.takeError());
    return;
  }
  state->logits = std::move(*logits);
  keep(module);
}

void VerifyNumerics::runAfterPass(Pass *pass, Operation *op) {
  ModuleOp module = moduleOf(op);
  if (!module || !state->before || report.diverged || report.failed)
    return;
  // Also true of the adaptors around passes that have been verified.
  if (OperationFingerPrint(module) == *state->fingerPrint)
    return;
  compare(module, pass->getArgument().empty() ? pass->getName() : pass->getArgument());
}

void VerifyNumerics::compare(ModuleOp module, StringRef pass) {
  auto fail = [&](llvm::Error error) {
    report.failed = true;
    report.pass = pass.str();
    module.emitError("the model could not be run after pass '") << pass << "': " << llvm::toString(std::move(error));
  };
  auto logits = evaluator.evaluate(module, options.sequences);
  if (!logits)
    return fail(logits.takeError());
  ++report.verified;
  double tolerance = options.tolerance;
  if (tolerance == 0)
    tolerance = std::max(coarsestTolerance(*state->before), coarsestTolerance(module));
  double worst = 0;
  for (auto [found, expected] : llvm::zip_equal(*logits, state->logits))
    worst = std::max(worst, found.columns == expected.columns ? getRelativeError(found, expected)
                                                              : std::numeric_limits<double>::infinity());
  if (worst <= tolerance) {
    state->logits = std::move(*logits);
    return keep(module);
  }

  report.diverged = true;
  report.pass = pass.str();
  report.op = "logits";
  report.error = worst;
  Location location = module.getLoc();
  llvm::StringMap<std::vector<FloatMatrix>> expected;
  auto before = evaluator.evaluate(*state->before, options.sequences, [&](const RecordedTensor &tensor) {
    for (StringAttr name : getLocationNames(tensor.op->getLoc()))
      expected[name.getValue()].push_back(tensor.matrix);
  });
  if (!before)
    return fail(before.takeError());
  bool found = false;
  auto after = evaluator.evaluate(module, options.sequences, [&](const RecordedTensor &tensor) {
    if (found)
      return;
    // The last name is the op that a fused op stands for, where it has a result of this shape at all.
    double least = std::numeric_limits<double>::infinity();
    StringRef closest;
    SmallVector<StringAttr> names = getLocationNames(tensor.op->getLoc());
    for (StringAttr name : llvm::reverse(names))
      for (const FloatMatrix &candidate : expected[name.getValue()])
        if (candidate.rows == tensor.matrix.rows && candidate.columns == tensor.matrix.columns) {
          double error = getRelativeError(tensor.matrix, candidate);
          if (closest.empty() || error < least) {
            least = error;
            closest = name.getValue();
          }
        }
    if (closest.empty() || least <= tolerance)
      return;
    found = true;
    report.op = closest.str();
    report.error = least;
    location = tensor.op->getLoc();
  });
  if (!after)
    return fail(after.takeError());
  InFlightDiagnostic diag = emitError(location)
                            << "pass '" << pass << "' must keep what the model computes, got a relative error of "
                            << llvm::formatv("{0:e2}", report.error).str() << " in '" << report.op << "' (at most "
                            << llvm::formatv("{0:e2}", tolerance).str() << " is accepted)";
  for (const reference::LostRead &read : reference::findLostReads(reference::findStep(module)))
    if (read.operand->getOwner()->getLoc() == location)
      diag.attachNote(read.overwrittenBy->getLoc())
          << "what it reads was in slot " << read.slot << ", which '" << read.overwrittenBy->getName() << "' overwrote";
}
