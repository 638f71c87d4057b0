//===- Elementwise.cpp - norms, activations, gates and sums ---------------===//
#include "codegen/kernels/Functions.h"
#include "codegen/nvptx/Rows.h"

using namespace kerf;
using namespace kerf::nvptx;
using mlir::Value;
using mlir::gpu::GPUModuleOp;

static constexpr OperandInfo readable{.noalias = false}, writable{.written = true, .noalias = false};

namespace {
/// A block's share of a row (or of a run of one): its threads take pieces side by side, then the next ones.
class Run {
public:
  Run(KernelBuilder &kernel, int64_t length, unsigned lanes) : kernel(kernel), length(length), lanes(lanes) {}

  /// Sum over the run of what `value` gives for a piece, in each thread.
  Value sum(Value shared, llvm::function_ref<Value(Value column, Value sum)> addTo) {
    Value zero = kernel.f32(0);
    auto sums = kernel.loop(first(), kernel.i32(length), stride(), {zero}, [&](Value column, mlir::ValueRange carried) {
      return KernelBuilder::Values{addTo(column, carried[0])};
    });
    return kernel.sumBlock(sums[0], shared);
  }
  /// Each piece.
  void forEach(llvm::function_ref<void(Value column)> body) {
    kernel.forEach(first(), kernel.i32(length), stride(), body);
  }

private:
  Value first() { return kernel.mul(kernel.thread(), lanes); }
  int64_t stride() const { return int64_t(kernel.threads()) * lanes; }

  KernelBuilder &kernel;
  int64_t length;
  unsigned lanes;
};

/// `sum` plus the lanes of `values`, in order.
Value addLanes(KernelBuilder &kernel, Value values, unsigned lanes, Value sum,
               llvm::function_ref<Value(Value x, Value sum)> add) {
  if (lanes == 1)
    return add(values, sum);
  for (unsigned lane = 0; lane < lanes; ++lane)
    sum = add(kernel.extract(values, lane), sum);
  return sum;
}

Value inverseNorm(KernelBuilder &kernel, Value squares, int64_t length, double eps) {
  Value mean = kernel.div(squares, kernel.f32(float(length)));
  return kernel.div(kernel.f32(1), kernel.sqrt(kernel.add(mean, kernel.f32(float(eps)))));
}
} // namespace

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const RmsNormSpec &spec) {
  const unsigned lanes = vectorLanes(spec.run, {spec.input, spec.output, Element::F32});
  const int64_t runs = spec.columns / spec.run;
  KernelBuilder kernel(module, name, {readable, {}, writable}, threadsFor(spec.run / lanes));
  Value shared = kernel.reserveShared(128);
  kernel.ifThen(kernel.less(kernel.block(), kernel.mul(kernel.rows(), runs)), [&] {
    Run run(kernel, spec.run, lanes);
    auto input = [&](Value column) {
      return kernel.loadF32(spec.input,
                            elementAt(kernel, kernel.operand(0), kernel.block(), spec.run, column, spec.input), lanes);
    };
    Value squares = run.sum(shared, [&](Value column, Value sum) {
      return addLanes(kernel, input(column), lanes, sum, [&](Value x, Value sum) { return kernel.fma(x, x, sum); });
    });
    Value inverse = spread(kernel, inverseNorm(kernel, squares, spec.run, spec.eps), lanes);
    run.forEach([&](Value column) {
      Value scale = kernel.loadF32(Element::F32, kernel.at(kernel.operand(1), kernel.mul(column, 4)), lanes);
      kernel.storeF32(spec.output, kernel.mul(kernel.mul(input(column), inverse), scale),
                      elementAt(kernel, kernel.operand(2), kernel.block(), spec.run, column, spec.output));
    });
  });
  return {kernel.finish({.columns = runs})};
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const LayerNormSpec &spec) {
  const unsigned lanes = vectorLanes(spec.columns, {spec.input, spec.output, Element::F32});
  KernelBuilder kernel(module, name, {readable, {}, {}, writable}, threadsFor(spec.columns / lanes));
  Value sums = kernel.reserveShared(128), squaresOf = kernel.reserveShared(128);
  kernel.ifThen(kernel.less(kernel.block(), kernel.rows()), [&] {
    Run run(kernel, spec.columns, lanes);
    auto input = [&](Value column) {
      return kernel.loadF32(
          spec.input, elementAt(kernel, kernel.operand(0), kernel.block(), spec.columns, column, spec.input), lanes);
    };
    Value sum = run.sum(sums, [&](Value column, Value sum) {
      return addLanes(kernel, input(column), lanes, sum, [&](Value x, Value sum) { return kernel.add(sum, x); });
    });
    Value mean = kernel.div(sum, kernel.f32(float(spec.columns)));
    Value squares = run.sum(squaresOf, [&](Value column, Value sum) {
      return addLanes(kernel, input(column), lanes, sum, [&](Value x, Value sum) {
        Value difference = kernel.sub(x, mean);
        return kernel.fma(difference, difference, sum);
      });
    });
    Value inverse = spread(kernel, inverseNorm(kernel, squares, spec.columns, spec.eps), lanes);
    run.forEach([&](Value column) {
      auto weight = [&](unsigned operand) {
        return kernel.loadF32(Element::F32, kernel.at(kernel.operand(operand), kernel.mul(column, 4)), lanes);
      };
      Value normed = kernel.mul(kernel.sub(input(column), spread(kernel, mean, lanes)), inverse);
      kernel.storeF32(spec.output, kernel.fma(normed, weight(1), weight(2)),
                      elementAt(kernel, kernel.operand(3), kernel.block(), spec.columns, column, spec.output));
    });
  });
  return {kernel.finish({})};
}

/// output = compute(inputs), element by element.
static Launches emitMap(GPUModuleOp module, llvm::StringRef name, int64_t columns, llvm::ArrayRef<Element> inputs,
                        Element output, llvm::function_ref<Value(KernelBuilder &, llvm::ArrayRef<Value>)> compute) {
  llvm::SmallVector<Element> elements(inputs);
  elements.push_back(output);
  const unsigned lanes = vectorLanes(columns, elements);
  llvm::SmallVector<OperandInfo> operands(inputs.size(), readable);
  operands.push_back(writable);
  return emitElementwise(module, name, operands, columns, lanes, [&](KernelBuilder &kernel, Value row, Value column) {
    KernelBuilder::Values values;
    for (auto [index, element] : llvm::enumerate(inputs))
      values.push_back(
          kernel.loadF32(element, elementAt(kernel, kernel.operand(index), row, columns, column, element), lanes));
    kernel.storeF32(output, compute(kernel, values),
                    elementAt(kernel, kernel.operand(inputs.size()), row, columns, column, output));
  });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name,
                                 const ActivationSpec &spec) {
  return emitMap(module, name, spec.columns, {spec.input}, spec.output,
                 [&](KernelBuilder &kernel, auto values) { return activate(kernel, spec.activation, values[0]); });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const GateSpec &spec) {
  return emitMap(module, name, spec.columns, {spec.gate, spec.gate}, spec.output,
                 [&](KernelBuilder &kernel, auto values) {
                   return kernel.mul(activate(kernel, spec.activation, values[0]), values[1]);
                 });
}

Launches kerf::nvptx::emitKernel(GPUModuleOp module, const Variant &, llvm::StringRef name, const AddSpec &spec) {
  return emitMap(module, name, spec.columns, {spec.lhs, spec.rhs}, spec.output,
                 [&](KernelBuilder &kernel, auto values) { return kernel.add(values[0], values[1]); });
}
