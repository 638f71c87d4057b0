// Attributes: enums, formats, source expressions, masks, sizes, dispatch operands.
#ifndef KERF_ATTRS_TD
#define KERF_ATTRS_TD

include "dialects/kerf/KerfDialect.td"
include "dialects/kerf/KerfInterfaces.td"

class Kerf_Attr<string name, string mnemonic_, list<Trait> traits = []> : AttrDef<Kerf_Dialect, name, traits> {
  let mnemonic = mnemonic_;
}

// A plain integer; the upstream I64Attr reads as unsigned.
def Kerf_I64Attr : TypedSignlessIntegerAttrBase<I64, "int64_t", "64-bit integer">;

// The bytes of a file; they stand in the resources at the end of the IR.
def Kerf_BytesAttr : Attr<CPred<"::llvm::isa<::mlir::DenseResourceElementsAttr>($_self)">, "bytes in a resource"> {
  let storageType = "::mlir::DenseResourceElementsAttr";
  let returnType = "::mlir::DenseResourceElementsAttr";
  let convertFromStorage = "$_self";
}

// Its attribute prints a space before the value: in an op's format `` takes the op's own away.
class Kerf_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::kerf";
  let genSpecializedAttr = 0;
}

//===----------------------------------------------------------------------===//
// Modes
//===----------------------------------------------------------------------===//

// The values are those of kerf_extent in kerf/abi.h.
def Kerf_Extent : Kerf_Enum<"Extent", "a size of the step", [
  I32EnumAttrCase<"One", 0, "one">,
  I32EnumAttrCase<"Tokens", 1, "tokens">,
  I32EnumAttrCase<"Sequences", 2, "sequences">,
  I32EnumAttrCase<"LogitRows", 3, "logit_rows">,
  I32EnumAttrCase<"WorkItems", 4, "work_items">,
  I32EnumAttrCase<"Attended", 5, "attended">,
  I32EnumAttrCase<"Cached", 6, "cached">
]>;
def Kerf_ExtentAttr : EnumAttr<Kerf_Dialect, Kerf_Extent, "extent">;

// The values are those of kerf_step_field in kerf/abi.h.
def Kerf_StepField : Kerf_Enum<"StepField", "an array of the step", [
  I32EnumAttrCase<"TokenIds", 0, "token_ids">,
  I32EnumAttrCase<"Positions", 1, "positions">,
  I32EnumAttrCase<"LogitRows", 2, "logit_rows">,
  I32EnumAttrCase<"WorkItems", 3, "work_items">,
  I32EnumAttrCase<"Slots", 4, "slots">,
  I32EnumAttrCase<"PageBegin", 5, "page_begin">,
  I32EnumAttrCase<"Pages", 6, "pages">,
  I32EnumAttrCase<"FirstRows", 7, "first_rows">,
  I32EnumAttrCase<"RowCounts", 8, "row_counts">,
  I32EnumAttrCase<"Sampling", 9, "sampling">
]>;
def Kerf_StepFieldAttr : EnumAttr<Kerf_Dialect, Kerf_StepField, "step_field">;

// The values are those of kerf_result_kind in kerf/abi.h: a row for each row that wants logits (tokens too), or for each
// sequence.
def Kerf_ResultKind : Kerf_Enum<"ResultKind", "what a program gives", [
  I32EnumAttrCase<"Logits", 0, "logits">,
  I32EnumAttrCase<"Vectors", 1, "vectors">,
  I32EnumAttrCase<"Tokens", 2, "tokens">
]>;

def Kerf_Activation : Kerf_Enum<"Activation", "an activation function", [
  I32EnumAttrCase<"Silu", 0, "silu">,
  I32EnumAttrCase<"Gelu", 1, "gelu">,
  I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,
  I32EnumAttrCase<"Relu", 3, "relu">
]>;
def Kerf_ActivationAttr : EnumAttr<Kerf_Dialect, Kerf_Activation, "activation">;

def Kerf_Pooling : Kerf_Enum<"Pooling", "how the rows of a sequence become one", [
  I32EnumAttrCase<"Mean", 0, "mean">,
  I32EnumAttrCase<"First", 1, "first">,
  I32EnumAttrCase<"Last", 2, "last">,
  I32EnumAttrCase<"Max", 3, "max">
]>;
def Kerf_PoolingAttr : EnumAttr<Kerf_Dialect, Kerf_Pooling, "pooling">;

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

