//===- CompileVariants.cpp - the code of each variant ---------------------===//
#include "codegen/kernels/CompileVariants.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include "llvm/Support/ThreadPool.h"

#include <optional>

using namespace mlir;
using namespace kerf;

/// Stores the bytes as the variant's resource and erases its functions, which stand in modules of their own.
static void store(VariantOp op, ArrayRef<char> bytes) {
  auto type = RankedTensorType::get(bytes.size(), IntegerType::get(op.getContext(), 8));
  op.setObjectAttr(DenseResourceElementsAttr::get(type, op.getSymName(),
                                                  HeapAsmResourceBlob::allocateAndCopyInferAlign<char>(bytes)));
  for (Operation &each : llvm::make_early_inc_range(op.getBody().front()))
    if (each.hasTrait<OpTrait::SymbolTable>())
      each.erase();
}

llvm::Error
kernels::compileVariants(MutableArrayRef<VariantJob> jobs, unsigned threads,
                         llvm::function_ref<llvm::Expected<llvm::SmallVector<char, 0>>(VariantJob &, size_t)> compile) {
  std::vector<std::optional<llvm::Expected<llvm::SmallVector<char, 0>>>> compiled(jobs.size());
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(threads));
  for (size_t i = 0; i < jobs.size(); ++i)
    pool.async([&, i] { compiled[i].emplace(compile(jobs[i], i)); });
  pool.wait();
  llvm::Error errors = llvm::Error::success();
  for (auto &each : compiled)
    errors = llvm::joinErrors(std::move(errors), each->takeError());
  if (errors)
    return errors;
  for (auto [job, each] : llvm::zip_equal(jobs, compiled))
    store(job.op, **each);
  return llvm::Error::success();
}
