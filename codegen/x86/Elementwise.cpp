//===- Elementwise.cpp - norms, activations, gates and sums ---------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/RowLoops.h"

using namespace kerf::x86;
using mlir::Value;

/// Vectors in one turn of a loop over a row.
static constexpr unsigned unroll = 4;

static OperandInfo readable(Element element) { return {.alignment = unsigned(bytesOf(element)), .noalias = false}; }
static OperandInfo writable(Element element) {
  return {.alignment = unsigned(bytesOf(element)), .written = true, .noalias = false};
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const RmsNormSpec &spec) {
  assert(spec.columns % spec.run == 0 && "rows must be whole runs");
  KernelBuilder kernel(module, variant, name, {readable(spec.input), {.alignment = 4}, writable(spec.output)});
  const uint32_t tile = rowsOfTask(spec.columns);
  auto norm = [&](Value first) {
    Value input = elementAt(kernel, kernel.operand(0), first, spec.input);
    Value output = elementAt(kernel, kernel.operand(2), first, spec.output);
    Value inverse = inverseNorm(kernel, sumOfSquares(kernel, spec.input, input, spec.run), spec.run, spec.eps);
    forElements(kernel, spec.run, unroll, [&](Value element, unsigned lanes) {
      Value x = kernel.loadF32(spec.input, elementAt(kernel, input, element, spec.input), lanes);
      Value scale = kernel.loadF32(Element::F32, elementAt(kernel, kernel.operand(1), element, Element::F32), lanes);
      Value y = kernel.mul(kernel.mul(x, kernel.broadcast(inverse, lanes)), scale);
      kernel.storeF32(spec.output, y, elementAt(kernel, output, element, spec.output));
    });
  };
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    if (spec.columns == spec.run)
      return norm(first);
    kernel.forEach(first, kernel.add(first, spec.columns), spec.run, norm);
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const LayerNormSpec &spec) {
  KernelBuilder kernel(module, variant, name,
                       {readable(spec.input), {.alignment = 4}, {.alignment = 4}, writable(spec.output)});
  const uint32_t tile = rowsOfTask(2 * spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    Value input = elementAt(kernel, kernel.operand(0), first, spec.input);
    Value output = elementAt(kernel, kernel.operand(3), first, spec.output);
    Value sum =
        sumElements(kernel, spec.input, input, spec.columns, [&](Value x, Value sum) { return kernel.add(sum, x); });
    Value mean = kernel.div(sum, kernel.f32(float(spec.columns)));
    auto centred = [&](Value x) { return kernel.sub(x, kernel.broadcast(mean, lanesOf(x))); };
    Value squares = sumElements(kernel, spec.input, input, spec.columns, [&](Value x, Value sum) {
      Value difference = centred(x);
      return kernel.fma(difference, difference, sum);
    });
    Value inverse = inverseNorm(kernel, squares, spec.columns, spec.eps);
    forElements(kernel, spec.columns, unroll, [&](Value element, unsigned lanes) {
      auto load = [&](Value base, Element type) {
        return kernel.loadF32(type, elementAt(kernel, base, element, type), lanes);
      };
      Value normed = kernel.mul(centred(load(input, spec.input)), kernel.broadcast(inverse, lanes));
      Value y = kernel.fma(normed, load(kernel.operand(1), Element::F32), load(kernel.operand(2), Element::F32));
      kernel.storeF32(spec.output, y, elementAt(kernel, output, element, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const ActivationSpec &spec) {
  KernelBuilder kernel(module, variant, name, {readable(spec.input), writable(spec.output)});
  const uint32_t tile = rowsOfTask(2 * spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    forElements(kernel, spec.columns, unroll, [&](Value column, unsigned lanes) {
      Value element = kernel.add(first, column);
      Value x = kernel.loadF32(spec.input, elementAt(kernel, kernel.operand(0), element, spec.input), lanes);
      kernel.storeF32(spec.output, activate(kernel, spec.activation, x),
                      elementAt(kernel, kernel.operand(1), element, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const GateSpec &spec) {
  KernelBuilder kernel(module, variant, name, {readable(spec.gate), readable(spec.gate), writable(spec.output)});
  const uint32_t tile = rowsOfTask(2 * spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    forElements(kernel, spec.columns, unroll, [&](Value column, unsigned lanes) {
      Value element = kernel.add(first, column);
      Value gate = kernel.loadF32(spec.gate, elementAt(kernel, kernel.operand(0), element, spec.gate), lanes);
      Value up = kernel.loadF32(spec.gate, elementAt(kernel, kernel.operand(1), element, spec.gate), lanes);
      kernel.storeF32(spec.output, kernel.mul(activate(kernel, spec.activation, gate), up),
                      elementAt(kernel, kernel.operand(2), element, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const AddSpec &spec) {
  KernelBuilder kernel(module, variant, name, {readable(spec.lhs), readable(spec.rhs), writable(spec.output)});
  const uint32_t tile = rowsOfTask(spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.columns);
    forElements(kernel, spec.columns, unroll, [&](Value column, unsigned lanes) {
      Value element = kernel.add(first, column);
      Value lhs = kernel.loadF32(spec.lhs, elementAt(kernel, kernel.operand(0), element, spec.lhs), lanes);
      Value rhs = kernel.loadF32(spec.rhs, elementAt(kernel, kernel.operand(1), element, spec.rhs), lanes);
      kernel.storeF32(spec.output, kernel.add(lhs, rhs), elementAt(kernel, kernel.operand(2), element, spec.output));
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}
