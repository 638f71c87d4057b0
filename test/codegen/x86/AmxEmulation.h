//===- AmxEmulation.h - runs AMX code on CPUs without it --------*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_X86_AMXEMULATION_H
#define KERF_TEST_CODEGEN_X86_AMXEMULATION_H

namespace llvm {
class Module;
}

namespace kerf::test {

/// Replaces every tile intrinsic in the module with code that does the same to memory, as the Intel 64 and IA-32
/// Architectures Software Developer's Manual, volume 2, defines it. All else stays: loops, addresses, tails.
void emulateAmx(llvm::Module &module);

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_X86_AMXEMULATION_H
