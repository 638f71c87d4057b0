//===- Heads.cpp - rows of queries, keys and values and their heads -------===//
#include "codegen/nvptx/Heads.h"

#include "codegen/nvptx/Rows.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;

Halves kerf::nvptx::rotate(KernelBuilder &kernel, Value table, Value row, int64_t headDim, Value d, Halves x) {
  Value angles = elementAt(kernel, table, row, headDim, d, Element::F32);
  Value cos = kernel.loadF32(Element::F32, angles, lanesOf(x.low));
  Value sin = kernel.loadF32(Element::F32, kernel.at(angles, 2 * headDim), lanesOf(x.low));
  return {kernel.sub(kernel.mul(x.low, cos), kernel.mul(x.high, sin)),
          kernel.add(kernel.mul(x.high, cos), kernel.mul(x.low, sin))};
}

Value kerf::nvptx::loadSlot(KernelBuilder &kernel, Value slots, Value row) {
  return kernel.load(kernel.ops().getI32Type(), kernel.atIndex(slots, row, 4), 4);
}

Value kerf::nvptx::keyAddress(KernelBuilder &kernel, const CacheLayout &layout, Value cache, Value slot, Value head) {
  Value page = kernel.atIndex(cache, kernel.div(slot, layout.pageSize), layout.pageBytes());
  return elementAt(kernel, kernel.atIndex(page, head, layout.headBytes()), kernel.rem(slot, layout.pageSize),
                   layout.headDim, kernel.i32(0), layout.element);
}

Value HeadSplit::isKept(KernelBuilder &kernel, Value head) const {
  return kernel.less(kernel.i32(int32_t(queryHeads) - 1), head);
}
Value HeadSplit::isValue(KernelBuilder &kernel, Value head) const {
  return kernel.less(kernel.i32(int32_t(queryHeads + layout.kvHeads) - 1), head);
}

Halves HeadSplit::rotated(KernelBuilder &kernel, Value row, Value d, Halves x) const {
  return table ? rotate(kernel, table, row, layout.headDim, d, x) : x;
}

void HeadSplit::store(KernelBuilder &kernel, Value row, Value slot, Value head, Value d, Halves x) const {
  auto keep = [&](Element element, Value to) {
    to = kernel.at(to, kernel.mul(d, bytesOf(element)));
    kernel.storeF32(element, x.low, to);
    kernel.storeF32(element, x.high, kernel.at(to, half() * bytesOf(element)));
  };
  kernel.ifElse(
      isKept(kernel, head), {},
      [&] {
        kernel.ifThen(kernel.less(kernel.i32(-1), slot), [&] {
          Value value = isValue(kernel, head);
          Value behind = kernel.select(value, kernel.i32(queryHeads + layout.kvHeads), kernel.i32(int32_t(queryHeads)));
          Value key = keyAddress(kernel, layout, cache, slot, kernel.sub(head, behind));
          keep(layout.element, kernel.at(key, kernel.select(value, kernel.i64(layout.partBytes()), kernel.i64(0))));
        });
        return KernelBuilder::Values();
      },
      [&] {
        keep(output,
             elementAt(kernel, queries, row, queryHeads * layout.headDim, kernel.mul(head, layout.headDim), output));
        return KernelBuilder::Values();
      });
}
