//===- Functions.h - functions that kernels compute -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_X86_FUNCTIONS_H
#define KERF_CODEGEN_X86_FUNCTIONS_H

#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"

namespace kerf::x86 {

/// e^x of f32 lanes within 1 ulp; 0 and infinity where it must be, NaN for NaN.
mlir::Value exponential(KernelBuilder &kernel, mlir::Value x);

/// Error function of f32 lanes within 2^-21 of the true value.
mlir::Value errorFunction(KernelBuilder &kernel, mlir::Value x);

/// The activation of f32 lanes, whatever their number.
mlir::Value activate(KernelBuilder &kernel, Activation activation, mlir::Value x);

/// Natural logarithm of a positive, normal f32 scalar, within 1 unit of the last place; NaN for NaN.
mlir::Value logarithm(KernelBuilder &kernel, mlir::Value x);

/// Cosine and sine of f32 lanes times a factor, within 1 unit of the last place for magnitudes up to 2^30.
std::pair<mlir::Value, mlir::Value> cosSin(KernelBuilder &kernel, mlir::Value angles, double factor);

} // namespace kerf::x86

#endif // KERF_CODEGEN_X86_FUNCTIONS_H
