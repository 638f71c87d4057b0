//===- Product.cpp - linear kernels: which functions, and their ends ------===//
#include "codegen/nvptx/Product.h"

#include "codegen/kernels/Functions.h"
#include "codegen/nvptx/Heads.h"
#include "codegen/nvptx/Rows.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using mlir::gpu::GPUModuleOp;

ProductSpec::ProductSpec(const LinearSpec &spec)
    : k(spec.k), n(spec.n), input(spec.input), weight(spec.weight), output(spec.output), bias(spec.bias),
      activation(spec.activation) {
  if (spec.residual)
    residual = spec.residualElement;
}

ProductSpec::ProductSpec(const GatedLinearSpec &spec)
    : k(spec.k), n(spec.n), input(spec.input), weight(spec.weight), output(spec.output), gated(true), bias(spec.bias),
      activation(spec.activation) {}

ProductSpec::ProductSpec(const LinearRopeAppendSpec &spec)
    : k(spec.k), n(spec.n()), input(spec.input), weight(spec.weight), output(spec.output), bias(spec.bias),
      heads(spec) {}

llvm::SmallVector<OperandInfo> ProductSpec::operands() const {
  llvm::SmallVector<OperandInfo> operands(1 + matrices() + bias * matrices());
  if (heads) {
    operands.append({{}, {.written = true}});
    operands.append(heads->rope, {});
  }
  // The output may be the residual's memory.
  if (residual)
    operands.push_back({.noalias = false});
  operands.push_back({.written = true, .noalias = !residual});
  return operands;
}

Value ProductSpec::headColumn(KernelBuilder &kernel, Value output) const {
  return kernel.add(kernel.mul(kernel.div(output, half()), 2 * half()), kernel.rem(output, half()));
}

Value ProductSpec::weightRow(KernelBuilder &kernel, Value output, Value part) const {
  Value matrix = kernel.operand(1), row = output;
  if (heads)
    row = kernel.add(headColumn(kernel, output), kernel.mul(part, half()));
  if (gated)
    matrix = kernel.select(kernel.less(part, kernel.i32(1)), matrix, kernel.operand(2));
  return kernel.atIndex(matrix, row, k * bytesOf(weight));
}

Value Epilogue::biasOf(unsigned matrix, Value column, unsigned lanes) {
  return kernel.loadF32(Element::F32, kernel.at(kernel.operand(1 + spec.matrices() + matrix), kernel.mul(column, 4)),
                        lanes);
}

void Epilogue::store(Value row, Value column, llvm::ArrayRef<Value> sums) {
  if (spec.heads)
    return storeHeads(row, column, sums);
  const unsigned lanes = lanesOf(sums[0]);
  KernelBuilder::Values values(sums);
  if (spec.bias)
    for (unsigned matrix = 0; matrix < values.size(); ++matrix)
      values[matrix] = kernel.add(values[matrix], biasOf(matrix, column, lanes));
  Value result = spec.activation ? activate(kernel, *spec.activation, values[0]) : values[0];
  if (spec.gated)
    result = kernel.mul(result, values[1]);
  const unsigned last = 1 + spec.matrices() + spec.bias * spec.matrices() + spec.residual.has_value();
  if (spec.residual)
    result = kernel.add(result,
                        kernel.loadF32(*spec.residual,
                                       elementAt(kernel, kernel.operand(last - 1), row, spec.n, column, *spec.residual),
                                       lanes));
  kernel.storeF32(spec.output, result, elementAt(kernel, kernel.operand(last), row, spec.n, column, spec.output));
}

void Epilogue::storeHeads(Value row, Value output, llvm::ArrayRef<Value> sums) {
  const LinearRopeAppendSpec &heads = *spec.heads;
  const unsigned slots = 2 + heads.bias, last = slots + 2 + heads.rope;
  const HeadSplit split{.queryHeads = heads.queryHeads,
                        .layout = {heads.kvHeads, heads.headDim, heads.pageSize, heads.cache},
                        .output = heads.output,
                        .cache = kernel.operand(slots + 1),
                        .queries = kernel.operand(last),
                        .table = heads.rope ? kernel.operand(slots + 2) : Value()};
  Value head = kernel.div(output, spec.half()), d = kernel.rem(output, spec.half());
  Halves x = {sums[0], sums[1]};
  if (heads.bias) {
    const unsigned lanes = lanesOf(x.low);
    Value column = spec.headColumn(kernel, output);
    x = {kernel.add(x.low, biasOf(0, column, lanes)),
         kernel.add(x.high, biasOf(0, kernel.add(column, spec.half()), lanes))};
  }
  // Values are not rotated.
  if (heads.rope) {
    auto turned = kernel.ifElse(
        split.isValue(kernel, head), {x.low.getType(), x.high.getType()},
        [&] { return KernelBuilder::Values{x.low, x.high}; },
        [&] {
          const Halves rotated = split.rotated(kernel, row, d, x);
          return KernelBuilder::Values{rotated.low, rotated.high};
        });
    x = {turned[0], turned[1]};
  }
  split.store(kernel, row, loadSlot(kernel, kernel.operand(slots), row), head, d, x);
}

static Launches emitProduct(GPUModuleOp module, const Variant &variant, llvm::StringRef name, const ProductSpec &spec) {
  Launches launches;
  if (!spec.onTensorCores()) {
    launches.push_back(emitPlainProduct(module, (name + "_few").str(), spec, 1, 1, 16));
    launches.push_back(emitPlainProduct(module, (name + "_many").str(), spec, 4, 17, UINT32_MAX));
    return launches;
  }
  // Twice as many rows each time, as the columns of mma.sync allow.
  int64_t least = 1;
  for (unsigned most = 8; most <= variant.stream.mostRows; most *= 2) {
    launches.push_back(
        emitStreamProduct(module, variant.stream, (name + "_r" + llvm::Twine(most)).str(), spec, least, most));
    least = most + 1;
  }
  for (size_t i = 0; i < variant.tiles.size(); ++i) {
    const TileSchedule &tile = variant.tiles[i];
    const int64_t most = i + 1 < variant.tiles.size() ? variant.tiles[i + 1].leastRows - 1 : UINT32_MAX;
    launches.push_back(emitTileProduct(module, tile, (name + "_t" + llvm::Twine(tile.rows)).str(), spec, least, most));
    least = most + 1;
  }
  return launches;
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const LinearSpec &spec) {
  return emitProduct(module, variant, name, spec);
}
Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const GatedLinearSpec &spec) {
  return emitProduct(module, variant, name, spec);
}
Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const LinearRopeAppendSpec &spec) {
  return emitProduct(module, variant, name, spec);
}
