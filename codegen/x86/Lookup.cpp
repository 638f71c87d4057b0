//===- Lookup.cpp - rows of tables, of tensors and of sequences -----------===//
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Layout.h"
#include "codegen/x86/RowLoops.h"

using namespace kerf::x86;
using mlir::Value;

/// Element `number` of an int32 array.
static Value loadIndex(KernelBuilder &kernel, Value array, Value number) {
  return kernel.signExtend(kernel.load(kernel.ops().getI32Type(), kernel.at(array, kernel.mul(number, 4)), 4));
}

// A row of the table is one 32-bit column of a block, 64 bytes from one to the next: f32 elements, or pairs of
// 16-bit elements.
KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const EmbedSpec &spec) {
  const WeightLayout layout{.n = spec.vocabulary, .k = spec.columns, .element = spec.table};
  const int64_t group = layout.group(), stepBytes = WeightLayout::block * 4;
  KernelBuilder kernel(module, variant, name,
                       {{.alignment = 4},
                        {.alignment = KERF_ALIGNMENT},
                        {.alignment = unsigned(bytesOf(spec.output)), .written = true}});
  const uint32_t tile = rowsOfTask(4 * spec.columns);
  auto &ops = kernel.ops();
  forRows(kernel, tile, [&](Value row) {
    Value id = loadIndex(kernel, kernel.operand(0), row);
    Value block = kernel.div(id, WeightLayout::block);
    Value column = kernel.rem(id, WeightLayout::block);
    Value start = kernel.at(kernel.operand(1), kernel.mul(block, layout.blockBytes()));
    start = kernel.at(start, kernel.mul(column, 4));
    Value output = elementAt(kernel, kernel.operand(2), kernel.mul(row, spec.columns), spec.output);
    forElements(kernel, spec.columns, 1, [&](Value element, unsigned lanes) {
      // Vectors start at even elements: only the last may have one lane.
      Value at = kernel.at(start, kernel.mul(kernel.div(element, group), stepBytes)), values;
      if (lanes < group) {
        values = kernel.loadF32(spec.table, at, lanes);
      } else {
        const unsigned words = lanes / group;
        values = kernel.zero(kernel.integers(32, words));
        for (unsigned word = 0; word < words; ++word)
          values = mlir::LLVM::InsertElementOp::create(
              ops, values, kernel.load(ops.getI32Type(), kernel.at(at, word * stepBytes), 4), kernel.i32(word));
        values = kernel.widen(kernel.bitcast(kernel.vectorType(spec.table, lanes), values));
      }
      kernel.storeF32(spec.output, values, elementAt(kernel, output, element, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const SelectSpec &spec) {
  const unsigned bytes = bytesOf(spec.element);
  KernelBuilder kernel(module, variant, name,
                       {{.alignment = bytes}, {.alignment = 4}, {.alignment = bytes, .written = true}});
  const uint32_t tile = rowsOfTask(spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value from = kernel.mul(loadIndex(kernel, kernel.operand(1), row), spec.columns);
    Value input = elementAt(kernel, kernel.operand(0), from, spec.element);
    Value output = elementAt(kernel, kernel.operand(2), kernel.mul(row, spec.columns), spec.element);
    forElements(kernel, spec.columns, 4, [&](Value element, unsigned lanes) {
      auto type = kernel.vectorType(spec.element, lanes);
      kernel.store(kernel.load(type, elementAt(kernel, input, element, spec.element), bytes),
                   elementAt(kernel, output, element, spec.element), bytes);
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const PoolSpec &spec) {
  KernelBuilder kernel(module, variant, name,
                       {{.alignment = unsigned(bytesOf(spec.input))},
                        {.alignment = 4},
                        {.alignment = 4},
                        {.alignment = unsigned(bytesOf(spec.output)), .written = true}});
  // A text is enough work for a task.
  constexpr uint32_t tile = 1;
  forRows(kernel, tile, [&](Value sequence) {
    Value first = loadIndex(kernel, kernel.operand(1), sequence);
    Value end = kernel.add(first, loadIndex(kernel, kernel.operand(2), sequence));
    Value output = elementAt(kernel, kernel.operand(3), kernel.mul(sequence, spec.columns), spec.output);
    Value divisor =
        kernel.toF32(kernel.load(kernel.ops().getI32Type(), kernel.at(kernel.operand(2), kernel.mul(sequence, 4)), 4));
    forElements(kernel, spec.columns, 4, [&](Value column, unsigned lanes) {
      auto load = [&](Value row) {
        Value element = kernel.add(kernel.mul(row, spec.columns), column);
        return kernel.loadF32(spec.input, elementAt(kernel, kernel.operand(0), element, spec.input), lanes);
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
      case Pooling::Mean:
        result =
            kernel.div(fold([&](Value sum, Value x) { return kernel.add(sum, x); }), kernel.broadcast(divisor, lanes));
        break;
      case Pooling::First:
        result = load(first);
        break;
      case Pooling::Last:
        result = load(kernel.sub(end, kernel.i64(1)));
        break;
      case Pooling::Max:
        // max gives its second operand where one is NaN.
        result = fold([&](Value greatest, Value x) {
          Value nan = kernel.compare(mlir::arith::CmpFPredicate::UNO, greatest, greatest);
          return kernel.select(nan, greatest, kernel.max(greatest, x));
        });
        break;
      }
      kernel.storeF32(spec.output, result, elementAt(kernel, output, column, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}
