//===- builder_test.cpp - conversions, functions and masks of KernelBuilder ===//
#include "codegen/kernels/Functions.h"
#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Lower.h"
#include "test/codegen/kernels/GuardedBuffer.h"
#include "test/codegen/x86/Variants.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <immintrin.h>
#include <random>
#include <vector>

using namespace kerf::x86;
using kerf::test::GuardedBuffer;
using Value = mlir::Value;

namespace {

/// Unwraps a result; prints the error and ends the program where there is one.
llvm::ExitOnError orExit("error: ");

/// Compiles one kernel that `write` writes.
struct Compiled {
  mlir::MLIRContext context;
  std::unique_ptr<Jit> jit;
  kerf_kernel_fn run = nullptr;

  Compiled(const Variant &variant, llvm::ArrayRef<OperandInfo> operands,
           llvm::function_ref<void(KernelBuilder &)> write) {
    loadKernelDialects(context);
    mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    KernelBuilder kernel(*module, variant, "kernel", operands);
    write(kernel);
    kernel.finish();
    jit = orExit(Jit::create(*module, variant));
    run = orExit(jit->find("kernel"));
  }
};

/// A kernel that maps as many elements as it has rows from operand 0 to operand 1, a vector at a time and a masked
/// tail.
Compiled compileMap(const Variant &variant, Element in, Element out,
                    llvm::function_ref<Value(KernelBuilder &, Value)> map) {
  return Compiled(variant, {{.alignment = 2}, {.alignment = 2, .written = true}}, [&](KernelBuilder &kernel) {
    Value count = kernel.rows();
    unsigned lanes = variant.lanes;
    kernel.forEach(kernel.i64(0), count, lanes, [&](Value i) {
      Value mask = kernel.mask(kernel.sub(count, i), lanes);
      Value from = kernel.at(kernel.operand(0), kernel.mul(i, bytesOf(in)));
      Value to = kernel.at(kernel.operand(1), kernel.mul(i, bytesOf(out)));
      kernel.storeF32(out, map(kernel, kernel.loadF32(in, from, mask, lanes)), to, mask);
    });
  });
}

template <typename Out, typename In> std::vector<Out> runMap(Compiled &compiled, const std::vector<In> &input) {
  GuardedBuffer in(input.size() * sizeof(In)), out(input.size() * sizeof(Out));
  std::memcpy(in.data(), input.data(), input.size() * sizeof(In));
  void *operands[] = {in.data(), out.data()};
  compiled.run(operands, static_cast<int64_t>(input.size()), 0);
  return std::vector<Out>(out.data<Out>(), out.data<Out>() + input.size());
}

float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
uint32_t toBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

/// Every exponent with mantissas around the rounding points, and random bits.
std::vector<float> manyFloats() {
  std::vector<float> values;
  for (uint32_t exponent = 0; exponent < 512; ++exponent)
    for (uint32_t mantissa : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0x17fffu, 0x18000u, 0x18001u, 0x1000u, 0x3000u,
                              0x7f8000u, 0x7fffffu, 0x400000u})
      values.push_back(fromBits(exponent << 23 | mantissa));
  std::mt19937 random(7);
  for (int i = 0; i < 100003; ++i)
    values.push_back(fromBits(random()));
  return values;
}

/// Round to nearest even to bf16 with subnormals flushed: what the instruction is documented to do.
uint16_t referenceBf16(float value) {
  uint32_t bits = toBits(value);
  if (std::isnan(value))
    return bits >> 16 | 0x40;
  if (std::fpclassify(value) == FP_SUBNORMAL)
    return bits >> 16 & 0x8000;
  const uint32_t rest = bits & 0xffff, upper = bits >> 16;
  return upper + (rest > 0x8000 || (rest == 0x8000 && (upper & 1)));
}

class Builder : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (!runsHere(variant()))
      GTEST_SKIP() << "this CPU lacks what " << GetParam() << " needs";
  }
  const Variant &variant() { return *findVariant(GetParam()); }
};

TEST_P(Builder, NarrowsToBf16LikeTheInstruction) {
  auto compiled = compileMap(variant(), Element::F32, Element::BF16, [](auto &, Value x) { return x; });
  auto input = manyFloats();
  auto output = runMap<uint16_t>(compiled, input);
  for (size_t i = 0; i < input.size(); ++i)
    ASSERT_EQ(output[i], referenceBf16(input[i])) << std::hex << toBits(input[i]);
}

TEST_P(Builder, WidensAllBf16) {
  std::vector<uint16_t> input(65536);
  for (size_t i = 0; i < input.size(); ++i)
    input[i] = i;
  auto compiled = compileMap(variant(), Element::BF16, Element::F32, [](auto &, Value x) { return x; });
  auto output = runMap<uint32_t>(compiled, input);
  for (size_t i = 0; i < input.size(); ++i)
    ASSERT_EQ(output[i], uint32_t(i) << 16);
}

