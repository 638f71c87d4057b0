//===- Weights.cpp - packs weights into the package -----------------------===//
#include "codegen/package/Weights.h"

#include "codegen/x86/Layout.h"
#include "dialects/kerf/KerfPrograms.h"
#include "kerf/abi.h"
#include "runtime/schema/Preamble.h"
#include "runtime/support/Sha256.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

using namespace mlir;
using namespace kerf;

namespace {

// Source bytes of one block of rows; packing needs about as much again.
constexpr uint64_t kBlockBytes = 2 << 20;

std::optional<x86::Element> elementOf(Type type) {
  if (type.isF32())
    return x86::Element::F32;
  if (type.isBF16())
    return x86::Element::BF16;
  if (type.isF16())
    return x86::Element::F16;
  return std::nullopt;
}

x86::WeightLayout layoutOf(RankedTensorType type) {
  return {type.getDimSize(0), type.getDimSize(1), *elementOf(type.getElementType())};
}

template <typename T> std::string textOf(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

float widen(uint16_t bits, x86::Element element) {
  uint32_t wide = uint32_t(bits) << 16;
  if (element == x86::Element::F16) {
    llvm::APFloat value(llvm::APFloat::IEEEhalf(), llvm::APInt(16, bits));
    bool lossy;
    value.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &lossy);
    wide = uint32_t(value.bitcastToAPInt().getZExtValue());
  }
  float result;
  std::memcpy(&result, &wide, sizeof result);
  return result;
}

// The work of one thread: its buffers are used again from weight to weight.
class Packer {
public:
  Packer(const TensorSource &tensors, OutputFile &file, std::mutex &matrices, llvm::function_ref<void(uint64_t)> report)
      : tensors(tensors), file(file), matrices(matrices), report(report) {}

  llvm::Error pack(PackedWeight &weight) {
    auto source = cast<SourceAttrInterface>(weight.op.getSource());
    // Of the matrices that transposes keep, one at a time.
    std::unique_lock<std::mutex> lock(matrices, std::defer_lock);
    if (keepsMatrix(source))
      lock.lock();
    llvm::Expected<SourceEvaluator> evaluator = SourceEvaluator::create(source, tensors);
    if (!evaluator)
      return describe(weight, evaluator.takeError());
    rt::Sha256 hash;
    const RankedTensorType type = weight.op.getTensorType();
    if (llvm::Error error = type.getRank() != 2       ? packVector(weight, type, *evaluator, hash)
                            : weight.layout == "rows" ? packRows(weight, *evaluator, hash)
                                                      : packMatrix(weight, type, *evaluator, hash))
      return describe(weight, std::move(error));
    weight.sha256 = hash.finish();
    return llvm::Error::success();
  }

private:
  static llvm::Error describe(PackedWeight &weight, llvm::Error error) {
    return importError("weight '" + weight.op.getSymName() + "': " + llvm::toString(std::move(error)));
  }

  // Row by row, as it comes.
  llvm::Error packRows(PackedWeight &weight, SourceEvaluator &evaluator, rt::Sha256 &hash) {
    const int64_t step = std::max<int64_t>(1, int64_t(kBlockBytes / std::max<uint64_t>(1, evaluator.rowBytes())));
    for (int64_t row = 0; row < evaluator.rows(); row += step) {
      const int64_t count = std::min(step, evaluator.rows() - row);
      packed.resize(count * evaluator.rowBytes());
      if (llvm::Error error = evaluator.evaluate(row, row + count, packed))
        return error;
      if (llvm::Error error = emit(weight.offset + row * evaluator.rowBytes(), hash))
        return error;
    }
    return llvm::Error::success();
  }

  llvm::Error packMatrix(PackedWeight &weight, RankedTensorType type, SourceEvaluator &evaluator, rt::Sha256 &hash) {
    const x86::WeightLayout layout = layoutOf(type);
    const int64_t step =
        std::max<int64_t>(1, int64_t(kBlockBytes / std::max<uint64_t>(1, evaluator.rowBytes())) / layout.block) *
        layout.block;
    for (int64_t row = 0; row < layout.n; row += step) {
      const int64_t count = std::min(step, layout.n - row);
      rows.resize(count * evaluator.rowBytes());
      packed.resize((count + layout.block - 1) / layout.block * layout.blockBytes());
      if (llvm::Error error = evaluator.evaluate(row, row + count, rows))
        return error;
      layout.packRows(rows.data(), row, count, packed.data());
      if (llvm::Error error = emit(weight.offset + row / layout.block * layout.blockBytes(), hash))
        return error;
    }
    return llvm::Error::success();
  }

