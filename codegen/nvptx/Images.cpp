// Compiles GPU variants to their images.
#include "codegen/nvptx/Images.h"

#include "codegen/nvptx/Kernels.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include "llvm/Support/ThreadPool.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;

namespace {
/// One variant between its translation and its image.
struct VariantJob {
  VariantOp op;
  const Variant *variant;
  /// Each variant has a context of its own: LLVM's contexts are for one thread.
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> code;
  std::string image;
  ImageListing listing;
  llvm::Error error = llvm::Error::success();

  void compile(StringRef ptxas) {
    llvm::ErrorAsOutParameter written(error);
    auto ptx = emitPtx(*code, *variant, &listing.code);
    if (!ptx) {
      error = ptx.takeError();
      return;
    }
    listing.ptx = *ptx;
    if (!variant->cubin) {
      image = *ptx + '\0';
      return;
    }
    auto assembly = assemble(ptxas, *ptx, *variant);
    if (!assembly) {
      error = assembly.takeError();
      return;
    }
    image = std::move(assembly->cubin);
    listing.report = std::move(assembly->report);
  }

  /// The image as the variant's resource, in place of the functions.
  void store() {
    auto type = RankedTensorType::get(image.size(), IntegerType::get(op.getContext(), 8));
    ArrayRef<char> bytes(image.data(), image.size());
    op.setObjectAttr(DenseResourceElementsAttr::get(type, op.getSymName(),
                                                    HeapAsmResourceBlob::allocateAndCopyInferAlign<char>(bytes)));
    for (auto kernels : llvm::make_early_inc_range(op.getOps<gpu::GPUModuleOp>()))
      kernels.erase();
  }
};
} // namespace

llvm::Error kerf::nvptx::compileVariants(ModuleOp module, StringRef ptxas, unsigned threads,
                                         std::vector<ImageListing> *listings) {
  std::vector<VariantJob> jobs;
  for (auto op : llvm::make_early_inc_range(module.getOps<VariantOp>())) {
    const Variant *variant = findVariant(op.getSymName());
    auto kernels = op.getOps<gpu::GPUModuleOp>();
    if (!variant || kernels.empty())
      return llvm::createStringError("variant '%s' is not one that GPU code is generated for",
                                     op.getSymName().str().c_str());
    if (variant->cubin && ptxas.empty()) {
      op.erase();
      continue;
    }
    VariantJob &job = jobs.emplace_back();
    job.op = op;
    job.variant = variant;
    job.context = std::make_unique<llvm::LLVMContext>();
    // Here and not in the job's thread: translating registers interfaces in the MLIR context that all share.
    auto code = translate(*kernels.begin(), *variant, *job.context);
    if (!code)
      return code.takeError();
    job.code = std::move(*code);
  }
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(threads));
  for (VariantJob &job : jobs)
    pool.async([&job, ptxas] { job.compile(ptxas); });
  pool.wait();
  llvm::Error errors = llvm::Error::success();
  for (VariantJob &job : jobs)
    errors = llvm::joinErrors(std::move(errors), std::move(job.error));
  if (errors)
    return errors;
  for (VariantJob &job : jobs) {
    job.store();
    if (listings)
      listings->push_back(std::move(job.listing));
  }
  return llvm::Error::success();
}

uint64_t kerf::nvptx::getPageBytes(KvGroupOp group) {
  Type type = group.getElement();
  const Element element = type.isBF16() ? Element::BF16 : type.isF16() ? Element::F16 : Element::F32;
  return CacheLayout{group.getHeads(), group.getHeadDim(), group.getPageSize(), element}.pageBytes();
}