TEST_P(Builder, ConvertsAllF16BothWays) {
  std::vector<uint16_t> input(65536);
  for (size_t i = 0; i < input.size(); ++i)
    input[i] = i;
  auto widen = compileMap(variant(), Element::F16, Element::F32, [](auto &, Value x) { return x; });
  auto narrow = compileMap(variant(), Element::F32, Element::F16, [](auto &, Value x) { return x; });
  auto wide = runMap<float>(widen, input);
  auto back = runMap<uint16_t>(narrow, wide);
  for (size_t i = 0; i < input.size(); ++i) {
    _Float16 half;
    std::memcpy(&half, &input[i], 2);
    if (std::isnan(float(half))) {
      ASSERT_TRUE(std::isnan(wide[i]));
      continue;
    }
    ASSERT_EQ(toBits(wide[i]), toBits(float(half)));
    ASSERT_EQ(back[i], input[i]);
  }
}

// Units in the last place between the result and the true value, which double precision stands for.
double ulps(float got, double expected) {
  const double spacing = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
  return std::fabs(got - expected) / spacing;
}

TEST_P(Builder, ExpWithinOneUlp) {
  auto compiled =
      compileMap(variant(), Element::F32, Element::F32, [](auto &kernel, Value x) { return exponential(kernel, x); });
  std::vector<float> input = {0.0f,    -0.0f,    1.0f,      88.7228f, -87.4f, -100.0f,
                              -103.9f, INFINITY, -INFINITY, NAN,      200,    -200};
  for (double x = -104; x < 88.72; x += 0.0013)
    input.push_back(float(x));
  auto output = runMap<float>(compiled, input);
  EXPECT_EQ(output[7], INFINITY);
  EXPECT_EQ(output[8], 0.0f);
  EXPECT_TRUE(std::isnan(output[9]));
  EXPECT_EQ(output[10], INFINITY);
  EXPECT_EQ(output[11], 0.0f);
  double worst = 0;
  for (size_t i = 0; i < input.size(); ++i)
    if (std::isfinite(input[i]) && std::fabs(input[i]) < 150)
      worst = std::max(worst, ulps(output[i], std::exp(double(input[i]))));
  EXPECT_LE(worst, 1.0);
}

TEST_P(Builder, ErfWithinItsBound) {
  auto compiled =
      compileMap(variant(), Element::F32, Element::F32, [](auto &kernel, Value x) { return errorFunction(kernel, x); });
  std::vector<float> input = {INFINITY, -INFINITY, 0.0f, 1e30f, -1e30f};
  for (double x = -12; x < 12; x += 0.0007)
    input.push_back(float(x));
  auto output = runMap<float>(compiled, input);
  for (size_t i = 0; i < input.size(); ++i)
    ASSERT_NEAR(output[i], std::erf(double(input[i])), 0x1p-21) << input[i];
  input.assign(5, NAN);
  EXPECT_TRUE(std::isnan(runMap<float>(compiled, input)[0]));
}

TEST_P(Builder, ReducesInOneOrder) {
  const unsigned lanes = variant().lanes;
  Compiled compiled(variant(), {{.alignment = 4}, {.alignment = 4, .written = true}}, [&](KernelBuilder &kernel) {
    Value vector = kernel.loadF32(Element::F32, kernel.operand(0));
    kernel.store(kernel.reduceAdd(vector), kernel.operand(1), 4);
    kernel.store(kernel.reduceMax(vector), kernel.at(kernel.operand(1), 4), 4);
  });
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  GuardedBuffer in(lanes * 4), out(8);
  for (unsigned lane = 0; lane < lanes; ++lane)
    in.data<float>()[lane] = normal(random);
  void *operands[] = {in.data(), out.data()};
  compiled.run(operands, 1, 0);
  std::vector<float> tree(in.data<float>(), in.data<float>() + lanes);
  const float greatest = *std::max_element(tree.begin(), tree.end());
  for (unsigned half = lanes / 2; half; half /= 2)
    for (unsigned lane = 0; lane < half; ++lane)
      tree[lane] += tree[lane + half];
  EXPECT_EQ(out.data<float>()[0], tree[0]);
  EXPECT_EQ(out.data<float>()[1], greatest);
}

// Two compilations of the same kernel must not differ: packages are reproducible.
TEST(Object, SameModuleGivesSameBytes) {
  for (const Variant &variant : variants()) {
    llvm::SmallVector<char, 0> objects[2];
    for (auto &object : objects) {
      mlir::MLIRContext context;
      loadKernelDialects(context);
      mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
      KernelBuilder kernel(*module, variant, "kernel", {{.alignment = 64}, {.alignment = 64, .written = true}});
      kernel.storeF32(Element::BF16, exponential(kernel, kernel.loadF32(Element::F32, kernel.operand(0))),
                      kernel.operand(1));
      kernel.finish();
      ASSERT_TRUE(llvm::succeeded(lowerToLLVMDialect(*module)));
      llvm::LLVMContext llvmContext;
      auto translated = orExit(translate(*module, variant, llvmContext));
      orExit(optimize(*translated, variant));
      object = orExit(emitObject(*translated, variant));
    }
    EXPECT_GT(objects[0].size(), 0u);
    EXPECT_EQ(objects[0], objects[1]) << variant.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Builder, testing::ValuesIn(kerf::test::variantNames()),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
