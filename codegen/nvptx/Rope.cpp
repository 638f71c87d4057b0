//===- Rope.cpp - rotary tables, rotations and what is kept of them -------===//
#include "codegen/kernels/Functions.h"
#include "codegen/nvptx/Heads.h"
#include "codegen/nvptx/Rows.h"

#include "llvm/Support/MathExtras.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using mlir::gpu::GPUModuleOp;

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const RopeTableSpec &spec) {
  return emitElementwise(
      module, name, {{}, {}, {.written = true}}, spec.frequencies, 1,
      [&](KernelBuilder &kernel, Value row, Value column) {
        Value position = kernel.load(kernel.ops().getI32Type(), kernel.atIndex(kernel.operand(0), row, 4), 4);
        Value frequency = kernel.loadF32(Element::F32, kernel.at(kernel.operand(1), kernel.mul(column, 4)), 1);
        auto [cos, sin] = cosSin(kernel, kernel.mul(kernel.toF32(position), frequency), spec.factor);
        Value to = elementAt(kernel, kernel.operand(2), row, 2 * spec.frequencies, column, Element::F32);
        kernel.storeF32(Element::F32, cos, to);
        kernel.storeF32(Element::F32, sin, kernel.at(to, 4 * spec.frequencies));
      });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const RopeSpec &spec) {
  const int64_t half = spec.headDim / 2;
  const unsigned lanes = vectorLanes(half, {spec.input, spec.output, Element::F32});
  // A thread takes as many features of both halves.
  return emitElementwise(module, name, {{.noalias = false}, {}, {.written = true, .noalias = false}}, spec.columns / 2,
                         lanes, [&](KernelBuilder &kernel, Value row, Value pair) {
                           Value d = kernel.rem(pair, half);
                           Value low = kernel.add(kernel.mul(kernel.div(pair, half), spec.headDim), d);
                           Value input = elementAt(kernel, kernel.operand(0), row, spec.columns, low, spec.input);
                           Value output = elementAt(kernel, kernel.operand(2), row, spec.columns, low, spec.output);
                           auto [a, b] = rotate(
                               kernel, kernel.operand(1), row, spec.headDim, d,
                               {kernel.loadF32(spec.input, input, lanes),
                                kernel.loadF32(spec.input, kernel.at(input, half * bytesOf(spec.input)), lanes)});
                           kernel.storeF32(spec.output, a, output);
                           kernel.storeF32(spec.output, b, kernel.at(output, half * bytesOf(spec.output)));
                         });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const KvAppendSpec &spec) {
  const CacheLayout layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache};
  const int64_t columns = spec.kvHeads * spec.headDim;
  const unsigned lanes = vectorLanes(spec.headDim, {spec.input, spec.cache});
  return emitElementwise(
      module, name, {{}, {}, {}, {.written = true}}, columns, lanes,
      [&](KernelBuilder &kernel, Value row, Value column) {
        Value slot = loadSlot(kernel, kernel.operand(2), row);
        kernel.ifThen(kernel.less(kernel.i32(-1), slot), [&] {
          Value key = keyAddress(kernel, layout, kernel.operand(3), slot, kernel.div(column, spec.headDim));
          Value feature = kernel.mul(kernel.rem(column, spec.headDim), bytesOf(spec.cache));
          for (unsigned part = 0; part < 2; ++part) {
            Value x = kernel.loadF32(spec.input,
                                     elementAt(kernel, kernel.operand(part), row, columns, column, spec.input), lanes);
            kernel.storeF32(spec.cache, x, kernel.at(kernel.at(key, part * layout.partBytes()), feature));
          }
        });
      });
}

