//===- AttentionMerge.cpp - joining partial attentions --------------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/x86/Kernels.h"
#include "codegen/x86/RowLoops.h"

#include <limits>

using namespace kerf::x86;
using mlir::Value;

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const AttentionMergeSpec &spec) {
  assert(spec.columns % spec.heads == 0 && "rows must be whole heads");
  const unsigned bytes = bytesOf(spec.element);
  const int64_t headDim = spec.columns / spec.heads;
  KernelBuilder kernel(module, variant, name,
                       {{.alignment = bytes, .noalias = false},
                        {.alignment = 4, .noalias = false},
                        {.alignment = bytes, .noalias = false},
                        {.alignment = 4, .noalias = false},
                        {.alignment = unsigned(bytesOf(spec.output)), .written = true, .noalias = false},
                        {.alignment = 4, .written = true, .noalias = false}});
  const uint32_t tile = rowsOfTask(spec.columns);
  forRows(kernel, tile, [&](Value row) {
    Value first = kernel.mul(row, spec.heads);
    kernel.forEach(first, kernel.add(first, spec.heads), 1, [&](Value head) {
      auto loadLse = [&](unsigned operand) {
        return kernel.loadScalarF32(Element::F32, elementAt(kernel, kernel.operand(operand), head, Element::F32));
      };
      Value lhs = loadLse(1), rhs = loadLse(3);
      Value greatest = kernel.max(lhs, rhs);
      // Where neither saw anything the differences are NaN; the weights are 0 there, and so is the result.
      Value least = kernel.f32(-std::numeric_limits<float>::infinity());
      Value blind = kernel.compare(mlir::arith::CmpFPredicate::OEQ, greatest, least);
      auto weigh = [&](Value lse) {
        return kernel.select(blind, kernel.f32(0), exponential(kernel, kernel.sub(lse, greatest)));
      };
      Value a = weigh(lhs), b = weigh(rhs);
      Value total = kernel.select(blind, kernel.f32(1), kernel.add(a, b));
      kernel.store(kernel.add(greatest, logarithm(kernel, total)),
                   elementAt(kernel, kernel.operand(5), head, Element::F32), 4);
      Value start = kernel.mul(head, headDim);
      forElements(kernel, headDim, 4, [&](Value d, unsigned lanes) {
        Value element = kernel.add(start, d);
        auto load = [&](unsigned operand) {
          return kernel.loadF32(spec.element, elementAt(kernel, kernel.operand(operand), element, spec.element), lanes);
        };
        Value sum = kernel.fma(kernel.broadcast(a, lanes), load(0), kernel.mul(kernel.broadcast(b, lanes), load(2)));
        kernel.storeF32(spec.output, kernel.div(sum, kernel.broadcast(total, lanes)),
                        elementAt(kernel, kernel.operand(4), element, spec.output));
      });
    });
  });
  kernel.finish();
  return describe(kernel, name, tile);
}
