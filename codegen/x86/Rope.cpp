//===- Rope.cpp - rotary tables and rotations -----------------------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/RowLoops.h"

using namespace kerf::x86;
using mlir::Value;

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const RopeTableSpec &spec) {
  KernelBuilder kernel(module, variant, name, {{.alignment = 4}, {.alignment = 4}, {.alignment = 4, .written = true}});
  // An angle costs as much as some dozens of copied elements.
  const uint32_t tile = rowsOfTask(16 * spec.frequencies);
  forRows(kernel, tile, [&](Value row) {
    Value position = kernel.load(kernel.ops().getI32Type(), kernel.at(kernel.operand(0), kernel.mul(row, 4)), 4);
    position = kernel.toF32(position);
    Value output = kernel.at(kernel.operand(2), kernel.mul(row, 2 * 4 * spec.frequencies));
    forElements(kernel, spec.frequencies, 1, [&](Value element, unsigned lanes) {
      Value offset = kernel.mul(element, 4);
      Value frequencies = kernel.loadF32(Element::F32, kernel.at(kernel.operand(1), offset), lanes);
      auto [cos, sin] = cosSin(kernel, kernel.mul(kernel.broadcast(position, lanes), frequencies), spec.factor);
      Value at = kernel.at(output, offset);
      kernel.storeF32(Element::F32, cos, at);
      kernel.storeF32(Element::F32, sin, kernel.at(at, 4 * spec.frequencies));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const RopeSpec &spec) {
  assert(spec.headDim % 2 == 0 && spec.columns % spec.headDim == 0 && "rows must be whole heads of even length");
  const int64_t half = spec.headDim / 2;
  KernelBuilder kernel(module, variant, name,
                       {{.alignment = unsigned(bytesOf(spec.input)), .noalias = false},
                        {.alignment = 4},
                        {.alignment = unsigned(bytesOf(spec.output)), .written = true, .noalias = false}});
  const uint32_t tile = rowsOfTask(spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    Value table = kernel.at(kernel.operand(1), kernel.mul(row, 4 * spec.headDim));
    kernel.forEach(first, kernel.add(first, spec.columns), spec.headDim, [&](Value head) {
      forElements(kernel, half, 1, [&](Value d, unsigned lanes) {
        Value low = kernel.add(head, d), high = kernel.add(low, half);
        auto load = [&](Value element) {
          return kernel.loadF32(spec.input, elementAt(kernel, kernel.operand(0), element, spec.input), lanes);
        };
        Value cos = kernel.loadF32(Element::F32, elementAt(kernel, table, d, Element::F32), lanes);
        Value sin = kernel.loadF32(Element::F32, elementAt(kernel, table, kernel.add(d, half), Element::F32), lanes);
        auto [a, b] = rotate(kernel, load(low), load(high), cos, sin);
        kernel.storeF32(spec.output, a, elementAt(kernel, kernel.operand(2), low, spec.output));
        kernel.storeF32(spec.output, b, elementAt(kernel, kernel.operand(2), high, spec.output));
      });
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}
