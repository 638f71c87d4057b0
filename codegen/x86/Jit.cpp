//===- Jit.cpp - runs generated kernels in this process -------------------===//
#include "codegen/x86/Jit.h"

#include "codegen/x86/Lower.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/TargetParser/Host.h"

#include <sys/syscall.h>
#include <unistd.h>

using namespace kerf::x86;

struct Jit::State {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

Jit::Jit(std::unique_ptr<State> state) : state(std::move(state)) {}
Jit::~Jit() = default;

llvm::Expected<std::unique_ptr<Jit>> Jit::create(mlir::ModuleOp module, const Variant &variant,
                                                 llvm::function_ref<void(llvm::Module &)> edit) {
  if (failed(lowerToLLVMDialect(module)))
    return llvm::createStringError("the kernels of %s could not be lowered", variant.name);
  llvm::LLVMContext context;
  auto translated = translate(module, variant, context, /*visible=*/true);
  if (!translated)
    return translated.takeError();
  if (edit)
    edit(**translated);
  if (llvm::Error error = optimize(**translated, variant))
    return error;
  auto object = emitObject(**translated, variant);
  if (!object)
    return object.takeError();
  auto state = std::make_unique<State>();
  // No platform: it would only serve constructors and thread-local data, and needs the process's symbols.
  auto jit = llvm::orc::LLJITBuilder()
                 .setLinkProcessSymbolsByDefault(false)
                 .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
                 .create();
  if (!jit)
    return jit.takeError();
  state->jit = std::move(*jit);
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(object->data(), object->size()), variant.name);
  if (llvm::Error error = state->jit->addObjectFile(std::move(buffer)))
    return error;
  return std::unique_ptr<Jit>(new Jit(std::move(state)));
}

llvm::Expected<kerf_kernel_fn> Jit::find(llvm::StringRef name) {
  auto address = state->jit->lookup(name);
  if (!address)
    return address.takeError();
  return address->toPtr<kerf_kernel_fn>();
}

bool kerf::x86::runsHere(const Variant &variant) {
  const auto features = llvm::sys::getHostCPUFeatures();
  auto has = [&](std::initializer_list<const char *> names) {
    for (const char *name : names)
      if (!features.lookup(name))
        return false;
    return true;
  };
  uint64_t present = 0;
  if (has({"avx2", "fma", "f16c", "bmi2"}))
    present |= KERF_CPU_AVX2;
  if (has({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}))
    present |= KERF_CPU_AVX512;
  if (has({"avx512bf16"}))
    present |= KERF_CPU_AVX512_BF16;
  // Linux gives tiles only to processes that ask: ARCH_REQ_XCOMP_PERM (0x1023) of XFEATURE_XTILEDATA (18).
  if (has({"amx-tile", "amx-bf16"}) && syscall(SYS_arch_prctl, 0x1023, 18) == 0)
    present |= KERF_CPU_AMX_BF16;
  return (variant.features & ~present) == 0;
}
