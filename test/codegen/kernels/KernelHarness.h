//===- KernelHarness.h - compiles and runs one kernel in a test -*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_KERNELS_KERNELHARNESS_H
#define KERF_TEST_CODEGEN_KERNELS_KERNELHARNESS_H

#include "codegen/nvptx/KernelBuilder.h"
#include "codegen/nvptx/Lower.h"
#include "codegen/x86/Jit.h"
#include "codegen/x86/KernelBuilder.h"
#include "codegen/x86/Kernels.h"
#include "test/codegen/kernels/GpuCase.h"
#include "test/codegen/kernels/GuardedBuffer.h"
#include "test/codegen/x86/Variants.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

namespace kerf::test {

/// The element's bits of the number nearest to `value`, ties to even; bf16 has no subnormal numbers, as in kernels.
inline uint32_t toBits(kernels::Element element, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (element == kernels::Element::F32)
    return bits;
  if (element == kernels::Element::F16) {
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
inline float fromBits(kernels::Element element, uint32_t bits) {
  float value;
  if (element == kernels::Element::F16) {
    uint16_t halfBits = bits;
    _Float16 half;
    std::memcpy(&half, &halfBits, 2);
    return half;
  }
  if (element == kernels::Element::BF16)
    bits <<= 16;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// Half a unit in the last place of the element, relative to a normal number.
inline double halfUnit(kernels::Element element) {
  return element == kernels::Element::F32 ? 0x1p-24 : element == kernels::Element::F16 ? 0x1p-11 : 0x1p-8;
}

/// A number of a normal distribution as it is; where runs are kept (CaseRecorder), the nearest of 1/8, 3/8, … and their
/// negatives, so that files of them compress. None is zero, whose sign would not be what tests expect.
inline float coarse(float number) { return CaseRecorder::get() ? std::floor(4 * number) / 4 + 0.125f : number; }

/// Guarded memory of elements; what lies between the guard and them is poisoned.
class Tensor {
public:
  /// Elements that are all NaN (bytes of 0xff).
  Tensor(kernels::Element element, size_t count)
      : element(element), count(count), memory(count * kernels::bytesOf(element)) {
    elements()[data()] = element;
    std::memset(memory.front(), 0xff, memory.frontBytes() + count * kernels::bytesOf(element));
  }
  ~Tensor() { elements().erase(data()); }
  /// The elements of the tensor that starts there; none where no tensor does.
  static std::optional<kernels::Element> elementAt(void *start) {
    auto at = elements().find(start);
    return at == elements().end() ? std::nullopt : std::optional(at->second);
  }
  /// Element `index` as a number.
  float get(size_t index) const {
    uint32_t bits = 0;
    std::memcpy(&bits, address(index), kernels::bytesOf(element));
    return fromBits(element, bits);
  }
  /// Sets an element to the nearest number.
  void set(size_t index, float value) {
    const uint32_t bits = toBits(element, value);
    std::memcpy(address(index), &bits, kernels::bytesOf(element));
  }
  /// Normal numbers.
  Tensor &fill(std::mt19937 &random, float scale = 1) {
    std::normal_distribution<float> normal;
    for (size_t index = 0; index < count; ++index)
      set(index, scale * coarse(normal(random)));
    return *this;
  }
  /// Copies `other`'s elements [from, from + n) to `to` on.
  void copy(const Tensor &other, size_t from, size_t n, size_t to = 0) {
    if (n)
      std::memcpy(address(to), other.address(from), n * kernels::bytesOf(element));
  }
  /// Its bytes.
  std::vector<char> bytes() const { return {address(0), address(count)}; }
  /// Whether nothing was written in front.
  bool intact() const {
    return std::all_of(memory.front(), memory.front() + memory.frontBytes(), [](char c) { return c == char(0xff); });
  }
  void *data() const { return memory.data(); }

  const kernels::Element element;
  const size_t count;

private:
  static std::map<void *, kernels::Element> &elements() {
    static std::map<void *, kernels::Element> known;
    return known;
  }
  char *address(size_t index) const { return memory.data<char>() + index * kernels::bytesOf(element); }
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

/// A target that kernels are tested for: one of the two.
struct Target {
  const x86::Variant *cpu = nullptr;
  const nvptx::Variant *gpu = nullptr;

  /// Most rows of one work item.
  int64_t attentionTile() const { return cpu ? cpu->attentionTile : gpu->attentionTile; }
};

/// PTX and launches of what `emit` writes.
template <typename Emit>
std::pair<std::string, std::vector<GpuLaunch>> compileForGpu(mlir::MLIRContext &context, const nvptx::Variant &variant,
                                                             Emit emit) {
  nvptx::loadKernelDialects(context);
  auto loc = mlir::UnknownLoc::get(&context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  mlir::OpBuilder builder(module->getBodyRegion());
  auto gpuModule = mlir::gpu::GPUModuleOp::create(builder, loc, "kernels");
  std::vector<GpuLaunch> launches;
  for (LaunchAttr launch : emit(gpuModule, variant, "kernel"))
    launches.push_back({launch.getFunction().str(), launch.getLeast(), launch.getMost(), int(launch.getWhen()),
                        launch.getTile(), launch.getColumns(), unsigned(launch.getThreads()),
                        unsigned(launch.getShared())});
  if (failed(nvptx::lowerToLLVMDialect(gpuModule)))
    std::abort();
  llvm::ExitOnError orExit("error: ");
  llvm::LLVMContext llvmContext;
  auto code = orExit(nvptx::translate(gpuModule, variant, llvmContext));
  return {orExit(nvptx::emitPtx(*code, variant)), launches};
}

/// A compiled kernel.
class Kernel {
public:
  /// `emit` is called with the module of the target, its variant and the kernel's name.
  template <typename Emit> Kernel(const Target &target, Emit emit) {
    x86::loadKernelDialects(context);
    llvm::ExitOnError orExit("error: ");
    if (target.cpu) {
      mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
      auto info = emit(*module, *target.cpu, "kernel");
      tile = info.tile;
      columns = info.columns;
      jit = orExit(x86::Jit::create(*module, *target.cpu));
      run = orExit(jit->find(info.name));
      return;
    }
    load(compileForGpu(context, *target.gpu, emit));
  }
  /// One for GPUs alone: what compileForGpu() gave.
  explicit Kernel(std::pair<std::string, std::vector<GpuLaunch>> compiled) { load(std::move(compiled)); }
  /// Runs a step; the operands are starts of guarded buffers, on a GPU followed by `scratch` bytes of its own. On a GPU
  /// small steps run several times, on the emulator from several seeds: each must give the same bits.
  void operator()(std::vector<void *> operands, int64_t rows, size_t scratch = 0) {
    if (image) {
      std::vector<std::pair<void *, size_t>> memory;
      for (void *operand : operands)
        memory.push_back({operand, GuardedBuffer::sizeOf(operand)});
      GpuCase run = startCase(memory, scratch, rows);
      runOnGpu(memory, scratch, rows);
      finishCase(std::move(run), memory);
      return;
    }
    // All tasks in some order.
    std::vector<int64_t> tasks((rows + tile - 1) / tile * columns);
    std::iota(tasks.begin(), tasks.end(), 0);
    std::shuffle(tasks.begin(), tasks.end(), random);
    for (int64_t task : tasks)
      run(operands.data(), rows, task);
  }

  /// Rows of a task.
  int64_t tile = 1;
  /// On a GPU.
  std::vector<GpuLaunch> launches;
  /// Where its runs are kept as cases (GpuCase): how far another device may be off. Some functions of f32 are
  /// approximations of 2^-21 or so, whose results are summed.
  double slack = 0x1p-15;

private:
  void load(std::pair<std::string, std::vector<GpuLaunch>> compiled) {
    launches = std::move(compiled.second);
    image = std::make_unique<GpuImage>(compiled.first);
    if (CaseRecorder::get())
      text = std::move(compiled.first);
  }
  void runOnGpu(const std::vector<std::pair<void *, size_t>> &memory, size_t scratch, int64_t rows) {
    // Of what a step costs the emulator the bytes are a fair sign.
    constexpr size_t mostBytes = 128 * 1024;
    size_t bytes = 0;
    std::vector<std::vector<char>> before, after;
    auto keep = [&](std::vector<std::vector<char>> &to) {
      for (auto [start, size] : memory)
        to.emplace_back(static_cast<char *>(start), static_cast<char *>(start) + size);
    };
    for (auto [start, size] : memory)
      bytes += size;
    if (bytes <= mostBytes)
      keep(before);
    image->run(launches, memory, scratch, rows);
    if (bytes > mostBytes)
      return;
    keep(after);
    const char *given = std::getenv("KERF_EMULATOR_SEED");
    const uint64_t first = given ? std::strtoull(given, nullptr, 0) : 0;
    for (uint64_t seed = first + 1; seed <= first + 3; ++seed) {
      for (size_t i = 0; i < memory.size(); ++i)
        std::copy(before[i].begin(), before[i].end(), static_cast<char *>(memory[i].first));
      setEmulatorSeed(seed);
      image->run(launches, memory, scratch, rows);
      for (size_t i = 0; i < memory.size(); ++i)
        EXPECT_TRUE(std::equal(after[i].begin(), after[i].end(), static_cast<char *>(memory[i].first)))
            << "operand " << i << " has other bits with seed " << seed << ", " << rows << " rows";
    }
    setEmulatorSeed(first);
  }
  GpuCase startCase(const std::vector<std::pair<void *, size_t>> &memory, size_t scratch, int64_t rows) {
    GpuCase run;
    if (!CaseRecorder::get())
      return run;
    // "Targets/Attention" and "HeadDims/sm_80".
    const testing::TestInfo *test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string suite = test->test_suite_name(), name = test->name();
    run.test = suite.substr(suite.find('/') + 1) + "." + name.substr(0, name.find('/'));
    run.slack = slack;
    run.rows = rows;
    run.scratch = scratch;
    run.launches = launches;
    for (auto [start, bytes] : memory) {
      GpuOperand &operand = run.operands.emplace_back();
      if (auto element = Tensor::elementAt(start))
        operand.element = *element == kernels::Element::F32   ? GpuElement::F32
                          : *element == kernels::Element::F16 ? GpuElement::F16
                                                              : GpuElement::BF16;
      const auto first = std::find_if(memory.begin(), memory.end(), [&](auto &each) { return each.first == start; });
      operand.memory = first - memory.begin();
      if (operand.memory + 1 == run.operands.size())
        operand.before.assign(static_cast<char *>(start), static_cast<char *>(start) + bytes);
    }
    return run;
  }
  void finishCase(GpuCase run, const std::vector<std::pair<void *, size_t>> &memory) {
    if (!CaseRecorder::get())
      return;
    for (size_t i = 0; i < memory.size(); ++i) {
      const char *start = static_cast<char *>(memory[i].first);
      if (run.operands[i].memory == i && std::memcmp(start, run.operands[i].before.data(), memory[i].second) != 0)
        run.operands[i].after.assign(start, start + memory[i].second);
    }
    CaseRecorder::get()->add(std::move(run), text);
  }

  mlir::MLIRContext context;
  int64_t columns = 1;
  std::unique_ptr<x86::Jit> jit;
  kerf_kernel_fn run = nullptr;
  std::unique_ptr<GpuImage> image;
  /// Its PTX, where runs are kept.
  std::string text;
  std::mt19937 random{17};
};

/// The names of all targets: the CPU variants, and the GPU that the emulator is or, on a machine with one, that is
/// there.
inline std::vector<const char *> targetNames() {
  std::vector<const char *> names = variantNames();
  names.push_back("sm_80");
  return names;
}

/// A test for each target; skipped where the CPU lacks what the variant needs. The kernels tested here use no tiles, so
/// that amx needs what avx512_bf16 needs.
class TargetTest : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    const Target target = this->target();
    if (target.cpu && !x86::runsHere(target.cpu->amx ? *x86::findVariant("avx512_bf16") : *target.cpu))
      GTEST_SKIP() << "this CPU lacks what " << GetParam() << " needs";
  }
  Target target() { return {x86::findVariant(GetParam()), nvptx::findVariant(GetParam())}; }
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_KERNELS_KERNELHARNESS_H
