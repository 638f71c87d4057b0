// What all op families share.
#ifndef KERF_OP_BASE_TD
#define KERF_OP_BASE_TD

include "dialects/kerf/KerfAttrs.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/TilingInterface.td"
include "mlir/IR/SymbolInterfaces.td"

class Kerf_Op<string mnemonic, list<Trait> traits = []> : Op<Kerf_Dialect, mnemonic, traits>;

// An op that computes one tensor into `init`: its rows (and, where it says so, its columns) can be sliced.
class Kerf_TensorOp<string mnemonic, list<Trait> traits = []> :
    Kerf_Op<mnemonic, traits # [
      Pure, AllTypesMatch<["init", "result"]>, DestinationStyleOpInterface,
      DeclareOpInterfaceMethods<Kerf_CostOpInterface>,
      DeclareOpInterfaceMethods<TilingInterface,
        ["getLoopIteratorTypes", "getIterationDomain", "getTiledImplementation", "getResultTilePosition",
         "generateResultTileValue"]>]> {
  code initDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
  }];
  let extraClassDeclaration = initDeclaration;
  let hasVerifier = 1;
}

#endif // KERF_OP_BASE_TD
