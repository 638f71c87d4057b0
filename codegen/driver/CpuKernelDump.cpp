#include "codegen/driver/DumpedKernel.h"

#include "codegen/x86/Library.h"
#include "codegen/x86/Variant.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace kerf;

namespace {

class CpuKernelDump : public DumpedKernel {
public:
  CpuKernelDump(ModuleOp module, VariantOp variantOp, KernelOp kernel, DispatchOp dispatch)
      : DumpedKernel(module, variantOp, kernel, dispatch), variant(*x86::findVariant(variantOp.getSymName())) {}

  llvm::Error compile() override {
    auto compiled = x86::compileModule(*code, variant, &listing);
    if (!compiled)
      return compiled.takeError();
    object = std::move(*compiled);
    return llvm::Error::success();
  }

private:
  std::vector<std::string> entries() override { return {name()}; }

  llvm::Expected<std::unique_ptr<llvm::Module>> translate(Operation *functions) override {
    if (failed(x86::lowerToLLVMDialect(cast<ModuleOp>(functions))))
      return llvm::createStringError("kernel %s cannot be lowered", name().c_str());
    // Translation takes the functions of a module that stands by itself.
    OwningOpRef<ModuleOp> lowered = cast<ModuleOp>(functions->clone());
    return x86::translate(*lowered, variant, context, /*visible=*/true);
  }

  void addFiles(std::vector<std::pair<StringRef, std::string>> &files) override {
    files.emplace_back(".ll", listing.optimizedIR);
    files.emplace_back(".s", listing.assembly);
    files.emplace_back(".o", std::string(object.begin(), object.end()));
  }

  std::string makeBenchmark(StringRef operands, StringRef facts) override {
    auto op = cast<KernelOp>(kernel);
    return llvm::formatv(R"(#include "cpu_benchmark.h"

void kernel(void *const *operands, int64_t rows, int64_t task) __asm__("{0}");

{1}
int main(int argc, char **argv) {{
  static const bench_kernel facts = {{
{2}  };
  static const bench_cpu code = {{.run = kernel, .features = {3}, .tile = {4}, .columns = {5}};
  return bench_main(&facts, &code, argc, argv);
}
)",
                         name(), operands, facts, variant.features, op.getTile(), op.getColumns());
  }

  std::string buildCommand() override { return llvm::formatv("cc -O2 {0}.c {0}.o -o benchmark", name()); }

  const x86::Variant &variant;
  x86::Listing listing;
  llvm::SmallVector<char, 0> object;
};

} // namespace

std::unique_ptr<DumpedKernel> kerf::dumpCpuKernel(ModuleOp module, VariantOp variant, KernelOp kernel,
                                                  DispatchOp dispatch) {
  return std::make_unique<CpuKernelDump>(module, variant, kernel, dispatch);
}
