//===- RowLoops.cpp - loops of kernels that work row by row ---------------===//
#include "codegen/x86/RowLoops.h"

#include <algorithm>

using namespace kerf::x86;
using mlir::Value;
using mlir::ValueRange;
using Values = KernelBuilder::Values;

uint32_t kerf::x86::rowsOfTask(int64_t elements) {
  return std::clamp<int64_t>(16384 / std::max<int64_t>(elements, 1), 1, 64);
}

void kerf::x86::forRows(KernelBuilder &kernel, uint32_t tile, llvm::function_ref<void(Value row)> body) {
  Value begin = kernel.mul(kernel.task(), tile);
  Value end = kernel.min(kernel.add(begin, tile), kernel.rows());
  kernel.forEach(begin, end, 1, body);
}

void kerf::x86::forElements(KernelBuilder &kernel, int64_t count, unsigned unroll,
                            llvm::function_ref<void(Value element, unsigned lanes)> body) {
  const unsigned lanes = kernel.variant().lanes;
  const int64_t turn = int64_t(lanes) * unroll, whole = count / turn * turn;
  if (whole)
    kernel.forEach(kernel.i64(0), kernel.i64(whole), turn, [&](Value first) {
      for (unsigned number = 0; number < unroll; ++number)
        body(kernel.add(first, number * lanes), lanes);
    });
  int64_t element = whole;
  for (unsigned width = lanes; width; width /= 2)
    for (; count - element >= width; element += width)
      body(kernel.i64(element), width);
}

Value kerf::x86::elementAt(KernelBuilder &kernel, Value base, Value element, Element type) {
  return kernel.at(base, kernel.mul(element, bytesOf(type)));
}

Value kerf::x86::sumElements(KernelBuilder &kernel, Element type, Value address, int64_t count,
                             llvm::function_ref<Value(Value, Value)> add) {
  constexpr unsigned chains = 4;
  const unsigned lanes = kernel.variant().lanes;
  const int64_t turn = int64_t(lanes) * chains, whole = count / turn * turn;
  Values sums(chains, kernel.zero(kernel.f32s()));
  auto addTo = [&](Value element, unsigned chain) {
    Value x = kernel.loadF32(type, elementAt(kernel, address, element, type), lanes);
    sums[chain] = add(x, sums[chain]);
  };
  if (whole)
    sums = kernel.loop(kernel.i64(0), kernel.i64(whole), turn, sums, [&](Value first, ValueRange carried) {
      sums = Values(carried);
      for (unsigned chain = 0; chain < chains; ++chain)
        addTo(kernel.add(first, chain * lanes), chain);
      return sums;
    });
  int64_t element = whole;
  for (unsigned chain = 0; count - element >= lanes; element += lanes)
    addTo(kernel.i64(element), chain++);
  Value sum = kernel.reduceAdd(kernel.add(kernel.add(sums[0], sums[1]), kernel.add(sums[2], sums[3])));
  for (unsigned width = lanes / 2; width; width /= 2)
    for (; count - element >= width; element += width) {
      Value x = kernel.loadF32(type, elementAt(kernel, address, kernel.i64(element), type), width);
      sum = kernel.add(sum, kernel.reduceAdd(add(x, kernel.zero(x.getType()))));
    }
  return sum;
}

Value kerf::x86::sumOfSquares(KernelBuilder &kernel, Element type, Value address, int64_t count) {
  return sumElements(kernel, type, address, count, [&](Value x, Value sum) { return kernel.fma(x, x, sum); });
}

Value kerf::x86::inverseNorm(KernelBuilder &kernel, Value sum, int64_t count, double eps) {
  Value mean = kernel.div(sum, kernel.f32(float(count)));
  return kernel.div(kernel.f32(1), kernel.sqrt(kernel.add(mean, kernel.f32(float(eps)))));
}

std::pair<Value, Value> kerf::x86::rotate(KernelBuilder &kernel, Value low, Value high, Value cos, Value sin) {
  Value first = kernel.fma(low, cos, kernel.neg(kernel.mul(high, sin)));
  Value second = kernel.fma(high, cos, kernel.mul(low, sin));
  return {first, second};
}

KernelInfo kerf::x86::describe(const KernelBuilder &kernel, llvm::StringRef name, uint32_t tile, uint32_t columns) {
  KernelInfo info;
  info.name = name;
  info.tile = tile;
  info.columns = columns;
  // Above what was reserved: saved and spilled registers, at most some times all of them.
  info.stackBytes = kernel.stackBytes() + 4096;
  return info;
}
