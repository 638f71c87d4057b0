// Compiles variants to objects, writes the library's table as constant data, and links.
#include "codegen/x86/Library.h"
#include "codegen/x86/Kernels.h"
#include "kerf/names.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::x86;

//===----------------------------------------------------------------------===//
// Variants
//===----------------------------------------------------------------------===//

namespace {
/// One variant between its translation and its object file.
struct VariantJob {
  VariantOp op;
  const Variant *variant;
  /// Each variant has a context of its own: LLVM's contexts are for one thread.
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> code;
  llvm::SmallVector<char, 0> bytes;
  Listing listing;
  llvm::Error error = llvm::Error::success();

  void compile(bool listed) {
    llvm::ErrorAsOutParameter written(error);
    auto object = compileModule(*code, *variant, listed ? &listing : nullptr);
    if (object)
      bytes = std::move(*object);
    else
      error = object.takeError();
  }

  /// The object file as the variant's resource, in place of the functions.
  void store() {
    auto type = RankedTensorType::get(bytes.size(), IntegerType::get(op.getContext(), 8));
    op.setObjectAttr(DenseResourceElementsAttr::get(type, op.getSymName(),
                                                    HeapAsmResourceBlob::allocateAndCopyInferAlign<char>(bytes)));
    for (auto kernels : llvm::make_early_inc_range(op.getOps<ModuleOp>()))
      kernels.erase();
  }
};
} // namespace

