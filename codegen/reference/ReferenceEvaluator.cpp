#include "codegen/reference/ReferenceEvaluator.h"

#include "codegen/reference/SlotReuse.h"

using namespace mlir;
using namespace kerf;

llvm::Expected<std::vector<FloatMatrix>>
ReferenceEvaluator::evaluate(ModuleOp module, ArrayRef<TokenSequence> sequences, RecordFn record) {
  func::FuncOp step = reference::findStep(module);
  if (!step)
    return llvm::createStringError(
        "module must have a program that takes a batch and gives logits or vectors, got none");
  OwningOpRef<ModuleOp> poisoned;
  DenseMap<Operation *, Operation *> originals;
  if (!reference::findLostReads(step).empty()) {
    IRMapping copies;
    poisoned = cast<ModuleOp>(module->clone(copies));
    step.walk([&](Operation *op) { originals[copies.lookup(op)] = op; });
    step = cast<func::FuncOp>(copies.lookup(step.getOperation()));
    reference::poisonLostReads(step);
  }
  auto recordOriginal = [&](const RecordedTensor &tensor) {
    Operation *original = originals.lookup(tensor.op);
    record({original ? original : tensor.op, tensor.result, tensor.elementType, tensor.matrix});
  };
  auto all = reference::runTexts(step, tensors, sequences, record ? RecordFn(recordOriginal) : nullptr);
  if (!all)
    return all.takeError();
  // Logits have a row for each token, vectors one for each sequence that has tokens.
  int64_t tokens = 0;
  for (const TokenSequence &sequence : sequences)
    tokens += sequence.size();
  std::vector<FloatMatrix> results;
  auto next = all->values.begin();
  for (const TokenSequence &sequence : sequences) {
    const int64_t count = all->rows == tokens ? sequence.size() : !sequence.empty();
    auto end = next + count * all->columns;
    results.push_back({count, all->columns, {next, end}});
    next = end;
  }
  return results;
}