  llvm::Error packVector(PackedWeight &weight, RankedTensorType type, SourceEvaluator &evaluator, rt::Sha256 &hash) {
    const x86::Element element = *elementOf(type.getElementType());
    const int64_t step = kBlockBytes / sizeof(float);
    for (int64_t row = 0; row < evaluator.rows(); row += step) {
      const int64_t count = std::min(step, evaluator.rows() - row);
      rows.resize(count * x86::bytesOf(element));
      packed.resize(count * sizeof(float));
      if (llvm::Error error = evaluator.evaluate(row, row + count, rows))
        return error;
      if (element == x86::Element::F32) {
        std::memcpy(packed.data(), rows.data(), packed.size());
      } else {
        for (int64_t i = 0; i < count; ++i) {
          uint16_t bits;
          std::memcpy(&bits, rows.data() + i * sizeof bits, sizeof bits);
          const float value = widen(bits, element);
          std::memcpy(packed.data() + i * sizeof value, &value, sizeof value);
        }
      }
      if (llvm::Error error = emit(weight.offset + row * sizeof(float), hash))
        return error;
    }
    return llvm::Error::success();
  }

  llvm::Error emit(uint64_t offset, rt::Sha256 &hash) {
    hash.update(packed.data(), packed.size());
    if (llvm::Error error = file.write(offset, packed))
      return error;
    report(packed.size());
    return llvm::Error::success();
  }

  const TensorSource &tensors;
  OutputFile &file;
  std::mutex &matrices;
  llvm::function_ref<void(uint64_t)> report;
  std::vector<char> rows, packed;
};

} // namespace

uint64_t kerf::packedBytes(WeightOp weight) {
  const RankedTensorType type = weight.getTensorType();
  if (type.getRank() != 2)
    return uint64_t(type.getNumElements()) * sizeof(float);
  const x86::WeightLayout layout = layoutOf(type);
  if (isForGpu(weight->getParentOfType<ModuleOp>()))
    return uint64_t(type.getNumElements()) * bytesOf(layout.element);
  return uint64_t(layout.bytes());
}

llvm::Expected<std::vector<PackedWeight>> kerf::planWeights(ModuleOp module) {
  std::vector<PackedWeight> weights;
  const bool forGpu = isForGpu(module);
  for (WeightOp weight : module.getOps<WeightOp>()) {
    const RankedTensorType type = weight.getTensorType();
    if (weight.getFormat().getDenseElementType() != type.getElementType() || !elementOf(type.getElementType()) ||
        !type.hasStaticShape() || type.getRank() > 2)
      return importError("weight '" + weight.getSymName() +
                         "' must be a dense matrix, vector or scalar of f32, bf16 or f16, got " + textOf(type) +
                         " format " + textOf(Attribute(weight.getFormat())));
    PackedWeight &packed = weights.emplace_back();
    packed.op = weight;
    packed.layout = type.getRank() != 2 ? "f32" : forGpu ? "rows" : layoutOf(type).name();
    packed.bytes = packedBytes(weight);
  }
  return weights;
}

uint64_t kerf::placeWeights(MutableArrayRef<PackedWeight> weights, uint64_t begin) {
  if (weights.empty())
    return begin;
  uint64_t at = schema::alignUp(begin, schema::kSegmentAlignment), end = at;
  for (PackedWeight &weight : weights) {
    weight.offset = at;
    end = at + weight.bytes;
    at = schema::alignUp(end, KERF_ALIGNMENT);
  }
  return end;
}

llvm::Error kerf::packWeights(MutableArrayRef<PackedWeight> weights, const TensorSource &tensors, OutputFile &file,
                              unsigned threads, const PackProgress &progress) {
  uint64_t total = 0, done = 0;
  for (const PackedWeight &weight : weights)
    total += weight.bytes;
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex matrices, reports;
  // Of several failures the one of the first weight is told.
  std::vector<std::optional<std::string>> failures(weights.size());
  auto report = [&](uint64_t bytes) {
    if (!progress)
      return;
    std::lock_guard<std::mutex> lock(reports);
    progress(done += bytes, total);
  };
  auto work = [&] {
    Packer packer(tensors, file, matrices, report);
    for (size_t i; !failed && (i = next++) < weights.size();)
      if (llvm::Error error = packer.pack(weights[i])) {
        failures[i] = llvm::toString(std::move(error));
        failed = true;
      }
  };
  std::vector<std::thread> workers;
  for (size_t i = 1; i < std::min<size_t>(std::max(1u, threads), weights.size()); ++i)
    workers.emplace_back(work);
  work();
  for (std::thread &worker : workers)
    worker.join();
  for (const std::optional<std::string> &failure : failures)
    if (failure)
      return importError(*failure);
  return llvm::Error::success();
}
