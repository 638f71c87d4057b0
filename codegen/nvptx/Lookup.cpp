//===- Lookup.cpp - rows of tables, of tensors and of sequences -----------===//
#include "codegen/nvptx/Rows.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using mlir::gpu::GPUModuleOp;

/// Element `number` (i32) of an int32 array.
static Value loadIndex(KernelBuilder &kernel, Value array, Value number) {
  return kernel.load(kernel.ops().getI32Type(), kernel.atIndex(array, number, 4), 4);
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const EmbedSpec &spec) {
  const unsigned lanes = vectorLanes(spec.columns, {spec.table, spec.output});
  return emitElementwise(
      module, name, {{}, {}, {.written = true}}, spec.columns, lanes,
      [&](KernelBuilder &kernel, Value row, Value column) {
        Value id = loadIndex(kernel, kernel.operand(0), row);
        Value x = kernel.loadF32(spec.table, elementAt(kernel, kernel.operand(1), id, spec.columns, column, spec.table),
                                 lanes);
        kernel.storeF32(spec.output, x, elementAt(kernel, kernel.operand(2), row, spec.columns, column, spec.output));
      });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const SelectSpec &spec) {
  const unsigned lanes = vectorLanes(spec.columns, {spec.element}), bytes = lanes * bytesOf(spec.element);
  return emitElementwise(
      module, name, {{}, {}, {.written = true}}, spec.columns, lanes,
      [&](KernelBuilder &kernel, Value row, Value column) {
        Value from = loadIndex(kernel, kernel.operand(1), row);
        // Bits, so that NaNs stay what they are.
        auto type = kernel.integers(8 * bytesOf(spec.element), lanes);
        kernel.store(
            kernel.load(type, elementAt(kernel, kernel.operand(0), from, spec.columns, column, spec.element), bytes),
            elementAt(kernel, kernel.operand(2), row, spec.columns, column, spec.element), bytes);
      });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const PoolSpec &spec) {
  const unsigned lanes = vectorLanes(spec.columns, {spec.input, spec.output});
  return emitElementwise(
      module, name, {{}, {}, {}, {.written = true}}, spec.columns, lanes,
      [&](KernelBuilder &kernel, Value sequence, Value column) {
        Value first = loadIndex(kernel, kernel.operand(1), sequence);
        Value count = loadIndex(kernel, kernel.operand(2), sequence), end = kernel.add(first, count);
        auto load = [&](Value row) {
          return kernel.loadF32(spec.input, elementAt(kernel, kernel.operand(0), row, spec.columns, column, spec.input),
                                lanes);
        };
        // Over the rows behind the first one.
        auto fold = [&](llvm::function_ref<Value(Value, Value)> join) {
          return kernel.loop(kernel.add(first, 1), end, 1, {load(first)},
                             [&](Value row, mlir::ValueRange joined) -> KernelBuilder::Values {
                               return {join(joined.front(), load(row))};
                             })[0];
        };
        Value result;
        switch (spec.pooling) {
        case kernels::Pooling::Mean:
          result = kernel.div(fold([&](Value sum, Value x) { return kernel.add(sum, x); }),
                              spread(kernel, kernel.toF32(count), lanes));
          break;
        case kernels::Pooling::First:
          result = load(first);
          break;
        case kernels::Pooling::Last:
          result = load(kernel.sub(end, kernel.i32(1)));
          break;
        case kernels::Pooling::Max:
          // max gives its second operand where one is NaN.
          result = fold([&](Value greatest, Value x) {
            Value nan = kernel.compare(mlir::arith::CmpFPredicate::UNO, greatest, greatest);
            return kernel.select(nan, greatest, kernel.max(greatest, x));
          });
          break;
        }
        kernel.storeF32(spec.output, result,
                        elementAt(kernel, kernel.operand(3), sequence, spec.columns, column, spec.output));
      });
}
