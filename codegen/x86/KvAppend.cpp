//===- KvAppend.cpp - keeping keys and values in the cache ----------------===//
#include "codegen/x86/Kernels.h"
#include "codegen/x86/RowLoops.h"

using namespace kerf::x86;
using mlir::Value;

namespace {

/// Where one row of the step goes in the cache.
class CacheRow {
public:
  CacheRow(KernelBuilder &kernel, const CacheLayout &layout, Value cache, Value slot)
      : kernel(kernel), layout(layout), position(kernel.rem(slot, layout.pageSize)) {
    page = kernel.at(cache, kernel.mul(kernel.div(slot, layout.pageSize), layout.pageBytes()));
    // Feature d of a key is d blocks further on.
    Value block = kernel.div(position, CacheLayout::block), lane = kernel.rem(position, CacheLayout::block);
    keyStart = kernel.add(kernel.mul(block, layout.blockElements()), lane);
    valueStart = kernel.add(kernel.mul(position, layout.valueStride()), layout.keyElements());
  }

  /// Stores features from `d` on of a head's key.
  void storeKey(Value head, Value d, Value wide) {
    const int64_t bytes = bytesOf(layout.element);
    Value element = kernel.add(keyStart, kernel.mul(d, CacheLayout::block));
    Value start = elementAt(kernel, headAddress(head), element, layout.element);
    Value features = kernel.narrow(layout.element, wide);
    for (unsigned lane = 0; lane < lanesOf(wide); ++lane)
      kernel.store(kernel.extract(features, lane), kernel.at(start, lane * CacheLayout::block * bytes), bytes);
  }

  /// Stores features from `d` on of a head's value.
  void storeValue(Value head, Value d, Value wide) {
    Value start = elementAt(kernel, headAddress(head), kernel.add(valueStart, d), layout.element);
    kernel.storeF32(layout.element, wide, start);
  }

private:
  Value headAddress(Value head) { return kernel.at(page, kernel.mul(head, layout.headBytes())); }

  KernelBuilder &kernel;
  const CacheLayout &layout;
  Value position, page, keyStart, valueStart;
};

} // namespace

