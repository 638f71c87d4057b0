// Modules and kernels that are refused, and what they are told.
#include "Emulated.h"

namespace kerf::emulator {
namespace {

class Module : public Emulated {
protected:
  void expectRefused(const std::string &text, CUresult error, const std::string &message) {
    std::string log;
    EXPECT_EQ(tryLoad(text, &log), error) << text;
    EXPECT_EQ(log, message);
  }
};

TEST_F(Module, NamesWhatItDoesNotKnow) {
  expectRefused(kernelText("wgmma.fence.sync.aligned;"), CUDA_ERROR_INVALID_PTX,
                "line 10: the emulator does not know the instruction 'wgmma.fence.sync.aligned'");
  expectRefused(kernelText("add.s32.wrong %r0, %r1, %r2;"), CUDA_ERROR_INVALID_PTX,
                "line 10: the emulator does not know the instruction 'add.s32.wrong'");
  expectRefused(".version 7.0\n.target sm_80\n.func f() { ret; }\n", CUDA_ERROR_INVALID_PTX,
                "line 3: functions other than kernels are not known; let the compiler inline them");
}

TEST_F(Module, ChecksOperands) {
  expectRefused(kernelText("add.s32 %r0, %r1;"), CUDA_ERROR_INVALID_PTX,
                "line 10: add.s32: expected more operands than 2");
  expectRefused(kernelText("add.s32 %r0, %r1, %r2, %r3;"), CUDA_ERROR_INVALID_PTX,
                "line 10: add.s32: expected 3 operands, got 4");
  expectRefused(kernelText("add.s32 %r0, %r1, %d2;"), CUDA_ERROR_INVALID_PTX,
                "line 10: add.s32: register %d2 must have 32 bits, got 64");
  expectRefused(kernelText("add.s32 %r0, %r1, %r99;"), CUDA_ERROR_INVALID_PTX,
                "line 10: register '%r99' is not declared or not known");
  expectRefused(kernelText("bra NOWHERE;"), CUDA_ERROR_INVALID_PTX, "line 10: bra: expected a label");
  expectRefused(kernelText("ld.global.v4.b32 {%r1, %r2}, [%d1];"), CUDA_ERROR_INVALID_PTX,
                "line 10: ld.global.v4.b32: expected 4 registers, got 2");
  expectRefused(kernelText("ld.global.b64 %r1, [%d1];"), CUDA_ERROR_INVALID_PTX,
                "line 10: ld.global.b64: a register is shorter than the type");
  expectRefused(kernelText("cp.async.ca.shared.global [%r1], [%d1], 12;"), CUDA_ERROR_INVALID_PTX,
                "line 10: cp.async.ca.shared.global: a copy must have 4, 8 or 16 bytes, got 12");
  expectRefused(kernelText("mov.b64 %d1, missing;"), CUDA_ERROR_INVALID_PTX, "line 10: 'missing' is not declared");
}

TEST_F(Module, ChecksSyntax) {
  expectRefused("", CUDA_ERROR_INVALID_PTX, "line 1: expected '.version' first");
  expectRefused(".version 7.0\n.target sm_80\n.entry x() { ret;", CUDA_ERROR_INVALID_PTX,
                "line 3: expected '}', got the end");
  expectRefused(".version 7.0\n.target sm_80\n?", CUDA_ERROR_INVALID_PTX, "line 3: unexpected character '?'");
  expectRefused(kernelText("A:\nA:\nret;"), CUDA_ERROR_INVALID_PTX, "line 11: label 'A' is there twice");
}

TEST_F(Module, OnlyTextForThisDevice) {
  std::string log;
  EXPECT_EQ(tryLoad(std::string("\x7f"
                                "ELF...",
                                7),
                    &log),
            CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(log, "the emulator runs PTX text, got machine code");
  expectRefused(".version 7.8\n.target sm_90\n", CUDA_ERROR_NO_BINARY_FOR_GPU,
                "the PTX text is for sm_90, the device is sm_80");
  expectRefused(".version 10.0\n.target sm_80\n", CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                "PTX version must be 9 or less, got 10");
}

TEST_F(Module, FunctionsByName) {
  CUfunction function = loadBody("ret;");
  EXPECT_EQ(cu.cuModuleGetFunction(&function, module_, "other"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(cu.cuModuleUnload(module_), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuModuleUnload(module_), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Module, LimitsOfLaunches) {
  CUfunction function = load(".version 7.0\n.target sm_80\n.visible .entry test()\n.maxntid 128\n{\nret;\n}\n");
  EXPECT_EQ(launch(function, 1, 128, 0), CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 1, 129, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function, 0, 128, 0), CUDA_ERROR_INVALID_VALUE);
  // More than 48 KiB of shared memory only if asked for, and never more than the device has.
  EXPECT_EQ(launch(function, 1, 32, 48 << 10), CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 1, 32, (48 << 10) + 4), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cu.cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 99 << 10), CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 1, 32, 99 << 10), CUDA_SUCCESS);
  EXPECT_EQ(cu.cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (99 << 10) + 1),
            CUDA_ERROR_INVALID_VALUE);
}

} // namespace
} // namespace kerf::emulator
