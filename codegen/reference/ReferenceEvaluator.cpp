// All sequences are one step: that is what the ragged batch is for.
#include "codegen/reference/ReferenceEvaluator.h"

#include <numeric>

using namespace mlir;
using namespace kerf;

llvm::Expected<std::vector<FloatMatrix>>
ReferenceEvaluator::evaluate(ModuleOp module, ArrayRef<TokenSequence> sequences, RecordFn record) {
  func::FuncOp step = reference::findStep(module);
  if (!step)
    return llvm::createStringError("module must have a program that takes a batch and gives logits, got none");
  auto model = reference::Model::create(step, tensors, static_cast<bool>(record));
  if (!model)
    return model.takeError();
  size_t longest = 0, rows = 0;
  std::vector<reference::Piece> pieces;
  for (const TokenSequence &sequence : sequences) {
    pieces.push_back({static_cast<int32_t>(pieces.size()), sequence});
    longest = std::max(longest, sequence.size());
    rows += sequence.size();
  }
  std::vector<int32_t> logitRows(rows);
  std::iota(logitRows.begin(), logitRows.end(), 0);
  reference::Cache cache = (*model)->createCache(sequences.size(), longest);
  auto all = (*model)->step(cache, pieces, logitRows, record);
  if (!all)
    return all.takeError();
  std::vector<FloatMatrix> logits;
  auto next = all->values.begin();
  for (const TokenSequence &sequence : sequences) {
    auto end = next + sequence.size() * all->columns;
    logits.push_back({static_cast<int64_t>(sequence.size()), all->columns, {next, end}});
    next = end;
  }
  return logits;
}
