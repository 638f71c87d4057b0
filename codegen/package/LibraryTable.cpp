// Writes the library's table as constant data.
#include "codegen/package/LibraryTable.h"

#include "codegen/nvptx/Images.h"
#include "dialects/kerf/KerfPrograms.h"
#include "kerf/abi.h"
#include "kerf/names.h"

#include "mlir/IR/DialectResourceBlobManager.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"

using namespace mlir;
using namespace kerf;

namespace {

/// Writes the structs of kerf/abi.h as LLVM constants. Field by field as declared there; the natural alignment of
/// LLVM's structs on x86-64 is C's.
class TableWriter {
public:
  TableWriter(ModuleOp module, llvm::Module &output) : module(module), output(output), context(output.getContext()) {}

  llvm::Error write(const std::array<uint8_t, 32> &buildId, ArrayRef<uint64_t> weightBytes) {
    ModelOp model = getModel(module);
    char symbol[KERF_SYMBOL_MAX];
    if (!model || !kerf_library_symbol(model.getName().str().c_str(), symbol))
      return llvm::createStringError("the module must hold a kerf.model with a name of letters, digits, '.', '_', '-'");
    for (auto [index, weight] : llvm::enumerate(module.getOps<WeightOp>()))
      weights[weight.getSymNameAttr()] = index;
    for (auto [index, group] : llvm::enumerate(module.getOps<KvGroupOp>()))
      groups[group.getSymNameAttr()] = index;

    const bool gpu = isForGpu(module);
    std::vector<llvm::Constant *> variants, programs, packed, caches;
    for (auto variant : module.getOps<VariantOp>()) {
      auto written = gpu ? writeGpuVariant(variant) : writeVariant(variant);
      if (!written)
        return written.takeError();
      variants.push_back(*written);
    }
    for (auto program : module.getOps<ProgramOp>())
      programs.push_back(writeProgram(program));
    for (uint64_t bytes : weightBytes)
      packed.push_back(i64(bytes));
    for (auto group : module.getOps<KvGroupOp>())
      caches.push_back(structure({i32(group.getPlanes()), i32(group.getPageSize()), i64(getPageBytes(group))}));

    const uint32_t cpuVariants = gpu ? 0 : variants.size(), gpuVariants = variants.size() - cpuVariants;
    llvm::Constant *cpuTable = gpu ? array({}) : tableOf<kerf_variant>(variants);
    llvm::Constant *gpuTable = gpu ? tableOf<kerf_gpu_variant>(variants) : array({});
    llvm::Constant *table = structure({i32(KERF_ABI_VERSION),
                                       i32(sizeof(kerf_library)),
                                       llvm::ConstantDataArray::get(context, buildId),
                                       text(model.getName()),
                                       i32(cpuVariants),
                                       i32(sizeof(kerf_variant)),
                                       i32(programs.size()),
                                       i32(sizeof(kerf_program)),
                                       i32(weightBytes.size()),
                                       i32(caches.size()),
                                       i32(sizeof(kerf_cache_group)),
                                       i32(0),
                                       cpuTable,
                                       tableOf<kerf_program>(programs),
                                       array(packed),
                                       tableOf<kerf_cache_group>(caches),
                                       i32(model.getVocabulary()),
                                       i32(model.getContext()),
                                       i32(gpuVariants),
                                       i32(sizeof(kerf_gpu_variant)),
                                       gpuTable});
    if (output.getDataLayout().getTypeAllocSize(table->getType()) != sizeof(kerf_library))
      return llvm::createStringError("the table must be as large as kerf_library in kerf/abi.h: %zu bytes, got %llu",
                                     sizeof(kerf_library),
                                     (unsigned long long)output.getDataLayout().getTypeAllocSize(table->getType()));
    new llvm::GlobalVariable(output, table->getType(), /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage, table,
                             symbol);
    return llvm::Error::success();
  }

private:
  llvm::Constant *i32(uint64_t value) { return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), value); }
  llvm::Constant *i64(uint64_t value) { return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), value); }
  llvm::Constant *structure(ArrayRef<llvm::Constant *> fields) {
    return llvm::ConstantStruct::getAnon(context, fields);
  }

  llvm::Constant *constant(llvm::Constant *value) {
    auto *global = new llvm::GlobalVariable(output, value->getType(), /*isConstant=*/true,
                                            llvm::GlobalValue::PrivateLinkage, value);
    global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return global;
  }
  llvm::Constant *text(StringRef value) {
    llvm::Constant *&known = texts[value];
    if (!known)
      known = constant(llvm::ConstantDataArray::getString(context, value));
    return known;
  }
  /// Address of the elements, null where there are none.
  llvm::Constant *array(ArrayRef<llvm::Constant *> elements) {
    if (elements.empty())
      return llvm::ConstantPointerNull::get(llvm::PointerType::get(context, 0));
    auto *type = llvm::ArrayType::get(elements.front()->getType(), elements.size());
    return constant(llvm::ConstantArray::get(type, elements));
  }
  /// The same for a table of the structs `T`, whose size is stated beside it.
  template <typename T> llvm::Constant *tableOf(ArrayRef<llvm::Constant *> elements) {
    assert((elements.empty() || output.getDataLayout().getTypeAllocSize(elements.front()->getType()) == sizeof(T)) &&
           "an element must be as large as its struct in kerf/abi.h");
    return array(elements);
  }
  llvm::Constant *form(SizeAttr size) {
    LinearForm form = getLinearForm(size);
    return structure({llvm::ConstantDataArray::get(
        context, ArrayRef<uint64_t>(std::vector<uint64_t>(form.coefficient.begin(), form.coefficient.end())))});
  }

  llvm::Expected<llvm::Constant *> writeGpuVariant(VariantOp op) {
    const nvptx::Variant *variant = nvptx::findVariant(op.getSymName());
    AsmResourceBlob *image = op.getObject() ? op.getObjectAttr().getRawHandle().getBlob() : nullptr;
    if (!variant || !image)
      return llvm::createStringError("variant '%s' must be known and hold the image of its kernels; run the object "
                                     "phase first",
                                     op.getSymName().str().c_str());
    std::vector<llvm::Constant *> list;
    kernels.clear();
    for (auto kernel : op.getOps<GpuKernelOp>()) {
      kernels[kernel.getKernel()] = list.size();
      std::vector<llvm::Constant *> launches;
      for (auto launch : kernel.getLaunches().getAsRange<LaunchAttr>())
        launches.push_back(
            structure({text(launch.getFunction()), i32(launch.getLeast()), i32(launch.getMost()),
                       i32(static_cast<uint32_t>(launch.getWhen())), i32(launch.getTile()), i32(launch.getColumns()),
                       i32(launch.getThreads()), i32(launch.getShared()), i32(0)}));
      list.push_back(structure({text(kernel.getKernel()), i32(launches.size()), i32(sizeof(kerf_gpu_launch)),
                                tableOf<kerf_gpu_launch>(launches)}));
    }
    ArrayRef<char> bytes = image->getData();
    auto *data = constant(llvm::ConstantDataArray::getString(context, StringRef(bytes.data(), bytes.size()), false));
    return structure({text(op.getSymName()), i32(variant->architecture),
                      i32(variant->cubin ? KERF_GPU_CUBIN : KERF_GPU_PTX), data, i64(bytes.size()), i32(list.size()),
                      i32(sizeof(kerf_gpu_kernel)), i32(op.getAttentionTile()), i32(0),
                      tableOf<kerf_gpu_kernel>(list)});
  }

  llvm::Expected<llvm::Constant *> writeVariant(VariantOp op) {
    const x86::Variant *variant = x86::findVariant(op.getSymName());
    if (!variant)
      return llvm::createStringError("variant '%s' is not known", op.getSymName().str().c_str());
    std::string suffix = ("." + op.getSymName()).str();
    std::vector<llvm::Constant *> list;
    kernels.clear();
    for (auto kernel : op.getOps<KernelOp>()) {
      auto *type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), false);
      llvm::FunctionCallee function = output.getOrInsertFunction(kernel.getFunction(), type);
      cast<llvm::Function>(function.getCallee())->setVisibility(llvm::GlobalValue::HiddenVisibility);
      StringRef key = kernel.getFunction();
      key.consume_back(suffix);
      kernels[key] = list.size();
      list.push_back(structure({text(key), cast<llvm::Constant>(function.getCallee()), i32(kernel.getTile()),
                                i32(kernel.getColumns()), i64(kernel.getStack())}));
    }
    return structure({text(op.getSymName()), i64(variant->features), i32(list.size()), i32(sizeof(kerf_kernel)),
                      i32(op.getAttentionTile()), i32(0), tableOf<kerf_kernel>(list)});
  }

  llvm::Constant *writeOperand(Attribute operand) {
    uint32_t kind = 0, index = 0, plane = 0;
    llvm::TypeSwitch<Attribute>(operand)
        .Case([&](SlotRefAttr slot) { kind = KERF_OPERAND_SLOT, index = slot.getIndex(); })
        .Case([&](WeightRefAttr weight) {
          kind = KERF_OPERAND_WEIGHT, index = weights.lookup(weight.getWeight().getAttr());
        })
        .Case([&](StepRefAttr step) {
          kind = KERF_OPERAND_STEP, index = static_cast<uint32_t>(step.getField());
          plane = step.getGroup() ? groups.lookup(step.getGroup().getAttr()) : step.getList();
        })
        .Case([&](CacheRefAttr cache) {
          kind = KERF_OPERAND_CACHE, index = groups.lookup(cache.getGroup().getAttr()), plane = cache.getPlane();
        })
        .Case([&](ResultRefAttr result) { kind = KERF_OPERAND_RESULT, index = result.getIndex(); });
    return structure({i32(kind), i32(index), i32(plane), i32(0)});
  }

  llvm::Constant *writeProgram(ProgramOp program) {
    std::vector<llvm::Constant *> dispatches, slots, lists, results;
    for (auto dispatch : program.getOps<DispatchOp>()) {
      std::vector<llvm::Constant *> operands;
      for (Attribute operand : dispatch.getOperands_())
        operands.push_back(writeOperand(operand));
      dispatches.push_back(
          structure({i32(kernels.lookup(dispatch.getKernel())), i32(static_cast<uint32_t>(dispatch.getRows())),
                     i32(operands.size()), i32(sizeof(kerf_operand)), tableOf<kerf_operand>(operands),
                     text(dispatch.getOrigin()), form(dispatch.getBytes()), form(dispatch.getOperations())}));
    }
    for (Attribute slot : program.getSlots())
      slots.push_back(structure({form(cast<SizeAttr>(slot))}));
    for (auto list : program.getWorkLists().getAsRange<WorkAttr>()) {
      MaskRange range = cast<MaskAttrInterface>(list.getMask()).getRange();
      lists.push_back(structure({i32(groups.lookup(list.getGroup().getAttr())), i32(getMaskBound(range.behind)),
                                 i32(getMaskBound(range.ahead)), i32(0)}));
    }
    for (auto result : program.getResults().getAsRange<ResultAttr>())
      results.push_back(structure({i32(static_cast<uint32_t>(result.getKind())),
                                   i32(static_cast<uint32_t>(result.getRows())), i32(result.getColumns()),
                                   i32(result.getKind() == ResultKind::Tokens ? KERF_ELEMENT_I32 : KERF_ELEMENT_F32)}));
    return structure({text(program.getSymName()), i32(dispatches.size()), i32(sizeof(kerf_dispatch)), i32(slots.size()),
                      i32(sizeof(kerf_slot)), i32(lists.size()), i32(sizeof(kerf_work_list)), i32(results.size()),
                      i32(sizeof(kerf_result)), tableOf<kerf_dispatch>(dispatches), tableOf<kerf_slot>(slots),
                      tableOf<kerf_work_list>(lists), tableOf<kerf_result>(results)});
  }

  ModuleOp module;
  llvm::Module &output;
  llvm::LLVMContext &context;
  llvm::StringMap<llvm::Constant *> texts;
  DenseMap<Attribute, uint32_t> weights, groups;
  /// Position of each kernel in the variants, by key. All variants have the same.
  llvm::StringMap<uint32_t> kernels;
};

} // namespace

llvm::Expected<x86::ObjectFile> kerf::compileLibraryTable(ModuleOp module, const std::array<uint8_t, 32> &buildId,
                                                          ArrayRef<uint64_t> weightBytes) {
  // Constant data only: every variant's target describes it alike.
  const x86::Variant &variant = x86::variants().front();
  llvm::LLVMContext context;
  OwningOpRef<ModuleOp> empty = ModuleOp::create(module.getLoc());
  auto output = x86::translate(*empty, variant, context);
  if (!output)
    return output.takeError();
  if (llvm::Error error = TableWriter(module, **output).write(buildId, weightBytes))
    return error;
  auto bytes = x86::emitObject(**output, variant);
  if (!bytes)
    return bytes.takeError();
  x86::ObjectFile object;
  object.name = "library";
  object.bytes = std::move(*bytes);
  return object;
}

uint64_t kerf::getPageBytes(KvGroupOp group) {
  return isForGpu(group->getParentOfType<ModuleOp>()) ? nvptx::getPageBytes(group) : x86::getPageBytes(group);
}
