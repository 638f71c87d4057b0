//===- Lower.cpp - from a module of GPU kernels to PTX and cubin ----------===//
#include "codegen/nvptx/Lower.h"

#include "codegen/kernels/Optimize.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;

void kerf::nvptx::registerLowering(DialectRegistry &registry) {
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertNVVMToLLVMInterface(registry);
}

void kerf::nvptx::addLoweringPasses(OpPassManager &passes) {
  passes.addPass(createSCFToControlFlowPass());
  // The passes by dialect would take a module of host code only.
  passes.addPass(createConvertToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
}

llvm::LogicalResult kerf::nvptx::lowerToLLVMDialect(gpu::GPUModuleOp module) {
  DialectRegistry registry;
  registerLowering(registry);
  module.getContext()->appendDialectRegistry(registry);
  PassManager passes(module.getContext(), gpu::GPUModuleOp::getOperationName());
  addLoweringPasses(passes);
  return passes.run(module);
}

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machineFor(const Variant &variant) {
  [[maybe_unused]] static const bool initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  // PTX for the oldest of the family: ptxas makes what a newer member has of it.
  return kernels::createMachine(llvm::Triple("nvptx64-nvidia-cuda"), "sm_80", "+ptx74", variant.name);
}

llvm::Expected<std::unique_ptr<llvm::Module>> kerf::nvptx::translate(gpu::GPUModuleOp module, const Variant &variant,
                                                                     llvm::LLVMContext &context) {
  auto machine = machineFor(variant);
  if (!machine)
    return machine.takeError();
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  module.getContext()->appendDialectRegistry(registry);
  auto translated = translateModuleToLLVMIR(module, context, variant.name);
  if (!translated)
    return llvm::createStringError("the kernels of %s could not be translated to LLVM IR", variant.name);
  translated->setTargetTriple((*machine)->getTargetTriple());
  translated->setDataLayout((*machine)->createDataLayout());
  return translated;
}

llvm::Expected<std::string> kerf::nvptx::emitPtx(llvm::Module &module, const Variant &variant, Listing *listing) {
  auto machine = machineFor(variant);
  if (!machine)
    return machine.takeError();
  if (listing)
    listing->llvmIR = kernels::printModule(module);
  if (llvm::Error error = kernels::optimize(module, **machine, variant.name))
    return error;
  if (listing)
    listing->optimizedIR = kernels::printModule(module);
  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return llvm::createStringError("LLVM cannot emit PTX for %s", variant.name);
  passes.run(module);
  return std::string(text.begin(), text.end());
}

std::optional<std::string> kerf::nvptx::findPtxas(llvm::StringRef path) {
  if (!path.empty())
    return path.str();
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  return std::nullopt;
}

llvm::Expected<Assembly> kerf::nvptx::assemble(llvm::StringRef ptxas, llvm::StringRef ptx, const Variant &variant) {
  llvm::SmallString<128> input, output, report;
  for (auto [path, suffix] : {std::pair(&input, "ptx"), std::pair(&output, "cubin"), std::pair(&report, "txt")})
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("kerf", suffix, *path))
      return llvm::createStringError(error, "cannot make a temporary file for ptxas");
  llvm::scope_exit cleanup([&] {
    for (llvm::StringRef path : {input.str(), output.str(), report.str()})
      llvm::sys::fs::remove(path);
  });
  {
    std::error_code error;
    llvm::raw_fd_ostream stream(input, error);
    stream << ptx;
    stream.close();
    if (error || stream.has_error())
      return llvm::createStringError("cannot write %s", input.c_str());
  }
  const std::string architecture = llvm::Twine("-arch=sm_").concat(llvm::Twine(variant.architecture)).str();
  const llvm::StringRef arguments[] = {ptxas, "-v", "-O3", "--warn-on-spills", architecture, input, "-o", output};
  std::string problem;
  const int status = llvm::sys::ExecuteAndWait(
      ptxas, arguments, std::nullopt, {std::nullopt, llvm::StringRef(report), llvm::StringRef(report)}, 0, 0, &problem);
  auto read = [](llvm::StringRef path) {
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    return buffer ? (*buffer)->getBuffer().str() : std::string();
  };
  Assembly assembly{read(output), read(report)};
  if (status != 0)
    return llvm::createStringError("%s must assemble the kernels of %s, got: %s%s", ptxas.str().c_str(), variant.name,
                                   problem.c_str(), assembly.report.c_str());
  return assembly;
}
