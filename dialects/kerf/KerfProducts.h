// What the ops that multiply with weights have in common.
#ifndef KERF_DIALECTS_KERF_KERFPRODUCTS_H
#define KERF_DIALECTS_KERF_KERFPRODUCTS_H

#include "dialects/kerf/KerfDialect.h"

namespace kerf {

/// Checks that `input` has the in features of `weight`, which has no axis of length 0, and that `bias`, if there is
/// one, has its out features.
mlir::LogicalResult checkProduct(mlir::Operation *op, mlir::RankedTensorType input, mlir::RankedTensorType weight,
                                 mlir::TypedValue<mlir::RankedTensorType> bias);

/// A multiplication and an addition for each element of the weight and each row of `init`.
LinearForm getProductOperations(mlir::Value weight, mlir::Value init);

} // namespace kerf
#endif // KERF_DIALECTS_KERF_KERFPRODUCTS_H
