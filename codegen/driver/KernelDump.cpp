#include "codegen/driver/KernelDump.h"

#include "codegen/driver/BenchmarkText.h"
#include "codegen/driver/DumpedKernel.h"
#include "dialects/kerf/KerfPrograms.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/ThreadPool.h"

using namespace mlir;
using namespace kerf;

llvm::Error kerf::dumpKernels(ModuleOp module, StringRef ptxas, unsigned threads, WriteFileFn write) {
  llvm::StringMap<DispatchOp> dispatches;
  module.walk([&](DispatchOp dispatch) { dispatches.try_emplace(dispatch.getKernel(), dispatch); });
  std::vector<std::unique_ptr<DumpedKernel>> dumps;
  for (auto variant : module.getOps<VariantOp>())
    for (Operation &op : variant.getBody().front()) {
      std::unique_ptr<DumpedKernel> dump;
      if (auto kernel = dyn_cast<KernelOp>(op)) {
        StringRef key = kernel.getFunction();
        key.consume_back(("." + variant.getSymName()).str());
        if (DispatchOp dispatch = dispatches.lookup(key))
          dump = dumpCpuKernel(module, variant, kernel, dispatch);
      } else if (auto kernel = dyn_cast<GpuKernelOp>(op)) {
        if (DispatchOp dispatch = dispatches.lookup(kernel.getKernel()))
          dump = dumpGpuKernel(module, variant, kernel, dispatch, ptxas);
      }
      if (!dump)
        continue;
      if (llvm::Error error = dump->isolate())
        return error;
      dumps.push_back(std::move(dump));
    }
  std::vector<std::string> problems(dumps.size());
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(threads));
  for (auto [dump, problem] : llvm::zip_equal(dumps, problems))
    pool.async([&dump, &problem] { problem = llvm::toString(dump->compile()); });
  pool.wait();
  for (const std::string &problem : problems)
    if (!problem.empty())
      return llvm::createStringError(problem);

  auto failure = [] { return llvm::createStringError("the kernels were not all written"); };
  const std::pair<StringRef, StringRef> headers[] = {
      {"kernel_benchmark.h", kernelBenchmarkText},
      isForGpu(module) ? std::pair<StringRef, StringRef>("gpu_benchmark.h", gpuBenchmarkText)
                       : std::pair<StringRef, StringRef>("cpu_benchmark.h", cpuBenchmarkText),
      {"kerf/abi.h", abiText}};
  for (auto [name, text] : headers)
    if (failed(write(name, text)))
      return failure();
  for (auto &dump : dumps)
    for (auto &[suffix, text] : dump->files())
      if (failed(write(dump->name() + suffix.str(), text)))
        return failure();
  return llvm::Error::success();
}
