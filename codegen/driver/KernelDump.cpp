#include "codegen/driver/KernelDump.h"

#include "codegen/driver/BenchmarkText.h"
#include "codegen/package/LibraryTable.h"
#include "codegen/package/Weights.h"
#include "codegen/x86/Library.h"
#include "codegen/x86/Variant.h"
#include "dialects/kerf/KerfDialect.h"
#include "dialects/kerf/KerfMask.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/ThreadPool.h"

using namespace mlir;
using namespace kerf;

namespace {

/// One kernel of one variant.
class KernelDump {
public:
  KernelDump(ModuleOp module, VariantOp variantOp, KernelOp kernel)
      : module(module), variantOp(variantOp), kernel(kernel), variant(*x86::findVariant(variantOp.getSymName())) {
    StringRef key = kernel.getFunction();
    key.consume_back(("." + variantOp.getSymName()).str());
    module.walk([&](DispatchOp op) {
      if (op.getKernel() == key && !dispatch)
        dispatch = op;
    });
  }

  StringRef name() { return kernel.getFunction(); }
  /// Whether a program uses it.
  bool isUsed() const { return !!dispatch; }

  /// The module of the kernel alone. Uses the MLIR context, so only one may do it at a time; sets up `compile`.
  llvm::Error isolate();
  /// Compiles; any thread.
  void compile() {
    llvm::ErrorAsOutParameter written(error);
    auto compiled = x86::compileModule(*code, variant, &listing);
    if (!compiled)
      error = compiled.takeError();
    else
      object = std::move(*compiled);
  }
  /// The source of its benchmark.
  std::string makeBenchmark();

  std::string ir;
  x86::Listing listing;
  llvm::SmallVector<char, 0> object;
  llvm::Error error = llvm::Error::success();

private:
  void writeOperand(llvm::raw_ostream &os, Attribute operand);
  static std::string spell(const LinearForm &form);

