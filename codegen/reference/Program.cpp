// Bufferizes a lowered function, compiles it with LLVM and runs it.
#include "codegen/reference/Program.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/ExecutionEngine/Orc/ThreadSafeModule.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <cstdlib>
#include <unordered_set>

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

//===----------------------------------------------------------------------===//
// What the compiled code calls
//===----------------------------------------------------------------------===//

namespace {

/// One call of `run`: takes outputs, and owns what the code allocates and does not give back.
struct Run {
  ArrayRef<Output> outputs;
  OutputFn take;
  std::unordered_set<void *> allocated;

  ~Run() {
    for (void *pointer : allocated)
      std::free(pointer);
  }
};

thread_local Run *currentRun = nullptr;

void *allocateAligned(uint64_t alignment, uint64_t size) {
  alignment = std::max<uint64_t>(alignment, 64);
  void *pointer = std::aligned_alloc(alignment, llvm::alignTo(std::max<uint64_t>(size, 1), alignment));
  if (!pointer)
    llvm::report_fatal_error("out of memory in the reference path");
  currentRun->allocated.insert(pointer);
  return pointer;
}
void *allocate(uint64_t size) { return allocateAligned(64, size); }

void release(void *pointer) {
  currentRun->allocated.erase(pointer);
  std::free(pointer);
}

void emitOutput(int64_t run, int64_t number, uint64_t address, int64_t rows) {
  const Output &output = reinterpret_cast<Run *>(run)->outputs[number];
  SmallVector<int64_t> shape(output.type.getShape());
  shape.front() = rows;
  reinterpret_cast<Run *>(run)->take(output, reinterpret_cast<const void *>(address), shape);
}

} // namespace

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

static void loadDialects(MLIRContext &context) {
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, bufferization::BufferizationDialect, cf::ControlFlowDialect, func::FuncDialect,
                  linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                  tensor::TensorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
  for (StringRef name : {"arith", "bufferization", "cf", "func", "linalg", "llvm", "math", "memref", "scf", "tensor"})
    context.getOrLoadDialect(name);
}

static LogicalResult lowerToLLVMDialect(ModuleOp module) {
  PassManager pm(module.getContext());
  // Destinations that are only asked for their size go before each would become memory.
  pm.addPass(createCanonicalizerPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addPass(createConvertLinalgToLoopsPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  FinalizeMemRefToLLVMConversionPassOptions memrefs;
  memrefs.useGenericFunctions = true;
  pm.addPass(createFinalizeMemRefToLLVMConversionPass(memrefs));
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  return pm.run(module);
}

/// Adds `entry(ptr)`, which calls the C interface of the function with arguments from an array of pointers: the first
/// points at the i64, the others are descriptors.
static void addEntry(llvm::Module &module, StringRef name) {
  llvm::Function *callee = module.getFunction(("_mlir_ciface_" + name).str());
  llvm::LLVMContext &context = module.getContext();
  auto *pointer = llvm::PointerType::getUnqual(context);
  auto *entry = llvm::Function::Create(llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer}, false),
                                       llvm::Function::ExternalLinkage, "kerf_reference_entry", module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "entry", entry));
  SmallVector<llvm::Value *> arguments;
  for (auto [i, type] : llvm::enumerate(callee->getFunctionType()->params())) {
    llvm::Value *slot = builder.CreateConstGEP1_64(pointer, entry->getArg(0), i);
    llvm::Value *value = builder.CreateLoad(pointer, slot);
    arguments.push_back(type->isPointerTy() ? value : builder.CreateLoad(type, value));
  }
  builder.CreateCall(callee, arguments);
  builder.CreateRetVoid();
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PassBuilder passes(&machine);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(graph);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, graph, modules);
  passes.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

static llvm::Expected<std::unique_ptr<llvm::orc::LLJIT>> createJit(ModuleOp module, StringRef name) {
  [[maybe_unused]] static const bool initialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  auto target = llvm::orc::JITTargetMachineBuilder::detectHost();
  if (!target)
    return target.takeError();
  auto machine = target->createTargetMachine();
  if (!machine)
    return machine.takeError();
  auto context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> translated = translateModuleToLLVMIR(module, *context);
  if (!translated)
    return llvm::createStringError("the reference of '%s' could not be translated to LLVM IR", name.str().c_str());
  translated->setDataLayout((*machine)->createDataLayout());
  translated->setTargetTriple((*machine)->getTargetTriple());
  addEntry(*translated, name);
  optimize(*translated, **machine);

  auto jit = llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(std::move(*target)).create();
  if (!jit)
    return jit.takeError();
  llvm::orc::SymbolMap symbols;
  auto define = [&](StringRef symbol, auto *function) {
    symbols[(*jit)->mangleAndIntern(symbol)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                                llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  define(emitFunction, &emitOutput);
  define("_mlir_memref_to_llvm_alloc", &allocate);
  define("_mlir_memref_to_llvm_aligned_alloc", &allocateAligned);
  define("_mlir_memref_to_llvm_free", &release);
  if (llvm::Error error = (*jit)->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))))
    return error;
  if (llvm::Error error = (*jit)->addIRModule(llvm::orc::ThreadSafeModule(std::move(translated), std::move(context))))
    return error;
  return std::move(*jit);
}

