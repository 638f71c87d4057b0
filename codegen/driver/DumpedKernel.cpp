#include "codegen/driver/DumpedKernel.h"

#include "codegen/kernels/Optimize.h"
#include "codegen/package/LibraryTable.h"
#include "codegen/package/Weights.h"
#include "dialects/kerf/KerfMask.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace kerf;

llvm::Error DumpedKernel::isolate() {
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

  // The functions, and what they name in turn, in the order of the variant's.
  Operation *all = nullptr;
  for (Operation &op : variantOp.getBody().front())
    if (op.hasTrait<OpTrait::SymbolTable>())
      all = &op;
  if (!all)
    return llvm::createStringError("variant '%s' must hold its functions, got none; resume from the kernels phase",
                                   variantOp.getSymName().str().c_str());
  llvm::SetVector<Operation *> functions;
  for (const std::string &entry : entries())
    functions.insert(SymbolTable::lookupSymbolIn(all, entry));
  for (size_t i = 0; i < functions.size(); ++i)
    if (auto uses = SymbolTable::getSymbolUses(functions[i]))
      for (const SymbolTable::SymbolUse &use : *uses)
        if (Operation *op = SymbolTable::lookupSymbolIn(all, use.getSymbolRef().getRootReference()))
          functions.insert(op);
  Operation *copies = builder.cloneWithoutRegions(*all);
  builder.createBlock(&copies->getRegion(0));
  for (Operation &op : all->getRegion(0).front())
    if (functions.contains(&op))
      builder.clone(op);
  llvm::raw_string_ostream(ir) << *alone << '\n';

  auto translated = translate(copies);
  if (!translated)
    return translated.takeError();
  code = std::move(*translated);
  return llvm::Error::success();
}

std::vector<std::pair<StringRef, std::string>> DumpedKernel::files() {
  std::vector<std::pair<StringRef, std::string>> files = {{".mlir", ir}};
  addFiles(files);
  files.emplace_back(".c", benchmark());
  return files;
}

static std::string spell(const LinearForm &form) {
  std::string text = "{{";
  StringRef separator;
  for (int64_t coefficient : form.coefficient) {
    text += (separator + Twine(coefficient)).str();
    separator = ", ";
  }
  return text + "}}";
}

std::string DumpedKernel::spellOperand(Attribute operand) {
  LinearForm bytes{};
  StringRef kind;
  unsigned field = 0;
  auto program = dispatch->getParentOfType<ProgramOp>();
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
        field = static_cast<unsigned>(step.getField());
      })
      .Case([&](CacheRefAttr) { kind = "CACHE"; })
      .Case([&](ResultRefAttr result) {
        kind = "RESULT";
        auto shape = cast<ResultAttr>(program.getResults()[result.getIndex()]);
        bytes.coefficient[static_cast<unsigned>(dispatch.getRows())] = shape.getColumns() * 4;
      });
  return llvm::formatv("    {{KERF_OPERAND_{0}, {1}, {2}},\n", kind, field, spell(bytes));
}

std::string DumpedKernel::benchmark() {
  auto program = dispatch->getParentOfType<ProgramOp>();
  KvGroupOp group;
  WorkAttr work;
  std::string operands = "static const bench_operand operands[] = {\n";
  for (Attribute operand : dispatch.getOperands_()) {
    operands += spellOperand(operand);
    if (auto cache = dyn_cast<CacheRefAttr>(operand))
      group = module.lookupSymbol<KvGroupOp>(cache.getGroup().getAttr());
    if (auto step = dyn_cast<StepRefAttr>(operand); step && step.getField() == StepField::WorkItems)
      work = cast<WorkAttr>(program.getWorkLists()[step.getList()]);
  }
  operands += "};\n_Static_assert(sizeof operands / sizeof *operands <= BENCH_MOST_OPERANDS, \"too many operands\");\n";
  const MaskRange range = work ? cast<MaskAttrInterface>(work.getMask()).getRange() : MaskRange{};
  const char *pattern = R"(      .name = "{0}",
      .variant = "{1}",
      .extent = {2},
      .attention_tile = {3},
      .operand_count = sizeof operands / sizeof *operands,
      .operands = operands,
      .bytes = {4},
      .operations = {5},
      .page_size = {6},
      .page_bytes = {7},
      .work_list = {{0, {8}, {9}, 0},
      .vocabulary = {10},
      .longest = {11},
)";
  ModelOp model = getModel(module);
  const std::string facts = llvm::formatv(
      pattern, dispatch.getKernel(), variantOp.getSymName(), static_cast<unsigned>(dispatch.getRows()),
      variantOp.getAttentionTile(), spell(getLinearForm(dispatch.getBytes())),
      spell(getLinearForm(dispatch.getOperations())), group ? group.getPageSize() : 0, group ? getPageBytes(group) : 0,
      getMaskBound(range.behind), getMaskBound(range.ahead), model.getVocabulary(), model.getContext());
  return llvm::formatv(R"(/* Benchmark of a kernel that computes {0} of the model {1}. Build and run it, with the
 * options that the headers it includes list, by
 *
 *     {2} && ./benchmark --tokens=512
 */
{3})",
                       dispatch.getOrigin(), model.getName(), buildCommand(), makeBenchmark(operands, facts));
}
