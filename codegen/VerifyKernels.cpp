// The library is linked and loaded as it will be shipped, and the weights are packed as they will be: what is run is
// all that comes of a compilation but the manifest.
#include "codegen/VerifyKernels.h"

#include "codegen/package/LibraryTable.h"
#include "codegen/package/Weights.h"
#include "codegen/reference/Model.h"
#include "codegen/x86/Jit.h"
#include "codegen/x86/Library.h"
#include "codegen/x86/StepRunner.h"
#include "codegen/x86/Variant.h"
#include "dialects/kerf/KerfDialect.h"
#include "kerf/names.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <dlfcn.h>
#include <map>

using namespace mlir;
using namespace kerf;

namespace {

/// The ops of a planned program that become dispatches, in their order.
SmallVector<Operation *> getLaunches(func::FuncOp program) {
  SmallVector<Operation *> launches;
  for (Operation &op : program.getBody().front())
    if (!isa<func::ReturnOp, ExtentOp, BatchFieldOp, WorkListOp, GetWeightOp, SlotOp, ResultOp>(op))
      launches.push_back(&op);
  return launches;
}

/// The model's library and weights, in files of their own for as long as this lives.
class LoadedModel {
public:
  ~LoadedModel() {
    if (library)
      dlclose(library);
    llvm::sys::fs::remove_directories(directory);
  }

  llvm::Error load(ModuleOp module, const TensorSource &tensors) {
    if (std::error_code error = llvm::sys::fs::createUniqueDirectory("kerf-verify", directory))
      return llvm::createStringError(error, "cannot make a temporary directory: %s", error.message().c_str());
    auto packed = planWeights(module);
    if (!packed)
      return packed.takeError();
    if (llvm::Error error = pack(*packed, tensors))
      return error;
    std::vector<uint64_t> bytes;
    for (const PackedWeight &weight : *packed)
      bytes.push_back(weight.bytes);
    auto objects = x86::getObjects(module);
    if (!objects)
      return objects.takeError();
    auto compiled = compileLibraryTable(module, /*buildId=*/{}, bytes);
    if (!compiled)
      return compiled.takeError();
    objects->push_back(std::move(*compiled));
    const std::string name = getModel(module).getName().str(), path = pathOf("model.so");
    if (llvm::Error error = x86::linkLibrary(*objects, name, path))
      return error;
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    char symbol[KERF_SYMBOL_MAX];
    if (library && kerf_library_symbol(name.c_str(), symbol))
      table = static_cast<const kerf_library *>(dlsym(library, symbol));
    if (!table)
      return llvm::createStringError("the model's library cannot be loaded: %s", dlerror());
    return llvm::Error::success();
  }

  const kerf_library *table = nullptr;
  std::vector<const void *> weights;

private:
  std::string pathOf(StringRef name) const {
    llvm::SmallString<128> path = directory;
    llvm::sys::path::append(path, name);
    return path.str().str();
  }

  llvm::Error pack(std::vector<PackedWeight> &packed, const TensorSource &tensors) {
    const std::string path = pathOf("weights");
    auto file = OutputFile::create(path);
    if (!file)
      return file.takeError();
    if (llvm::Error error = file->reserve(placeWeights(packed, 0)))
      return error;
    if (llvm::Error error = packWeights(packed, tensors, *file, /*threads=*/1))
      return error;
    if (llvm::Error error = file->complete())
      return error;
    auto mapped = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!mapped)
      return llvm::createStringError(mapped.getError(), "cannot read %s", path.c_str());
    bytes = std::move(*mapped);
    for (const PackedWeight &weight : packed)
      weights.push_back(bytes->getBufferStart() + weight.offset);
    return llvm::Error::success();
  }

  llvm::SmallString<128> directory;
  std::unique_ptr<llvm::MemoryBuffer> bytes;
  void *library = nullptr;
};

/// What ops give on the reference path, by op and number of the result.
using Values = std::map<std::pair<Operation *, unsigned>, FloatMatrix>;

