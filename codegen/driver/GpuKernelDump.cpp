#include "codegen/driver/DumpedKernel.h"

#include "codegen/nvptx/Lower.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace kerf;

namespace {

class GpuKernelDump : public DumpedKernel {
public:
  GpuKernelDump(ModuleOp module, VariantOp variantOp, GpuKernelOp kernel, DispatchOp dispatch, StringRef ptxas)
      : DumpedKernel(module, variantOp, kernel, dispatch), variant(*nvptx::findVariant(variantOp.getSymName())),
        ptxas(ptxas) {}

  llvm::Error compile() override {
    auto text = nvptx::emitPtx(*code, variant, &listing);
    if (!text)
      return text.takeError();
    ptx = std::move(*text);
    if (!variant.cubin || ptxas.empty())
      return llvm::Error::success();
    auto assembled = nvptx::assemble(ptxas, ptx, variant);
    if (!assembled)
      return assembled.takeError();
    assembly = std::move(*assembled);
    return llvm::Error::success();
  }

private:
  auto launches() { return cast<GpuKernelOp>(kernel).getLaunches().getAsRange<LaunchAttr>(); }

  std::vector<std::string> entries() override {
    std::vector<std::string> names;
    for (LaunchAttr launch : launches())
      names.push_back(launch.getFunction().str());
    return names;
  }

  llvm::Expected<std::unique_ptr<llvm::Module>> translate(Operation *functions) override {
    auto gpuModule = cast<gpu::GPUModuleOp>(functions);
    if (failed(nvptx::lowerToLLVMDialect(gpuModule)))
      return llvm::createStringError("kernel %s cannot be lowered", name().c_str());
    return nvptx::translate(gpuModule, variant, context);
  }

  void addFiles(std::vector<std::pair<StringRef, std::string>> &files) override {
    files.emplace_back(".ll", listing.optimizedIR);
    files.emplace_back(".ptx", ptx);
    if (assembly.cubin.empty())
      return;
    files.emplace_back(".cubin", assembly.cubin);
    files.emplace_back(".ptxas.txt", assembly.report);
  }

  std::string makeBenchmark(StringRef operands, StringRef facts) override {
    std::string list;
    for (LaunchAttr launch : launches())
      list += llvm::formatv("    {{.function = \"{0}\", .least_rows = {1}, .most_rows = {2}, .when = {3}, .tile = {4}, "
                            ".columns = {5}, .threads = {6}, .shared_bytes = {7}},\n",
                            launch.getFunction(), launch.getLeast(), launch.getMost(),
                            static_cast<unsigned>(launch.getWhen()), launch.getTile(), launch.getColumns(),
                            launch.getThreads(), launch.getShared());
    return llvm::formatv(R"(#include "gpu_benchmark.h"

{0}
static const kerf_gpu_launch launches[] = {{
{1}};
_Static_assert(sizeof launches / sizeof *launches <= GPU_MOST_LAUNCHES, "too many launches");

int main(int argc, char **argv) {{
  static const bench_kernel facts = {{
{2}  };
  static const bench_gpu code = {{
      .image = "{3}",
      .architecture = {4},
      .launch_count = sizeof launches / sizeof *launches,
      .launches = launches};
  return bench_main(&facts, &code, argc, argv);
}
)",
                         operands, list, facts, name(), variant.architecture);
  }

  std::string buildCommand() override { return llvm::formatv("cc -O2 {0}.c -ldl -o benchmark", name()); }

  const nvptx::Variant &variant;
  StringRef ptxas;
  nvptx::Listing listing;
  std::string ptx;
  nvptx::Assembly assembly;
};

} // namespace

std::unique_ptr<DumpedKernel> kerf::dumpGpuKernel(ModuleOp module, VariantOp variant, GpuKernelOp kernel,
                                                  DispatchOp dispatch, StringRef ptxas) {
  return std::make_unique<GpuKernelDump>(module, variant, kernel, dispatch, ptxas);
}