  ModuleOp module;
  VariantOp variantOp;
  KernelOp kernel;
  DispatchOp dispatch;
  const x86::Variant &variant;
  std::unique_ptr<llvm::LLVMContext> context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> code;
};

llvm::Error KernelDump::isolate() {
  OwningOpRef<ModuleOp> alone = ModuleOp::create(module.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(alone->getBody());
  auto program = dispatch->getParentOfType<ProgramOp>();
  llvm::SmallSetVector<Operation *, 4> named;
  AttrTypeWalker walker;
  walker.addWalk([&](SymbolRefAttr symbol) {
    if (Operation *op = module.lookupSymbol(symbol.getRootReference()))
      named.insert(op);
  });
  walker.walk(dispatch.getOperands_());
  walker.walk(program.getWorkLists());
  for (Operation *op : named)
    builder.clone(*op);
  auto programCopy = cast<ProgramOp>(builder.cloneWithoutRegions(*program));
  auto variantCopy = cast<VariantOp>(builder.cloneWithoutRegions(*variantOp));
  builder.createBlock(&programCopy.getBody());
  builder.clone(*dispatch);
  builder.createBlock(&variantCopy.getBody());
  builder.clone(*kernel);
  auto kernels = ModuleOp::create(builder, variantOp.getLoc());
  builder.setInsertionPointToEnd(kernels.getBody());
  for (auto functions : variantOp.getOps<ModuleOp>())
    for (const std::string &function : {name().str() + ".body", name().str()})
      if (Operation *op = functions.lookupSymbol(function))
        builder.clone(*op);
  llvm::raw_string_ostream(ir) << *alone << '\n';

  if (failed(x86::lowerToLLVMDialect(kernels)))
    return llvm::createStringError("kernel %s cannot be lowered", name().str().c_str());
  // Translation takes the functions of a module that stands by itself.
  OwningOpRef<ModuleOp> lowered = cast<ModuleOp>(kernels->clone());
  auto translated = x86::translate(*lowered, variant, *context, /*visible=*/true);
  if (!translated)
    return translated.takeError();
  code = std::move(*translated);
  return llvm::Error::success();
}

std::string KernelDump::spell(const LinearForm &form) {
  std::string text = "{{";
  StringRef separator;
  for (int64_t coefficient : form.coefficient) {
    text += (separator + Twine(coefficient)).str();
    separator = ", ";
  }
  return text + "}}";
}

void KernelDump::writeOperand(llvm::raw_ostream &os, Attribute operand) {
  LinearForm bytes{};
  StringRef kind, field = "0";
  auto program = dispatch->getParentOfType<ProgramOp>();
  std::string number;
  llvm::TypeSwitch<Attribute>(operand)
      .Case([&](SlotRefAttr slot) {
        kind = "SLOT";
        bytes = getLinearForm(cast<SizeAttr>(program.getSlots()[slot.getIndex()]));
      })
      .Case([&](WeightRefAttr weight) {
        kind = "WEIGHT";
        bytes.coefficient[KERF_EXTENT_ONE] = packedBytes(module.lookupSymbol<WeightOp>(weight.getWeight().getAttr()));
      })
      .Case([&](StepRefAttr step) {
        kind = "STEP";
        number = std::to_string(static_cast<unsigned>(step.getField()));
        field = number;
      })
      .Case([&](CacheRefAttr) { kind = "CACHE"; })
      .Case([&](ResultRefAttr result) {
        kind = "RESULT";
        auto shape = cast<ResultAttr>(program.getResults()[result.getIndex()]);
        bytes.coefficient[static_cast<unsigned>(dispatch.getRows())] = shape.getColumns() * 4;
      });
  os << "    {KERF_OPERAND_" << kind << ", " << field << ", " << spell(bytes) << "},\n";
}

std::string KernelDump::makeBenchmark() {
  auto program = dispatch->getParentOfType<ProgramOp>();
  KvGroupOp group;
  WorkAttr work;
  std::string operands;
  llvm::raw_string_ostream list(operands);
  for (Attribute operand : dispatch.getOperands_()) {
    writeOperand(list, operand);
    if (auto cache = dyn_cast<CacheRefAttr>(operand))
      group = module.lookupSymbol<KvGroupOp>(cache.getGroup().getAttr());
    if (auto step = dyn_cast<StepRefAttr>(operand); step && step.getField() == StepField::WorkItems)
      work = cast<WorkAttr>(program.getWorkLists()[step.getList()]);
  }
  const MaskRange range = work ? cast<MaskAttrInterface>(work.getMask()).getRange() : MaskRange{};
  const char *pattern =
      R"(/* Benchmark of a kernel that computes {0} of the model {1}. Build and run it, with the options
 * that kernel_benchmark.h lists, by
 *
 *     cc -O2 {2}.c {2}.o -o benchmark && ./benchmark --tokens=512
 */
#include "kernel_benchmark.h"

void kernel(void *const *operands, int64_t rows, int64_t task) __asm__("{2}");

static const bench_operand operands[] = {{
{3}};

int main(int argc, char **argv) {{
  static const bench_kernel facts = {{
      .name = "{4}",
      .variant = "{5}",
      .run = kernel,
      .features = {6},
      .extent = {7},
      .tile = {8},
      .columns = {9},
      .attention_tile = {10},
      .operand_count = sizeof operands / sizeof *operands,
      .operands = operands,
      .bytes = {11},
      .operations = {12},
      .page_size = {13},
      .page_bytes = {14},
      .work_list = {{0, {15}, {16}, 0},
      .vocabulary = {17},
      .longest = {18}};
  return bench_main(&facts, argc, argv);
}
)";
  return llvm::formatv(pattern, dispatch.getOrigin(), getModel(module).getName(), name(), list.str(),
                       dispatch.getKernel(), variant.name, variant.features, static_cast<unsigned>(dispatch.getRows()),
                       kernel.getTile(), kernel.getColumns(), variantOp.getAttentionTile(),
                       spell(getLinearForm(dispatch.getBytes())), spell(getLinearForm(dispatch.getOperations())),
                       group ? group.getPageSize() : 0, group ? getPageBytes(group) : 0, getMaskBound(range.behind),
                       getMaskBound(range.ahead), getModel(module).getVocabulary(), getModel(module).getContext());
}

} // namespace

llvm::Error kerf::dumpKernels(ModuleOp module, unsigned threads, WriteFileFn write) {
  std::vector<std::unique_ptr<KernelDump>> dumps;
  for (auto variant : module.getOps<VariantOp>())
    for (auto kernel : variant.getOps<KernelOp>()) {
      auto dump = std::make_unique<KernelDump>(module, variant, kernel);
      if (!dump->isUsed())
        continue;
      if (llvm::Error error = dump->isolate())
        return error;
      dumps.push_back(std::move(dump));
    }
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(threads));
  for (auto &dump : dumps)
    pool.async([&dump] { dump->compile(); });
  pool.wait();
  llvm::Error errors = llvm::Error::success();
  for (auto &dump : dumps)
    errors = llvm::joinErrors(std::move(errors), std::move(dump->error));
  if (errors)
    return errors;

  auto failure = [] { return llvm::createStringError("the kernels were not all written"); };
  if (failed(write("kernel_benchmark.h", benchmarkText)) || failed(write("kerf/abi.h", abiText)))
    return failure();
  for (auto &dump : dumps) {
    const std::string benchmark = dump->makeBenchmark();
    const std::pair<StringRef, StringRef> files[] = {{".mlir", dump->ir},
                                                     {".ll", dump->listing.optimizedIR},
                                                     {".s", dump->listing.assembly},
                                                     {".o", StringRef(dump->object.data(), dump->object.size())},
                                                     {".c", benchmark}};
    for (auto [suffix, text] : files)
      if (failed(write((dump->name() + suffix).str(), text)))
        return failure();
  }
  return llvm::Error::success();
}
