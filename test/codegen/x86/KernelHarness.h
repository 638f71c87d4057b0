//===- KernelHarness.h - compiles and runs one kernel in a test -*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_X86_KERNELHARNESS_H
#define KERF_TEST_CODEGEN_X86_KERNELHARNESS_H

#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"
#include "test/codegen/x86/GuardedBuffer.h"
#include "test/codegen/x86/Variants.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace kerf::test {

/// The element's bits of the number nearest to `value`, ties to even; bf16 has no subnormal numbers, as in kernels.
inline uint32_t toBits(x86::Element element, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (element == x86::Element::F32)
    return bits;
  if (element == x86::Element::F16) {
    _Float16 half = static_cast<_Float16>(value);
    uint16_t halfBits;
    std::memcpy(&halfBits, &half, 2);
    return halfBits;
  }
  if ((bits & 0x7fffffff) < 0x00800000)
    return bits >> 16 & 0x8000;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/// The number that an element holds.
inline float fromBits(x86::Element element, uint32_t bits) {
  float value;
  if (element == x86::Element::F16) {
    uint16_t halfBits = bits;
    _Float16 half;
    std::memcpy(&half, &halfBits, 2);
    return half;
  }
  if (element == x86::Element::BF16)
    bits <<= 16;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// Half a unit in the last place of the element, relative to a normal number.
inline double halfUnit(x86::Element element) {
  return element == x86::Element::F32 ? 0x1p-24 : element == x86::Element::F16 ? 0x1p-11 : 0x1p-8;
}

/// Guarded memory of elements; what lies between the guard and them is poisoned.
class Tensor {
public:
  /// Elements that are all NaN (bytes of 0xff).
  Tensor(x86::Element element, size_t count) : element(element), count(count), memory(count * x86::bytesOf(element)) {
    std::memset(memory.front(), 0xff, memory.frontBytes() + count * x86::bytesOf(element));
  }
  /// Element `index` as a number.
  float get(size_t index) const {
    uint32_t bits = 0;
    std::memcpy(&bits, address(index), x86::bytesOf(element));
    return fromBits(element, bits);
  }
  /// Sets an element to the nearest number.
  void set(size_t index, float value) {
    const uint32_t bits = toBits(element, value);
    std::memcpy(address(index), &bits, x86::bytesOf(element));
  }
  /// Normal numbers.
  Tensor &fill(std::mt19937 &random, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    for (size_t index = 0; index < count; ++index)
      set(index, normal(random));
    return *this;
  }
  /// Copies `other`'s elements [from, from + n) to `to` on.
  void copy(const Tensor &other, size_t from, size_t n, size_t to = 0) {
    if (n)
      std::memcpy(address(to), other.address(from), n * x86::bytesOf(element));
  }
  /// Its bytes.
  std::vector<char> bytes() const { return {address(0), address(count)}; }
  /// Whether nothing was written in front.
  bool intact() const {
    return std::all_of(memory.front(), memory.front() + memory.frontBytes(), [](char c) { return c == char(0xff); });
  }
  void *data() const { return memory.data(); }

  const x86::Element element;
  const size_t count;

private:
  char *address(size_t index) const { return memory.data<char>() + index * x86::bytesOf(element); }
  GuardedBuffer memory;
};

/// Guarded int32s.
class Integers : public GuardedBuffer {
public:
  explicit Integers(const std::vector<int32_t> &values) : GuardedBuffer(4 * values.size()) {
    if (!values.empty())
      std::memcpy(data(), values.data(), 4 * values.size());
  }
};

/// A compiled kernel.
class Kernel {
public:
  template <typename Emit> Kernel(const x86::Variant &variant, Emit emit) {
    x86::loadKernelDialects(context);
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    info = emit(*module, variant, "kernel");
    llvm::ExitOnError orExit("error: ");
    jit = orExit(x86::Jit::create(*module, variant));
    run = orExit(jit->find(info.name));
  }
  /// Runs all tasks of a step in some order.
  void operator()(std::vector<void *> operands, int64_t rows) {
    std::vector<int64_t> tasks((rows + info.tile - 1) / info.tile * info.columns);
    std::iota(tasks.begin(), tasks.end(), 0);
    std::shuffle(tasks.begin(), tasks.end(), random);
    for (int64_t task : tasks)
      run(operands.data(), rows, task);
  }

  x86::KernelInfo info;

private:
  mlir::MLIRContext context;
  std::unique_ptr<x86::Jit> jit;
  kerf_kernel_fn run = nullptr;
  std::mt19937 random{17};
};

/// A test for each variant; skipped where the CPU lacks what the variant needs. The kernels tested here use no tiles,
/// so that amx needs what avx512_bf16 needs.
class VariantTest : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (!x86::runsHere(variant().amx ? *x86::findVariant("avx512_bf16") : variant()))
      GTEST_SKIP() << "this CPU lacks what " << GetParam() << " needs";
  }
  const x86::Variant &variant() { return *x86::findVariant(GetParam()); }
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_X86_KERNELHARNESS_H
