// What memory planning and kernel selection make of a program.
#ifndef KERF_PROGRAM_OPS_TD
#define KERF_PROGRAM_OPS_TD

include "dialects/kerf/KerfOpBase.td"
include "mlir/IR/RegionKindInterface.td"

def Kerf_SlotOp : Kerf_Op<"slot"> {
  let summary = "A part of the arena as the destination of an op";
  let description = [{
    Takes the place of `tensor.empty` once memory is planned. Two values whose lives overlap never share a slot.
    `size` is the number of bytes that this value needs; a slot is as large as its largest user.

    - C1: `index` is not negative.

    Example:
    ```mlir
    %init = kerf.slot 2 (%t) size <0, 256> : tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Kerf_I64Attr:$index, Variadic<Index>:$sizes, Kerf_SizeAttr:$size);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$index `(` $sizes `)` `size` $size attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Kerf_ResultOp : Kerf_Op<"result"> {
  let summary = "An output of the program as the destination of an op";
  let description = [{
    Example:
    ```mlir
    %init = kerf.result 0 (%r) : tensor<?x4096xf32>
    ```
  }];
  let arguments = (ins Kerf_I64Attr:$index, Variadic<Index>:$sizes);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$index `(` $sizes `)` attr-dict `:` type($result)";
}

def Kerf_ProgramOp : Kerf_Op<"program", [HasParent<"::mlir::ModuleOp">, Symbol, NoTerminator, SingleBlock]> {
  let summary = "A step as a list of dispatches";
  let description = [{
    `slots` are the sizes of the arena's slots, `work_lists` what attention goes through, `results` what the program
    gives. Dispatches run in order; the tasks of one dispatch run in any order.

    Example:
    ```mlir
    kerf.program @step slots [#kerf.size<0, 1024>] work_lists [#kerf.work<@kv, #kerf.causal>]
                       results [#kerf.result<logits, 4096>] {
      kerf.dispatch @embed [#kerf.step_ref<token_ids>, #kerf.weight_ref<@table>, #kerf.slot_ref<0>]
        rows tokens origin "embed" bytes <0, 1536> operations <>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypedArrayAttrBase<Kerf_SizeAttr, "sizes">:$slots,
                       DefaultValuedAttr<TypedArrayAttrBase<Kerf_WorkAttr, "work lists">, "{}">:$work_lists,
                       DefaultValuedAttr<TypedArrayAttrBase<Kerf_ResultAttr, "results">, "{}">:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `slots` $slots (`work_lists` $work_lists^)? (`results` $results^)? attr-dict-with-keyword $body
  }];
}

def Kerf_DispatchOp : Kerf_Op<"dispatch", [HasParent<"ProgramOp">]> {
  let summary = "One launch of a kernel";
  let description = [{
    `rows` counts what the kernel's tasks cut up. `origin` says which part of the model it computes, `bytes` and
    `operations` what it must move and compute.

    - C1: `operands` are `slot_ref`, `weight_ref`, `step_ref`, `cache_ref` or `result_ref` attributes.
    - C2: `rows` is `one`, `tokens`, `sequences`, `logit_rows` or `work_items`.
    - C3: the list of a `step_ref` is one of the program's `work_lists`, a `result_ref` one of its `results`.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, ArrayAttr:$operands_, Kerf_ExtentAttr:$rows, StrAttr:$origin,
                       Kerf_SizeAttr:$bytes, Kerf_SizeAttr:$operations);
  let assemblyFormat = [{
    $kernel $operands_ `rows` `` $rows `origin` $origin `bytes` $bytes `operations` $operations attr-dict
  }];
  let hasVerifier = 1;
}

def Kerf_VariantOp : Kerf_Op<"variant",
    [HasParent<"::mlir::ModuleOp">, Symbol, SymbolTable, NoTerminator, SingleBlock, IsolatedFromAbove]> {
  let summary = "The kernels of all programs, compiled for one kind of CPU or GPU";
  let description = [{
    Holds a `kerf.kernel` (of a CPU) or `kerf.gpu_kernel` for each kernel, and their functions in a module of their own:
    `module` or `gpu.module`. Every variant has the same kernels.
    `attention_tile` is the most rows that one entry of the attention work list may have. Once they are compiled,
    `object` is the file that they were compiled to, as a resource, and takes the place of the functions: an object
    file, a cubin or PTX.

    Example:
    ```mlir
    kerf.variant @avx2 attention_tile 4 {
      kerf.kernel @embed tile 1 columns 1 stack 0
      func.func @embed(%operands: !llvm.ptr, %rows: i64, %task: i64) { return }
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Kerf_I64Attr:$attention_tile, OptionalAttr<Kerf_BytesAttr>:$object);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `attention_tile` $attention_tile (`object` $object^)? attr-dict-with-keyword $body
  }];
}

def Kerf_KernelOp : Kerf_Op<"kernel", [HasParent<"VariantOp">]> {
  let summary = "How a kernel is launched: ceil(rows / tile) * columns tasks";
  let description = [{
    - C1: `tile` and `columns` are positive, `stack` (bytes that a task keeps on its stack) is not negative.
  }];
  let arguments = (ins FlatSymbolRefAttr:$function, Kerf_I64Attr:$tile, Kerf_I64Attr:$columns, Kerf_I64Attr:$stack);
  let assemblyFormat = [{
    $function `tile` $tile `columns` $columns `stack` $stack attr-dict
  }];
  let hasVerifier = 1;
}

def Kerf_GpuKernelOp : Kerf_Op<"gpu_kernel", [HasParent<"VariantOp">]> {
  let summary = "How a GPU kernel is launched: one or more launches in order";
  let description = [{
    Example:
    ```mlir
    kerf.gpu_kernel @add launches [
      #kerf.launch<"add", rows 1 to 4294967295, always, order 0, tile 1, columns 2, threads 256, shared 0>]
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, TypedArrayAttrBase<Kerf_LaunchAttr, "launches">:$launches);
  let assemblyFormat = "$kernel `launches` $launches attr-dict";
}

#endif // KERF_PROGRAM_OPS_TD
