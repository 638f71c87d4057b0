// Layers as regions.
#ifndef KERF_LAYER_OPS_TD
#define KERF_LAYER_OPS_TD

include "dialects/kerf/KerfOpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def Kerf_LayerOp : Kerf_Op<"layer",
    [SingleBlockImplicitTerminator<"YieldOp">, RecursiveMemoryEffects, RecursivelySpeculatable]> {
  let summary = "One transformer layer";
  let description = [{
    Runs its body once on `inputs`; what the body yields are the results. The body may use values of the enclosing
    program (batch, work list, rotary table). A layer is what depth passes remove, replace or make conditional.
    Canonicalization drops inputs that the body does not use and results that nobody reads, and forwards results that
    the body passes through.

    - C1: the body's arguments have the types of `inputs`, the results the types that it yields.
    - C2: `index` is not negative.

    Example:
    ```mlir
    %y, %c1 = kerf.layer 3 (%h = %x : tensor<?x64xf32>, %c = %c0 : !kerf.cache) -> tensor<?x64xf32>, !kerf.cache {
      kerf.yield %h, %c : tensor<?x64xf32>, !kerf.cache
    }
    ```
  }];
  let arguments = (ins Kerf_I64Attr:$index, Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body);
  // Hand-written: the declarative form cannot bind block arguments to operands.
  let hasCustomAssemblyFormat = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
}

def Kerf_YieldOp : Kerf_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"LayerOp">]> {
  let summary = "The results of a layer";
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

#endif // KERF_LAYER_OPS_TD