def Kerf_DenseAttr : Kerf_Attr<"Dense", "dense",
    [DeclareAttrInterfaceMethods<Kerf_FormatTermAttrInterface>]> {
  let summary = "A format term that stores every element as a plain number";
  let parameters = (ins "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $elementType `>`";
  let genVerifyDecl = 1;
}

def Kerf_FormatAttr : Kerf_Attr<"Format", "format"> {
  let summary = "The numeric meaning of a stored matrix: a sum of terms";
  let description = [{
    How a target lays the terms out in memory is its *layout* and is not part of the format.

    Example: `#kerf.format<#kerf.dense<bf16>>`
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::Attribute">:$terms);
  let assemblyFormat = "`<` $terms `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The format that stores each element as it is.
    static FormatAttr getDense(::mlir::Type elementType);
    /// Bits stored for a matrix of this shape, summed over the terms.
    int64_t getStoredBits(::llvm::ArrayRef<int64_t> shape) const;
    /// The element type if the format is one dense term, else null.
    ::mlir::Type getDenseElementType() const;
  }];
}

//===----------------------------------------------------------------------===//
// Source expressions
//===----------------------------------------------------------------------===//

class Kerf_SourceAttr<string name, string mnemonic> :
    Kerf_Attr<name, mnemonic, [DeclareAttrInterfaceMethods<Kerf_SourceAttrInterface>]>;

def Kerf_TakeAttr : Kerf_SourceAttr<"Take", "take"> {
  let summary = "A tensor of the checkpoint, as it is";
  let description = "Its shape is static and it has fewer than 2^48 elements.";
  let parameters = (ins StringRefParameter<"name in the checkpoint">:$tensor, "::mlir::RankedTensorType":$type);
  let assemblyFormat = "`<` $tensor `:` $type `>`";
  let genVerifyDecl = 1;
}

def Kerf_ConcatAttr : Kerf_SourceAttr<"Concat", "concat"> {
  let summary = "Values joined along one axis";
  let parameters = (ins "int64_t":$axis, ArrayRefParameter<"::mlir::Attribute">:$parts);
  let assemblyFormat = "`<` $axis `,` $parts `>`";
  let genVerifyDecl = 1;
}

def Kerf_SliceAttr : Kerf_SourceAttr<"Slice", "slice"> {
  let summary = "The indices [begin, end) of one axis of a value";
  let parameters = (ins "int64_t":$axis, "int64_t":$begin, "int64_t":$end, "::mlir::Attribute":$value);
  let assemblyFormat = "`<` $axis `,` $begin `,` $end `,` $value `>`";
  let genVerifyDecl = 1;
}

def Kerf_TransposeAttr : Kerf_SourceAttr<"Transpose", "transpose"> {
  let summary = "A matrix with its two axes exchanged";
  let parameters = (ins "::mlir::Attribute":$value);
  let assemblyFormat = "`<` $value `>`";
  let genVerifyDecl = 1;
}

def Kerf_SumAttr : Kerf_SourceAttr<"Sum", "sum"> {
  let summary = "The sum of a matrix and one row, in f32";
  let description = [{
    `value[i, j] + row[0, j]`: both widened to f32, which the sum keeps.

    Example: `#kerf.sum<#kerf.take<"a" : tensor<512x384xf16>>, #kerf.slice<0, 0, 1, #kerf.take<"b" : tensor<2x384xf16>>>>`
  }];
  let parameters = (ins "::mlir::Attribute":$value, "::mlir::Attribute":$row);
  let assemblyFormat = "`<` $value `,` $row `>`";
  let genVerifyDecl = 1;
}

def Kerf_LiteralAttr : Kerf_SourceAttr<"Literal", "literal"> {
  let summary = "A few numbers that the importer computed, such as rotary frequencies";
  let description = "At most 4096 elements: weights proper stay in the checkpoint.";
  let parameters = (ins "::mlir::DenseElementsAttr":$value);
  let assemblyFormat = "`<` $value `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

class Kerf_MaskAttr<string name, string mnemonic> :
    Kerf_Attr<name, mnemonic, [DeclareAttrInterfaceMethods<Kerf_MaskAttrInterface>]>;

def Kerf_CausalAttr : Kerf_MaskAttr<"Causal", "causal"> {
  let summary = "A row sees the keys of its own sequence at or before its own position";
}

def Kerf_WindowAttr : Kerf_MaskAttr<"Window", "window"> {
  let summary = "A row sees its own key and those of the `positions - 1` positions before it";
  let description = [{
    Source: Beltagy et al., "Longformer: The Long-Document Transformer"; Jiang et al., "Mistral 7B".

    Example: `#kerf.window<4096>`
  }];
  let parameters = (ins "int64_t":$positions);
  let assemblyFormat = "`<` $positions `>`";
  let genVerifyDecl = 1;
}

def Kerf_BidirectionalAttr : Kerf_MaskAttr<"Bidirectional", "bidirectional"> {
  let summary = "A row sees all keys of its own sequence";
  let description = "A program that attends so takes each text in one step.";
}

//===----------------------------------------------------------------------===//
// After memory planning
//===----------------------------------------------------------------------===//

def Kerf_SizeAttr : Kerf_Attr<"Size", "size"> {
  let summary = "A linear form over the extents of a step";
  let description = [{
    `coefficients[e]` multiplies extent `e`; trailing zeros are dropped.

    Example: `#kerf.size<0, 1024>` is 1024 for each token.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$coefficients);
  let assemblyFormat = "`<` custom<Coefficients>($coefficients) `>`";
  let genVerifyDecl = 1;
}

def Kerf_SlotRefAttr : Kerf_Attr<"SlotRef", "slot_ref"> {
  let summary = "A dispatch operand: a slot of the program's arena";
  let parameters = (ins "int64_t":$index);
  let assemblyFormat = "`<` $index `>`";
}
def Kerf_WeightRefAttr : Kerf_Attr<"WeightRef", "weight_ref"> {
  let summary = "A dispatch operand: a packed weight";
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$weight);
  let assemblyFormat = "`<` $weight `>`";
}
def Kerf_StepRefAttr : Kerf_Attr<"StepRef", "step_ref"> {
  let summary = "A dispatch operand: an array of the step";
  let description = [{
    `of` names the KV group where there is one array for each; `list` is a position in the program's `work_lists`, 0 if
    not stated.

    Examples: `#kerf.step_ref<pages of @kv>`, `#kerf.step_ref<work_items list 1>`
  }];
  let parameters = (ins EnumParameter<Kerf_StepField>:$field, OptionalParameter<"::mlir::FlatSymbolRefAttr">:$group,
                        DefaultValuedParameter<"int64_t", "0">:$list);
  let assemblyFormat = "`<` $field (`of` $group^)? (`list` $list^)? `>`";
}
def Kerf_CacheRefAttr : Kerf_Attr<"CacheRef", "cache_ref"> {
  let summary = "A dispatch operand: page 0 of one plane of a KV group";
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$group, "int64_t":$plane);
  let assemblyFormat = "`<` $group `,` $plane `>`";
}
def Kerf_WorkAttr : Kerf_Attr<"Work", "work"> {
  let summary = "A work list of a program: a KV group and a mask";
  let description = "Example: `#kerf.work<@kv, #kerf.causal>`";
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$group, "::mlir::Attribute":$mask);
  let assemblyFormat = "`<` $group `,` $mask `>`";
  let genVerifyDecl = 1;
}
def Kerf_LaunchWhen : Kerf_Enum<"LaunchWhen", "for which steps a GPU kernel's function is launched", [
  I32EnumAttrCase<"Always", 0, "always">,
  I32EnumAttrCase<"SingleRows", 1, "single_rows">,
  I32EnumAttrCase<"SeveralRows", 2, "several_rows">
]>;