/// The slot of a row.
static Value loadSlot(KernelBuilder &kernel, Value slots, Value row) {
  return kernel.signExtend(kernel.load(kernel.ops().getI32Type(), kernel.at(slots, kernel.mul(row, 4)), 4));
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const KvAppendSpec &spec) {
  const CacheLayout layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache};
  const unsigned inputBytes = bytesOf(spec.input);
  KernelBuilder kernel(
      module, variant, name,
      {{.alignment = inputBytes}, {.alignment = inputBytes}, {.alignment = 4}, {.alignment = 64, .written = true}});
  const int64_t columns = spec.kvHeads * spec.headDim;
  const uint32_t tile = rowsOfTask(4 * columns);
  forRows(kernel, tile, [&](Value row) {
    Value slot = loadSlot(kernel, kernel.operand(2), row);
    kernel.ifThen(kernel.less(kernel.i64(-1), slot), [&] {
      CacheRow place(kernel, layout, kernel.operand(3), slot);
      kernel.forEach(kernel.i64(0), kernel.i64(spec.kvHeads), 1, [&](Value head) {
        Value first = kernel.add(kernel.mul(row, columns), kernel.mul(head, spec.headDim));
        Value keys = elementAt(kernel, kernel.operand(0), first, spec.input);
        Value values = elementAt(kernel, kernel.operand(1), first, spec.input);
        forElements(kernel, spec.headDim, 1, [&](Value d, unsigned lanes) {
          place.storeKey(head, d, kernel.loadF32(spec.input, elementAt(kernel, keys, d, spec.input), lanes));
          place.storeValue(head, d, kernel.loadF32(spec.input, elementAt(kernel, values, d, spec.input), lanes));
        });
      });
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const RopeAppendSpec &spec) {
  const CacheLayout layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache};
  llvm::SmallVector<OperandInfo> operands = {
      {.alignment = unsigned(bytesOf(spec.input))}, {.alignment = 4}, {.alignment = 64, .written = true}};
  const unsigned firstScale = operands.size() + spec.rope;
  operands.append(spec.rope + 2 * spec.norm, {.alignment = 4});
  operands.push_back({.alignment = unsigned(bytesOf(spec.output)), .written = true});
  KernelBuilder kernel(module, variant, name, operands);
  const int64_t headDim = spec.headDim, half = headDim / 2;
  const int64_t inputColumns = (spec.queryHeads + 2 * spec.kvHeads) * headDim;
  const uint32_t tile = rowsOfTask(2 * inputColumns);

  forRows(kernel, tile, [&](Value row) {
    Value input = elementAt(kernel, kernel.operand(0), kernel.mul(row, inputColumns), spec.input);
    Value table = spec.rope ? kernel.at(kernel.operand(3), kernel.mul(row, 4 * headDim)) : Value();
    Value output =
        elementAt(kernel, kernel.operand(operands.size() - 1), kernel.mul(row, spec.queryHeads * headDim), spec.output);
    auto f32At = [&](Value base, Value element, unsigned lanes) {
      return kernel.loadF32(Element::F32, elementAt(kernel, base, element, Element::F32), lanes);
    };
    // One head, normed and rotated where that is asked for; `take` gets features from d on.
    auto rotateHead = [&](Value head, Value scale, llvm::function_ref<void(Value d, Value features)> take) {
      Value start = elementAt(kernel, input, kernel.mul(head, headDim), spec.input);
      Value inverse;
      if (spec.norm)
        inverse = inverseNorm(kernel, sumOfSquares(kernel, spec.input, start, headDim), headDim, spec.eps);
      forElements(kernel, half, 1, [&](Value d, unsigned lanes) {
        auto load = [&](Value element) {
          Value x = kernel.loadF32(spec.input, elementAt(kernel, start, element, spec.input), lanes);
          if (!spec.norm)
            return x;
          return kernel.mul(kernel.mul(x, kernel.broadcast(inverse, lanes)), f32At(scale, element, lanes));
        };
        Value high = kernel.add(d, half);
        std::pair<Value, Value> halves = {load(d), load(high)};
        if (spec.rope)
          halves = rotate(kernel, halves.first, halves.second, f32At(table, d, lanes), f32At(table, high, lanes));
        take(d, halves.first);
        take(high, halves.second);
      });
    };
    kernel.forEach(kernel.i64(0), kernel.i64(spec.queryHeads), 1, [&](Value head) {
      rotateHead(head, spec.norm ? kernel.operand(firstScale) : Value(), [&](Value d, Value features) {
        Value element = kernel.add(kernel.mul(head, headDim), d);
        kernel.storeF32(spec.output, features, elementAt(kernel, output, element, spec.output));
      });
    });
    Value slot = loadSlot(kernel, kernel.operand(1), row);
    kernel.ifThen(kernel.less(kernel.i64(-1), slot), [&] {
      CacheRow place(kernel, layout, kernel.operand(2), slot);
      kernel.forEach(kernel.i64(0), kernel.i64(spec.kvHeads), 1, [&](Value head) {
        rotateHead(kernel.add(head, spec.queryHeads), spec.norm ? kernel.operand(firstScale + 1) : Value(),
                   [&](Value d, Value features) { place.storeKey(head, d, features); });
        Value valueHead = kernel.add(head, spec.queryHeads + spec.kvHeads);
        Value values = elementAt(kernel, input, kernel.mul(valueHead, headDim), spec.input);
        forElements(kernel, headDim, 1, [&](Value d, unsigned lanes) {
          place.storeValue(head, d, kernel.loadF32(spec.input, elementAt(kernel, values, d, spec.input), lanes));
        });
      });
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}
