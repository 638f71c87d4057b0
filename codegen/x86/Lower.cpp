//===- Lower.cpp - from a module of kernels to an object file -------------===//
#include "codegen/x86/Lower.h"

#include "codegen/kernels/Optimize.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::x86;

void kerf::x86::addLoweringPasses(OpPassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

llvm::LogicalResult kerf::x86::lowerToLLVMDialect(ModuleOp module) {
  PassManager passes(module.getContext(), ModuleOp::getOperationName());
  addLoweringPasses(passes);
  return passes.run(module);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machineFor(const Variant &variant) {
  // Once: LLVM's registry of targets is not made for several threads, and variants are compiled by several.
  [[maybe_unused]] static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  return kernels::createMachine(llvm::Triple("x86_64-unknown-linux-gnu"), variant.cpu, variant.attributes,
                                variant.name);
}

llvm::Expected<std::unique_ptr<llvm::Module>> kerf::x86::translate(ModuleOp module, const Variant &variant,
                                                                   llvm::LLVMContext &context, bool visible) {
  auto machine = machineFor(variant);
  if (!machine)
    return machine.takeError();
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  auto translated = translateModuleToLLVMIR(module, context, variant.name);
  if (!translated)
    return llvm::createStringError("the kernels of %s could not be translated to LLVM IR", variant.name);
  translated->setTargetTriple((*machine)->getTargetTriple());
  translated->setDataLayout((*machine)->createDataLayout());
  for (llvm::Function &function : *translated) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", variant.cpu);
    function.addFnAttr("target-features", variant.attributes);
    function.addFnAttr("tune-cpu", variant.tune);
    // Tuning for some CPUs avoids 512 bits by default; here the width is the variant's decision.
    function.addFnAttr("prefer-vector-width", std::to_string(32 * variant.lanes));
    if (function.hasInternalLinkage())
      function.addFnAttr(llvm::Attribute::AlwaysInline);
    else if (!visible)
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
  }
  return translated;
}

llvm::Error kerf::x86::optimize(llvm::Module &module, const Variant &variant) {
  auto machine = machineFor(variant);
  if (!machine)
    return machine.takeError();
  return kernels::optimize(module, **machine, variant.name);
}

static llvm::Error emit(llvm::Module &module, const Variant &variant, llvm::CodeGenFileType type,
                        llvm::raw_pwrite_stream &stream) {
  auto machine = machineFor(variant);
  if (!machine)
    return machine.takeError();
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, type))
    return llvm::createStringError("LLVM cannot emit object files for %s", variant.name);
  passes.run(module);
  return llvm::Error::success();
}

llvm::Expected<llvm::SmallVector<char, 0>> kerf::x86::emitObject(llvm::Module &module, const Variant &variant) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (llvm::Error error = emit(module, variant, llvm::CodeGenFileType::ObjectFile, stream))
    return error;
  return bytes;
}

llvm::Expected<std::string> kerf::x86::emitAssembly(llvm::Module &module, const Variant &variant) {
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  if (llvm::Error error = emit(module, variant, llvm::CodeGenFileType::AssemblyFile, stream))
    return error;
  return std::string(text.begin(), text.end());
}

llvm::Expected<llvm::SmallVector<char, 0>> kerf::x86::compileModule(llvm::Module &module, const Variant &variant,
                                                                    Listing *listing) {
  if (listing)
    listing->llvmIR = kernels::printModule(module);
  if (llvm::Error error = optimize(module, variant))
    return error;
  if (listing) {
    listing->optimizedIR = kernels::printModule(module);
    auto assembly = emitAssembly(*llvm::CloneModule(module), variant);
    if (!assembly)
      return assembly.takeError();
    listing->assembly = std::move(*assembly);
  }
  return emitObject(module, variant);
}