llvm::Error kerf::x86::compileVariants(ModuleOp module, unsigned threads, std::vector<Listing> *listings) {
  std::vector<VariantJob> jobs;
  for (auto op : module.getOps<VariantOp>()) {
    const Variant *variant = findVariant(op.getSymName());
    auto kernels = op.getOps<ModuleOp>();
    if (!variant || kernels.empty())
      return llvm::createStringError("variant '%s' is not one that x86 code is generated for",
                                     op.getSymName().str().c_str());
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
    pool.async([&job, listings] { job.compile(listings != nullptr); });
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

llvm::Expected<std::vector<ObjectFile>> kerf::x86::getObjects(ModuleOp module) {
  std::vector<ObjectFile> objects;
  for (auto variant : module.getOps<VariantOp>()) {
    AsmResourceBlob *blob = variant.getObject() ? variant.getObjectAttr().getRawHandle().getBlob() : nullptr;
    if (!blob)
      return llvm::createStringError("variant '%s' must hold the object of its kernels, got none; run the object phase "
                                     "first",
                                     variant.getSymName().str().c_str());
    ObjectFile &object = objects.emplace_back();
    object.name = variant.getSymName().str();
    object.bytes.append(blob->getData().begin(), blob->getData().end());
  }
  return objects;
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

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

    std::vector<llvm::Constant *> variants, programs, packed, caches;
    for (auto variant : module.getOps<VariantOp>()) {
      auto written = writeVariant(variant);
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

    llvm::Constant *table = structure({i32(KERF_ABI_VERSION),
                                       i32(sizeof(kerf_library)),
                                       llvm::ConstantDataArray::get(context, buildId),
                                       text(model.getName()),
                                       i32(variants.size()),
                                       i32(sizeof(kerf_variant)),
                                       i32(programs.size()),
                                       i32(sizeof(kerf_program)),
                                       i32(weightBytes.size()),
                                       i32(caches.size()),
                                       i32(sizeof(kerf_cache_group)),
                                       i32(0),
                                       tableOf<kerf_variant>(variants),
                                       tableOf<kerf_program>(programs),
                                       array(packed),
                                       tableOf<kerf_cache_group>(caches),
                                       i32(model.getVocabulary()),
                                       i32(model.getContext()),
                                       i32(0),
                                       i32(0),
                                       array({})});
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

  llvm::Expected<llvm::Constant *> writeVariant(VariantOp op) {
    const Variant *variant = findVariant(op.getSymName());
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
    for (auto result : program.getResults().getAsRange<ResultAttr>()) {
      const bool logits = result.getKind() == ResultKind::Logits;
      results.push_back(structure({i32(static_cast<uint32_t>(result.getKind())),
                                   i32(logits ? KERF_EXTENT_LOGIT_ROWS : KERF_EXTENT_SEQUENCES),
                                   i32(result.getColumns()), i32(KERF_ELEMENT_F32)}));
    }
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

llvm::Expected<ObjectFile> kerf::x86::compileLibraryTable(ModuleOp module, const std::array<uint8_t, 32> &buildId,
                                                          ArrayRef<uint64_t> weightBytes) {
  // Constant data only: every variant's target describes it alike.
  const Variant &variant = variants().front();
  llvm::LLVMContext context;
  OwningOpRef<ModuleOp> empty = ModuleOp::create(module.getLoc());
  auto output = translate(*empty, variant, context);
  if (!output)
    return output.takeError();
  if (llvm::Error error = TableWriter(module, **output).write(buildId, weightBytes))
    return error;
  auto bytes = emitObject(**output, variant);
  if (!bytes)
    return bytes.takeError();
  ObjectFile object;
  object.name = "library";
  object.bytes = std::move(*bytes);
  return object;
}

uint64_t kerf::x86::getPageBytes(KvGroupOp group) {
  Type element = group.getElement();
  CacheLayout layout{group.getHeads(), group.getHeadDim(), group.getPageSize(),
                     element.isBF16()  ? Element::BF16
                     : element.isF16() ? Element::F16
                                       : Element::F32};
  return layout.pageBytes();
}

//===----------------------------------------------------------------------===//
// Linking
//===----------------------------------------------------------------------===//

llvm::Error kerf::x86::linkLibrary(ArrayRef<ObjectFile> objects, StringRef modelName, StringRef path) {
  llvm::ErrorOr<std::string> linker = llvm::sys::findProgramByName("ld.lld-22");
  if (!linker)
    linker = llvm::sys::findProgramByName("ld.lld");
  if (!linker)
    return llvm::createStringError("the linker ld.lld must be on PATH, found neither ld.lld-22 nor ld.lld; install "
                                   "Debian's package lld-22");
  llvm::SmallString<128> directory;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("kerf-link", directory))
    return llvm::createStringError(error, "cannot make a temporary directory for linking");
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove_directories(directory); });

  // The linker maps its output, and dies where the disk cannot hold it: so it writes beside the objects, and what it
  // wrote is copied, which can fail in words.
  llvm::SmallString<128> linked = directory;
  llvm::sys::path::append(linked, "linked.so");
  std::string soname = (KERF_LIBRARY_PREFIX + modelName + KERF_LIBRARY_SUFFIX).str();
  std::vector<std::string> arguments = {
      *linker, "-shared", "-o", linked.str().str(), "-soname", soname, "--build-id=none", "-z", "defs", "-z", "now"};
  for (const ObjectFile &object : objects) {
    llvm::SmallString<128> file = directory;
    llvm::sys::path::append(file, object.name + ".o");
    std::error_code error;
    llvm::raw_fd_ostream stream(file, error);
    if (!error) {
      stream.write(object.bytes.data(), object.bytes.size());
      stream.close();
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      return llvm::createStringError(error, "cannot write %s", file.c_str());
    arguments.push_back(file.str().str());
  }
  SmallVector<StringRef> references(arguments.begin(), arguments.end());
  llvm::SmallString<128> log = directory;
  llvm::sys::path::append(log, "log");
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log), StringRef(log)};
  std::string problem;
  if (llvm::sys::ExecuteAndWait(*linker, references, std::nullopt, redirects, 0, 0, &problem) != 0) {
    if (auto text = llvm::MemoryBuffer::getFile(log); text && !(*text)->getBuffer().empty())
      problem = (*text)->getBuffer().str();
    return llvm::createStringError("linking %s in %s failed: %s", path.str().c_str(), directory.c_str(),
                                   StringRef(problem).trim().str().c_str());
  }
  std::error_code error = llvm::sys::fs::copy_file(linked, path);
  if (!error)
    error = llvm::sys::fs::setPermissions(
        path, static_cast<llvm::sys::fs::perms>(llvm::sys::fs::all_all & ~llvm::sys::fs::getUmask()));
  if (error)
    return llvm::createStringError(error, "cannot write %s: %s; free space or choose another output directory",
                                   path.str().c_str(), error.message().c_str());
  return llvm::Error::success();
}