double toleranceOf(Type element) { return element.isF32() ? 1e-4 : 1e-2; }

/// Compares what the dispatch of `op` left in memory with what the op gives, and puts the latter there. Returns the
/// relative error and whether it is too large.
std::pair<double, bool> compareResult(OpResult result, const FloatMatrix &expected, std::byte *memory,
                                      double tolerance) {
  Type element = cast<RankedTensorType>(result.getType()).getElementType();
  const FloatMatrix found{expected.rows, expected.columns,
                          reference::readFloats(element, memory, expected.values.size())};
  reference::writeFloats(element, expected.values, memory);
  const double error = getRelativeError(found, expected);
  return {error, error > (tolerance ? tolerance : toleranceOf(element))};
}

} // namespace

llvm::Error kerf::verifyKernels(ModuleOp planned, ModuleOp compiled, const TensorSource &tensors,
                                const VerifyNumericsOptions &options, KernelsReport &report) {
  func::FuncOp step = reference::findStep(planned);
  if (!step)
    return llvm::createStringError("module must have a program that takes a batch and gives logits, got none");
  std::vector<TokenSequence> sequences = options.sequences;
  if (sequences.empty())
    sequences = makeTokenSequences(getModel(planned).getVocabulary());
  Values values;
  auto run = reference::runTexts(step, tensors, sequences, [&](const RecordedTensor &tensor) {
    values[{tensor.op, tensor.result}] = tensor.matrix;
  });
  if (!run)
    return run.takeError();

  LoadedModel model;
  if (llvm::Error error = model.load(compiled, tensors))
    return error;
  const kerf_program *program = nullptr;
  for (uint32_t i = 0; i < model.table->program_count; ++i)
    if (step.getSymName() == model.table->programs[i].name)
      program = &model.table->programs[i];
  const SmallVector<Operation *> launches = getLaunches(step);
  if (!program || program->dispatch_count != launches.size())
    return llvm::createStringError("program '%s' must have a dispatch for each of the %zu ops it was planned with",
                                   step.getSymName().str().c_str(), launches.size());

  for (uint32_t v = 0; v < model.table->variant_count; ++v) {
    const kerf_variant &variant = model.table->variants[v];
    if (!x86::runsHere(*x86::findVariant(variant.name)))
      continue;
    report.variants.push_back(variant.name);
    x86::StepRunner runner(*model.table, *program, variant, model.weights, sequences);
    for (auto [number, op] : llvm::enumerate(launches)) {
      runner.run(number);
      auto style = dyn_cast<DestinationStyleOpInterface>(op);
      for (int64_t i = 0; style && i < style.getNumDpsInits(); ++i) {
        OpOperand *init = style.getDpsInitOperand(i);
        OpResult result = style.getTiedOpResult(init);
        auto slot = init->get().getDefiningOp<SlotOp>();
        auto output = init->get().getDefiningOp<ResultOp>();
        auto expected = values.find({op, result.getResultNumber()});
        if ((!slot && !output) || expected == values.end())
          continue;
        ++report.compared;
        auto [error, wrong] =
            compareResult(result, expected->second,
                          slot ? runner.slot(slot.getIndex()) : runner.result(output.getIndex()), options.tolerance);
        if (!wrong)
          continue;
        const kerf_dispatch &dispatch = program->dispatches[number];
        report.diverged = true;
        report.variant = variant.name;
        report.kernel = variant.kernels[dispatch.kernel].name;
        report.origin = dispatch.origin;
        report.error = error;
        emitError(op->getLoc()) << "dispatch " << number << " of variant '" << report.variant
                                << "' must compute what the reference path does, got a relative error of "
                                << llvm::formatv("{0:e2}", error).str() << " in '" << report.origin << "' (kernel "
                                << report.kernel << ")";
        return llvm::Error::success();
      }
    }
  }
  return llvm::Error::success();
}
