// Passes of the reference path, as TableGen declares them.
#ifndef KERF_CODEGEN_REFERENCE_PASSES_H
#define KERF_CODEGEN_REFERENCE_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

namespace kerf {

#define GEN_PASS_DECL
#include "codegen/reference/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "codegen/reference/Passes.h.inc"

} // namespace kerf
#endif // KERF_CODEGEN_REFERENCE_PASSES_H