Program::Program() = default;
Program::~Program() = default;

llvm::Expected<std::unique_ptr<Program>> Program::compile(func::FuncOp program, bool record) {
  loadDialects(*program.getContext());
  auto original = program->getParentOfType<ModuleOp>();
  IRMapping mapping;
  OwningOpRef<ModuleOp> module = cast<ModuleOp>(original->clone(mapping));
  auto copy = cast<func::FuncOp>(mapping.lookup(program.getOperation()));
  std::string name = program.getName().str();
  auto failed = [&] { return llvm::createStringError("'%s' could not be lowered to the reference", name.c_str()); };

  FailureOr<Lowered> lowered = lowerProgram(copy, record);
  if (mlir::failed(lowered))
    return failed();
  std::unique_ptr<Program> result(new Program);
  result->arguments_ = lowered->arguments;
  result->outputs_ = lowered->outputs;
  result->resultCount_ = lowered->resultCount;
  DenseMap<Operation *, Operation *> originals;
  for (auto [from, to] : mapping.getOperationMap())
    originals[to] = from;
  for (Output &output : result->outputs_)
    output.op = originals.lookup(output.op);

  lowered->function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), UnitAttr::get(program.getContext()));
  for (Operation &op : llvm::make_early_inc_range(*module->getBody())) {
    auto function = dyn_cast<func::FuncOp>(op);
    if (isa<KerfDialect>(op.getDialect()) || (function && needsLowering(function)))
      op.erase();
  }
  if (mlir::failed(lowerToLLVMDialect(*module)))
    return failed();
  auto jit = createJit(*module, name);
  if (!jit)
    return jit.takeError();
  result->jit = std::move(*jit);
  auto entry = result->jit->lookup("kerf_reference_entry");
  if (!entry)
    return entry.takeError();
  result->entry = entry->toPtr<void (*)(void *const *)>();
  return result;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

static std::string describe(const Argument &argument) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  switch (argument.kind) {
  case Argument::Batch:
    stream << "array " << argument.index << " of the batch";
    break;
  case Argument::Keys:
    stream << "keys of group '" << argument.symbol.getValue() << "'";
    break;
  case Argument::Values:
    stream << "values of group '" << argument.symbol.getValue() << "'";
    break;
  case Argument::Tensor:
    stream << "argument " << argument.index;
    break;
  case Argument::Weight:
    stream << "weight '" << argument.symbol.getValue() << "'";
    break;
  }
  stream << " must be a " << argument.type;
  return text;
}

llvm::Error Program::run(ArrayRef<Buffer> buffers, OutputFn take) const {
  if (buffers.size() != arguments_.size())
    return llvm::createStringError("the reference must get %zu buffers, got %zu", arguments_.size(), buffers.size());
  Run run{outputs_, take, {}};
  Run *self = &run;
  // A descriptor is {allocated, aligned, offset, sizes…, strides…}, all 64 bits wide.
  SmallVector<SmallVector<int64_t, 13>> descriptors;
  for (auto [argument, buffer] : llvm::zip(arguments_, buffers)) {
    ArrayRef<int64_t> shape = argument.type.getShape();
    bool fits = shape.size() == buffer.shape.size();
    for (size_t axis = 0; fits && axis < shape.size(); ++axis)
      fits = ShapedType::isDynamic(shape[axis]) ? buffer.shape[axis] >= 0 : shape[axis] == buffer.shape[axis];
    if (!fits) {
      std::string found;
      llvm::raw_string_ostream stream(found);
      llvm::interleave(buffer.shape, stream, "x");
      return llvm::createStringError("%s, got a buffer of shape %s", describe(argument).c_str(), found.c_str());
    }
    auto &descriptor = descriptors.emplace_back();
    descriptor.append({reinterpret_cast<int64_t>(buffer.data), reinterpret_cast<int64_t>(buffer.data), 0});
    descriptor.append(buffer.shape.begin(), buffer.shape.end());
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      int64_t stride = 1;
      for (size_t inner = axis + 1; inner < shape.size(); ++inner)
        stride *= buffer.shape[inner];
      descriptor.push_back(stride);
    }
  }
  SmallVector<void *> pointers = {&self};
  for (auto &descriptor : descriptors)
    pointers.push_back(descriptor.data());
  Run *outer = std::exchange(currentRun, &run);
  entry(pointers.data());
  currentRun = outer;
  return llvm::Error::success();
}
