// Compiles GPU variants to their images.
#include "codegen/nvptx/Images.h"

#include "codegen/kernels/CompileVariants.h"
#include "codegen/nvptx/Kernels.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;

/// The image of a variant: a cubin, or PTX with its NUL.
static llvm::Expected<llvm::SmallVector<char, 0>> compileImage(llvm::Module &code, const Variant &variant,
                                                               StringRef ptxas, ImageListing &listing) {
  auto ptx = emitPtx(code, variant, &listing.code);
  if (!ptx)
    return ptx.takeError();
  listing.ptx = *ptx;
  if (!variant.cubin)
    return llvm::SmallVector<char, 0>(ptx->c_str(), ptx->c_str() + ptx->size() + 1);
  auto assembly = assemble(ptxas, *ptx, variant);
  if (!assembly)
    return assembly.takeError();
  listing.report = std::move(assembly->report);
  return llvm::SmallVector<char, 0>(assembly->cubin.begin(), assembly->cubin.end());
}

llvm::Error kerf::nvptx::compileVariants(ModuleOp module, StringRef ptxas, unsigned threads,
                                         std::vector<ImageListing> *listings) {
  std::vector<VariantJob> jobs;
  std::vector<const Variant *> variants;
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
    VariantJob &job = jobs.emplace_back(op);
    variants.push_back(variant);
    auto code = translate(*kernels.begin(), *variant, *job.context);
    if (!code)
      return code.takeError();
    job.code = std::move(*code);
  }
  std::vector<ImageListing> made(jobs.size());
  if (llvm::Error error = kernels::compileVariants(jobs, threads, [&](VariantJob &job, size_t number) {
        return compileImage(*job.code, *variants[number], ptxas, made[number]);
      }))
    return error;
  if (listings)
    llvm::move(made, std::back_inserter(*listings));
  return llvm::Error::success();
}

uint64_t kerf::nvptx::getPageBytes(KvGroupOp group) {
  Type type = group.getElement();
  const Element element = type.isBF16() ? Element::BF16 : type.isF16() ? Element::F16 : Element::F32;
  return CacheLayout{group.getHeads(), group.getHeadDim(), group.getPageSize(), element}.pageBytes();
}
