// The `kerf` dialect and its types.
#ifndef KERF_DIALECT_TD
#define KERF_DIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Kerf_Dialect : Dialect {
  let name = "kerf";
  let cppNamespace = "::kerf";
  let summary = "A transformer model as a graph of operations with exact numeric contracts";
  let description = [{
    One module is one model: weights (`kerf.weight`), KV groups (`kerf.kv_group`) and programs (`func.func` over a
    `!kerf.batch` and a `!kerf.cache`). Tensors of activations have two axes, rows and features; the number of rows
    is dynamic and bounded when the artifact is planned. Weight bytes never enter the IR.
  }];
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = "void registerAttributes();";
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::func::FuncDialect"];
}

class Kerf_Type<string name, string mnemonic_> : TypeDef<Kerf_Dialect, name> {
  let mnemonic = mnemonic_;
}

def Kerf_BatchType : Kerf_Type<"Batch", "batch"> {
  let summary = "The rows and sequences of one step";
  let description = [{
    A ragged batch: for each row its token id, its position and the slot of its key in each KV group; for each
    sequence the pages it owns; the rows that want logits. Nothing is padded.
  }];
}

def Kerf_CacheType : Kerf_Type<"Cache", "cache"> {
  let summary = "The state of all KV groups at one point of a step";
  let description = [{
    Threaded through the step by value, so that the order of appends is explicit. Each value has one use that
    appends; readers may be many.
  }];
}

def Kerf_WorkListType : Kerf_Type<"WorkList", "work_list"> {
  let summary = "What attention has to do in one step: (row range, page run, mask) entries over one KV group";
}

// Element types of activations and of what is kept of keys and values.
def Kerf_Float : AnyTypeOf<[F32, F16, BF16], "f32, f16 or bf16">;
// Rows of features [rows, features], or a matrix of weights [out features, in features].
def Kerf_Matrix : 2DTensorOf<[Kerf_Float]>;
// A vector of weights: bias, gain, frequencies.
def Kerf_Vector : 1DTensorOf<[Kerf_Float]>;
def Kerf_F32Matrix : 2DTensorOf<[F32]>;
def Kerf_Indices : 1DTensorOf<[I32]>;
#endif // KERF_DIALECT_TD