def Kerf_LaunchAttr : Kerf_Attr<"Launch", "launch"> {
  let summary = "One launch of a GPU kernel, as kerf_gpu_launch in kerf/abi.h";
  let description = [{
    `function` runs for steps with `least` to `most` rows of which, unless `when` is `always`, some work item has one
    row or several. The grid has ceil(rows / tile) * columns blocks of `threads` threads and `shared` bytes of dynamic
    shared memory. `order` numbers the orders in which the launches of one kernel add up: a row gets the same bits from
    all launches of the same order, whatever the rows beside it.

    - C1: `least` is at most `most`, `tile` and `columns` are positive, `threads` is a positive multiple of 32 and at
      most 1024, `shared` and `order` are not negative.

    Example: `#kerf.launch<"add_f32", rows 1 to 4294967295, always, order 0, tile 1, columns 2, threads 256, shared 0>`
  }];
  let parameters = (ins StringRefParameter<>:$function, "int64_t":$least, "int64_t":$most,
                       EnumParameter<Kerf_LaunchWhen>:$when, "int64_t":$order, "int64_t":$tile, "int64_t":$columns,
                       "int64_t":$threads, "int64_t":$shared);
  let assemblyFormat = [{
    `<` $function `,` `rows` $least `to` $most `,` $when `,` `order` $order `,` `tile` $tile `,` `columns` $columns `,`
    `threads` $threads `,` `shared` $shared `>`
  }];
  let genVerifyDecl = 1;
}
def Kerf_ResultAttr : Kerf_Attr<"Result", "result"> {
  let summary = "A result of a program: rows of `columns` elements of 4 bytes, int32 for tokens and f32 for others";
  let description = "Example: `#kerf.result<logits, 4096>`";
  let parameters = (ins EnumParameter<Kerf_ResultKind>:$kind, "int64_t":$columns);
  let assemblyFormat = "`<` $kind `,` $columns `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// What counts the rows.
    Extent getRows() const { return getKind() == ResultKind::Vectors ? Extent::Sequences : Extent::LogitRows; }
  }];
}
def Kerf_ResultRefAttr : Kerf_Attr<"ResultRef", "result_ref"> {
  let summary = "A dispatch operand: an output of the program";
  let parameters = (ins "int64_t":$index);
  let assemblyFormat = "`<` $index `>`";
}

#endif // KERF_ATTRS_TD
