// What a planned program's slots still hold when they are read.
#ifndef KERF_CODEGEN_REFERENCE_SLOTREUSE_H
#define KERF_CODEGEN_REFERENCE_SLOTREUSE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace kerf::reference {

/// A read of a value whose slot holds another by then.
struct LostRead {
  /// The operand that reads it.
  mlir::OpOperand *operand;
  /// Where it was.
  int64_t slot;
  /// The op that wrote the slot last; it may be the reader itself, whose rows are written while others are read.
  mlir::Operation *overwrittenBy;
};

/// All such reads of a straight-line program, in its order; none where memory is planned well or not planned.
llvm::SmallVector<LostRead> findLostReads(mlir::func::FuncOp program);

/// Lets each of them read NaN, so that running the program shows what a wrong slot breaks.
void poisonLostReads(mlir::func::FuncOp program);

} // namespace kerf::reference
#endif // KERF_CODEGEN_REFERENCE_SLOTREUSE_H