// A warp takes a head of a row, a lane the same features of both halves, some times `lanes` of them.
Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name,
                                 const RopeAppendSpec &spec) {
  constexpr unsigned warps = 4;
  const CacheLayout layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache};
  const int64_t headDim = spec.headDim, half = headDim / 2, heads = spec.queryHeads + 2 * spec.kvHeads;
  llvm::SmallVector<OperandInfo> operands = {{}, {}, {.written = true}};
  const unsigned firstScale = operands.size() + spec.rope;
  operands.append(spec.rope + 2 * spec.norm, {});
  operands.push_back({.written = true});
  unsigned lanes = vectorLanes(half, {spec.input, spec.cache, spec.output, Element::F32});
  while (lanes > 1 && half / lanes < 32)
    lanes /= 2;
  const int64_t pieces = llvm::divideCeil(half, 32 * lanes), blocks = llvm::divideCeil(heads, warps);

  KernelBuilder kernel(module, name, operands, 32 * warps);
  mlir::Type features = lanes == 1 ? kernel.type(Element::F32) : mlir::Type(kernel.vectorType(Element::F32, lanes));
  Value row = kernel.div(kernel.block(), blocks);
  Value head = kernel.add(kernel.mul(kernel.rem(kernel.block(), blocks), warps), kernel.warp());
  const HeadSplit split{.queryHeads = spec.queryHeads,
                        .layout = layout,
                        .output = spec.output,
                        .cache = kernel.operand(2),
                        .queries = kernel.operand(operands.size() - 1),
                        .table = spec.rope ? kernel.operand(3) : Value()};
  // The same for all lanes of a warp, so that they meet in the sums.
  kernel.ifThen(kernel.bitAnd(kernel.less(row, kernel.rows()), kernel.less(head, kernel.i32(heads))), [&] {
    Value input = elementAt(kernel, kernel.operand(0), row, heads * headDim, kernel.mul(head, headDim), spec.input);
    llvm::SmallVector<Value> d, inside, low, high;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      d.push_back(kernel.mul(kernel.add(kernel.lane(), 32 * piece), lanes));
      inside.push_back(kernel.less(d.back(), kernel.i32(half)));
      Value from = kernel.at(input, kernel.mul(d.back(), bytesOf(spec.input)));
      auto loaded = kernel.ifElse(
          inside.back(), {features, features},
          [&] {
            return KernelBuilder::Values{
                kernel.loadF32(spec.input, from, lanes),
                kernel.loadF32(spec.input, kernel.at(from, half * bytesOf(spec.input)), lanes)};
          },
          [&] { return KernelBuilder::Values{kernel.zero(features), kernel.zero(features)}; });
      low.push_back(loaded[0]);
      high.push_back(loaded[1]);
    }
    Value inverse, scale;
    if (spec.norm) {
      Value sum = kernel.f32(0);
      for (Value half : llvm::concat<Value>(low, high))
        for (unsigned lane = 0; lane < lanes; ++lane) {
          Value x = lanes == 1 ? half : kernel.extract(half, lane);
          sum = kernel.fma(x, x, sum);
        }
      Value mean = kernel.div(kernel.sumLanes(sum), kernel.f32(float(headDim)));
      inverse = kernel.div(kernel.f32(1), kernel.sqrt(kernel.add(mean, kernel.f32(float(spec.eps)))));
      scale = kernel.select(split.isKept(kernel, head), kernel.operand(firstScale + 1), kernel.operand(firstScale));
    }
    Value slot = loadSlot(kernel, kernel.operand(1), row);
    for (int64_t piece = 0; piece < pieces; ++piece)
      kernel.ifThen(inside[piece], [&] {
        // Queries and keys, but not values, are normed and rotated.
        auto turned = kernel.ifElse(
            split.isValue(kernel, head), {features, features},
            [&] { return KernelBuilder::Values{low[piece], high[piece]}; },
            [&] {
              Halves halves = {low[piece], high[piece]};
              if (spec.norm) {
                Value factor = spread(kernel, inverse, lanes), at = kernel.at(scale, kernel.mul(d[piece], 4));
                halves = {kernel.mul(kernel.mul(halves.low, factor), kernel.loadF32(Element::F32, at, lanes)),
                          kernel.mul(kernel.mul(halves.high, factor),
                                     kernel.loadF32(Element::F32, kernel.at(at, 4 * half), lanes))};
              }
              halves = split.rotated(kernel, row, d[piece], halves);
              return KernelBuilder::Values{halves.low, halves.high};
            });
        split.store(kernel, row, slot, head, d[piece], {turned[0], turned[1]});
      });
  });
  return {kernel.finish({.columns = blocks})};
}
