// The `kerf` dialect: types, attributes, interfaces and ops. See docs/rationale.md for why it looks as it does.
#ifndef KERF_DIALECTS_KERF_KERFDIALECT_H
#define KERF_DIALECTS_KERF_KERFDIALECT_H

#include "dialects/kerf/KerfCost.h"
#include "dialects/kerf/KerfMask.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/TilingInterface.h"

#include "dialects/kerf/KerfDialect.h.inc"
#include "dialects/kerf/KerfEnums.h.inc"

#include "dialects/kerf/KerfAttrInterfaces.h.inc"
#include "dialects/kerf/KerfOpInterfaces.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/kerf/KerfTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/kerf/KerfAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/kerf/KerfOps.h.inc"

namespace kerf {

/// The rows of a tensor as a linear form over the extents of a step: found through its destination, the layer that it
/// goes into or comes out of, and sums and constant multiples of `kerf.extent`. Unknown provenance (a bare function
/// argument) counts as tokens.
LinearForm getRows(mlir::Value value);

/// The extent that the rows of `value` are; tokens where they are a multiple or a sum.
Extent getRowExtent(mlir::Value value);

/// Bytes of one row of a matrix (or of one element of a vector) of this type, by its format if it has one as encoding.
int64_t getRowBytes(mlir::Type type);

/// Bytes that the rows of `matrix` take: row bytes times its row extent.
LinearForm getBytes(mlir::Value matrix);

/// Bytes of a weight operand: constant, from its static shape.
LinearForm getWeightBytes(mlir::Value weight);

/// The KV group that `symbol` names, seen from `op`; null if there is none.
KvGroupOp lookupKvGroup(mlir::Operation *op, mlir::FlatSymbolRefAttr symbol);

/// The `kerf.model` of a module; null if there is none.
ModelOp getModel(mlir::ModuleOp module);

/// The attribute form of a linear form.
SizeAttr getSizeAttr(mlir::MLIRContext *context, const LinearForm &form);

/// The linear form of an attribute.
LinearForm getLinearForm(SizeAttr attr);

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFDIALECT_H
