//===- Optimize.cpp - LLVM IR of kernels, whatever the target -------------===//
#include "codegen/kernels/Optimize.h"

#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> kerf::kernels::createMachine(const llvm::Triple &triple,
                                                                                  llvm::StringRef cpu,
                                                                                  llvm::StringRef features,
                                                                                  const char *name) {
  std::string reason;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, reason);
  if (!target)
    return llvm::createStringError("LLVM must be built for " + triple.str() + ", got: " + reason);
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(triple, cpu, features, llvm::TargetOptions(),
                                                                           llvm::Reloc::PIC_, std::nullopt,
                                                                           llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("LLVM cannot make a target machine for %s", name);
  return machine;
}

llvm::Error kerf::kernels::optimize(llvm::Module &module, llvm::TargetMachine &machine, const char *name) {
  std::string broken;
  llvm::raw_string_ostream stream(broken);
  if (llvm::verifyModule(module, &stream))
    return llvm::createStringError("the kernels of %s must be valid LLVM IR, got: %s", name, broken.c_str());
  llvm::PipelineTuningOptions tuning;
  // Kernels are vectorized and unrolled as they are meant to be; what is left are tails.
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  tuning.LoopUnrolling = false;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
  return llvm::Error::success();
}

std::string kerf::kernels::printModule(const llvm::Module &module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, nullptr);
  return text;
}
