//===- AttentionMerge.cpp - joining partial attentions --------------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/nvptx/KernelBuilder.h"

#include <limits>

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;

// A block takes a row, a warp every fourth of its heads.
Launches kerf::nvptx::emitKernel(gpu::GPUModuleOp module, const Variant &, llvm::StringRef name,
                                 const AttentionMergeSpec &spec) {
  assert(spec.columns % spec.heads == 0 && "rows must be whole heads");
  constexpr unsigned warps = 4;
  const int64_t headDim = spec.columns / spec.heads;
  OperandInfo read{.noalias = false}, written{.written = true, .noalias = false};
  KernelBuilder kernel(module, name, {read, read, read, read, written, written}, 32 * warps);
  Value row = kernel.block();
  auto takeHead = [&](Value head) {
    auto lseAt = [&](unsigned operand) {
      return kernel.atIndex(kernel.atIndex(kernel.operand(operand), row, 4 * spec.heads), head, 4);
    };
    Value lhs = kernel.loadF32(Element::F32, lseAt(1), 1), rhs = kernel.loadF32(Element::F32, lseAt(3), 1);
    // The result's may take the place of one of them.
    kernel.warpBarrier();
    Value greatest = kernel.max(lhs, rhs);
    // Where neither saw anything the differences are NaN; the weights are 0 there, and so is the result.
    Value least = kernel.f32(-std::numeric_limits<float>::infinity());
    Value blind = kernel.compare(arith::CmpFPredicate::OEQ, greatest, least);
    auto weigh = [&](Value lse) {
      return kernel.select(blind, kernel.f32(0), exponential(kernel, kernel.sub(lse, greatest)));
    };
    Value a = weigh(lhs), b = weigh(rhs);
    Value total = kernel.select(blind, kernel.f32(1), kernel.add(a, b));
    kernel.ifThen(kernel.compare(arith::CmpIPredicate::eq, kernel.lane(), kernel.i32(0)),
                  [&] { kernel.storeF32(Element::F32, kernel.add(greatest, logarithm(kernel, total)), lseAt(5)); });
    kernel.forEach(kernel.lane(), kernel.i32(headDim), 32, [&](Value feature) {
      Value column = kernel.add(kernel.mul(head, headDim), feature);
      auto elementAt = [&](unsigned operand, Element element) {
        const int64_t bytes = bytesOf(element);
        return kernel.atIndex(kernel.atIndex(kernel.operand(operand), row, spec.columns * bytes), column, bytes);
      };
      auto load = [&](unsigned operand) { return kernel.loadF32(spec.element, elementAt(operand, spec.element), 1); };
      Value sum = kernel.fma(a, load(0), kernel.mul(b, load(2)));
      kernel.storeF32(spec.output, kernel.div(sum, total), elementAt(4, spec.output));
    });
  };
  kernel.ifThen(kernel.less(row, kernel.rows()),
                [&] { kernel.forEach(kernel.warp(), kernel.i32(spec.heads), warps, takeHead); });
  return {kernel.finish({})};
}
