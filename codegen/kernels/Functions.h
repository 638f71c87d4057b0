//===- Functions.h - functions that kernels compute -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_FUNCTIONS_H
#define KERF_CODEGEN_KERNELS_FUNCTIONS_H

#include "codegen/kernels/IrBuilder.h"
#include "codegen/kernels/Specs.h"

namespace kerf::kernels {

/// e^x of f32 lanes within 1 ulp; 0 and infinity where it must be, NaN for NaN.
mlir::Value exponential(IrBuilder &kernel, mlir::Value x);

/// Error function of f32 lanes within 2^-21 of the true value.
mlir::Value errorFunction(IrBuilder &kernel, mlir::Value x);

/// The activation of f32 lanes, whatever their number.
mlir::Value activate(IrBuilder &kernel, Activation activation, mlir::Value x);

/// Natural logarithm of a positive, normal f32 scalar, within 1 unit of the last place; NaN for NaN.
mlir::Value logarithm(IrBuilder &kernel, mlir::Value x);

/// Cosine and sine of f32 lanes times a factor, within 1 unit of the last place for magnitudes up to 2^30.
std::pair<mlir::Value, mlir::Value> cosSin(IrBuilder &kernel, mlir::Value angles, double factor);

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_FUNCTIONS_H
