//===- Product.cpp - tasks of products and what follows their sums --------===//
#include "codegen/x86/Product.h"

#include "codegen/kernels/Functions.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf::x86;
using mlir::Value;
using mlir::ValueRange;

llvm::SmallVector<OperandInfo> Product::operands() const {
  llvm::SmallVector<OperandInfo> infos;
  infos.push_back({.alignment = unsigned(bytesOf(input))});
  infos.append(matrices(), {.alignment = KERF_ALIGNMENT});
  if (bias)
    infos.append(matrices(), {.alignment = 4});
  // Each element of the residual is read before the same element of the output is written, so they may share memory.
  if (residual)
    infos.push_back({.alignment = unsigned(bytesOf(residualElement)), .noalias = false});
  infos.push_back({.alignment = unsigned(bytesOf(output)), .written = true, .noalias = !residual});
  return infos;
}

static const LinearSchedule &scheduleOf(const Variant &variant, const Product &product) {
  return product.input == Element::BF16 ? variant.linearBf16 : variant.linearF32;
}

ProductEmitter::ProductEmitter(KernelBuilder &kernel, const Product &product)
    : kernel(kernel), product(product), schedule(scheduleOf(kernel.variant(), product)),
      layout{.n = product.n, .k = product.k, .element = product.weight}, lanes(kernel.variant().lanes),
      vectors(WeightLayout::block / lanes), rows(product.gated ? schedule.gatedRows : schedule.rows),
      blocks(product.gated ? schedule.gatedBlocks : schedule.blocks) {
  assert((product.input == product.weight || product.input == Element::F32) && "unsupported pair of elements");
  panelBlocks = schedule.panelBlocks;
  while (panelBlocks > 1 && layout.blocks() / panelBlocks < schedule.leastColumns)
    panelBlocks /= 2;
}

KernelInfo ProductEmitter::info() const {
  KernelInfo info;
  info.tile = schedule.taskRows;
  info.columns = llvm::divideCeil(layout.blocks(), panelBlocks);
  return info;
}

void ProductEmitter::emit() {
  // The tasks of one panel follow each other, so its weights are read once by however many rows there are.
  Value total = kernel.rows();
  Value tiles = kernel.div(kernel.add(total, schedule.taskRows - 1), int64_t(schedule.taskRows));
  Value column = kernel.div(kernel.task(), tiles);
  Value tile = kernel.sub(kernel.task(), kernel.mul(column, tiles));
  Value rowBegin = kernel.mul(tile, schedule.taskRows);
  Value rowEnd = kernel.min(kernel.add(rowBegin, schedule.taskRows), total);
  Value blockBegin = kernel.mul(column, panelBlocks);
  Value blockEnd = kernel.min(kernel.add(blockBegin, panelBlocks), kernel.i64(layout.blocks()));
  if (schedule.dot == Dot::Bf16Tiles)
    emitTiles(rowBegin, rowEnd, blockBegin, blockEnd);
  else
    emitVectors(rowBegin, rowEnd, blockBegin, blockEnd);
}

Value ProductEmitter::inputAddress(Value row, Value k) {
  Value start = kernel.at(kernel.operand(0), kernel.mul(row, product.k * bytesOf(product.input)));
  return kernel.at(start, kernel.mul(k, bytesOf(product.input)));
}

Value ProductEmitter::weightAddress(unsigned matrix, Value block, Value k) {
  Value start = kernel.at(kernel.operand(1 + matrix), kernel.mul(block, layout.blockBytes()));
  return kernel.at(start, kernel.mul(k, WeightLayout::block * bytesOf(product.weight)));
}

void ProductEmitter::forRowCount(Value rowCount, unsigned most, llvm::function_ref<void(unsigned)> body) {
  if (most == 1)
    return body(1);
  Value here = kernel.compare(mlir::arith::CmpIPredicate::eq, rowCount, kernel.i64(most));
  kernel.ifElse(
      here, {}, [&] { return body(most), Values(); }, [&] { return forRowCount(rowCount, most - 1, body), Values(); });
}

void ProductEmitter::forBlocks(Value begin, Value end, unsigned together,
                               llvm::function_ref<void(Value, unsigned)> body) {
  Value whole = kernel.sub(end, kernel.rem(kernel.sub(end, begin), together));
  kernel.forEach(begin, whole, together, [&](Value block) { body(block, together); });
  // Only the last panel can hold fewer blocks than the others, which are multiples.
  if (layout.blocks() % together || panelBlocks % together)
    kernel.forEach(whole, end, 1, [&](Value block) { body(block, 1); });
}

void ProductEmitter::finish(Value row, Value block, Shape shape, llvm::ArrayRef<Value> sums) {
  for (unsigned number = 0; number < shape.blocks; ++number) {
    Value here = kernel.add(block, number);
    if (product.n % WeightLayout::block == 0) {
      finishBlock(row, here, shape, number, sums, /*partial=*/false);
      continue;
    }
    Value whole = kernel.less(here, kernel.i64(product.n / WeightLayout::block));
    kernel.ifElse(
        whole, {}, [&] { return finishBlock(row, here, shape, number, sums, false), Values(); },
        [&] { return finishBlock(row, here, shape, number, sums, true), Values(); });
  }
}

void ProductEmitter::finishBlock(Value row, Value block, Shape shape, unsigned number, llvm::ArrayRef<Value> sums,
                                 bool partial) {
  for (unsigned vector = 0; vector < vectors; ++vector) {
    const int64_t valid = partial ? product.n % WeightLayout::block - vector * lanes : lanes;
    if (valid <= 0)
      break;
    Value mask = valid < lanes ? kernel.mask(kernel.i64(valid), lanes) : Value();
    Value column = kernel.add(kernel.mul(block, WeightLayout::block), vector * lanes);
    auto load = [&](Element element, Value address) {
      return mask ? kernel.loadF32(element, address, mask, lanes) : kernel.loadF32(element, address, lanes);
    };
    Values biases;
    if (product.bias)
      for (unsigned matrix = 0; matrix < product.matrices(); ++matrix)
        biases.push_back(load(Element::F32, kernel.at(biasOperand(matrix), kernel.mul(column, 4))));
    for (unsigned r = 0; r < shape.rows; ++r) {
      Values results;
      for (unsigned matrix = 0; matrix < product.matrices(); ++matrix) {
        Value value = sums[index(shape, r, matrix, number, vector)];
        results.push_back(product.bias ? kernel.add(value, biases[matrix]) : value);
      }
      Value result = product.activation ? activate(kernel, *product.activation, results[0]) : results[0];
      if (product.gated)
        result = kernel.mul(result, results[1]);
      Value position = kernel.add(kernel.mul(kernel.add(row, r), product.n), column);
      if (product.residual)
        result = kernel.add(result,
                            load(product.residualElement,
                                 kernel.at(residualOperand(), kernel.mul(position, bytesOf(product.residualElement)))));
      Value address = kernel.at(outputOperand(), kernel.mul(position, bytesOf(product.output)));
      // LLVM 22 widens a masked store of one truncated 16-bit element to four bytes (AVX-512 without BF16).
      if (valid == 1)
        kernel.storeF32(product.output, kernel.extract(result, 0), address);
      else if (mask)
        kernel.storeF32(product.output, result, address, mask);
      else
        kernel.storeF32(product.output, result, address);
    }
  }
}
