// Interfaces by which passes and targets see ops, formats and source expressions without knowing each one.
#ifndef KERF_INTERFACES_TD
#define KERF_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Kerf_CostOpInterface : OpInterface<"CostOpInterface"> {
  let cppNamespace = "::kerf";
  let description = [{
    What an op must move and compute at least, as linear forms over the extents of a step: the numbers that planners
    spend budgets on and that a roofline divides by.
  }];
  let methods = [
    InterfaceMethod<[{
      Bytes read and written once each (weights, activations, cache) and the multiplications and additions done.
    }], "::kerf::Cost", "getCost">
  ];
}

def Kerf_SourceAttrInterface : AttrInterface<"SourceAttrInterface"> {
  let cppNamespace = "::kerf";
  let description = [{
    An expression over checkpoint tensors that gives a weight its bytes. Expressions are evaluated while packing,
    a block of rows at a time.
  }];
  let methods = [
    InterfaceMethod<"Shape of the value.", "::llvm::SmallVector<int64_t>", "getShape">,
    InterfaceMethod<"Element type of the value.", "::mlir::Type", "getElementType">,
    InterfaceMethod<"Calls `visit` with the name of every checkpoint tensor that is read, in order.", "void",
                    "walkTensors", (ins "::llvm::function_ref<void(::llvm::StringRef)>":$visit)>
  ];
}

def Kerf_FormatTermAttrInterface : AttrInterface<"FormatTermAttrInterface"> {
  let cppNamespace = "::kerf";
  let description = [{
    One summand of a format. A format is the numeric meaning of a stored matrix: the sum of its terms.
  }];
  let methods = [
    InterfaceMethod<"Bits that the term stores for a matrix of this shape.", "int64_t", "getStoredBits",
                    (ins "::llvm::ArrayRef<int64_t>":$shape)>,
    InterfaceMethod<"Element type that the term's values have once decoded.", "::mlir::Type", "getDecodedType">
  ];
}

def Kerf_MaskAttrInterface : AttrInterface<"MaskAttrInterface"> {
  let cppNamespace = "::kerf";
  let description = [{
    A rule by which the rows of a step see keys. Masks compare positions, not slots, and only within a sequence.
  }];
  let methods = [
    InterfaceMethod<"The keys that a row sees, relative to its own position.", "::kerf::MaskRange", "getRange">
  ];
}

#endif // KERF_INTERFACES_TD
