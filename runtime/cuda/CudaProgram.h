/// Runs the dispatches of a program on a GPU.
#ifndef KERF_RUNTIME_CUDA_CUDAPROGRAM_H
#define KERF_RUNTIME_CUDA_CUDAPROGRAM_H

#include "runtime/cuda/CudaDevice.h"
#include "runtime/cuda/Graphs.h"

namespace kerf::cuda {

/// A program whose kernels are launched into one stream: one by one, or, where every sequence of a step has one row and
/// every row wants logits, as a graph.
class CudaProgram final : public rt::Executable {
public:
  /// Resolves every operand once and captures the graphs. Needs the context to be current; `device` and `stream` must
  /// outlive this.
  CudaProgram(const CudaDevice &device, CUstream stream, const rt::Preparation &preparation);

  bool run(const rt::StepSizes &sizes, const std::atomic<bool> &cancel) override;
  void setProfiling(bool enable) override;

private:
  struct Call {
    std::span<const Launch> launches;
    void **parameters; ///< of every launch: pointers to addresses_
    const kerf_dispatch *dispatch;
    uint32_t workList;
  };
  uint64_t launch(const Call &call, int64_t rows, bool singleRows, bool severalRows) const;
  void captureGraphs(const rt::Extents &largest);
  bool isUniform(const rt::Extents &extents) const;
  bool runTimed(const rt::StepSizes &sizes, const std::atomic<bool> &cancel);

  const Gpu &gpu_;
  const Driver &driver_;
  CUstream stream_;
  std::vector<uint64_t> addresses_;
  std::vector<void *> parameters_;
  std::vector<Call> calls_;
  bool givesLogits_ = false;
  std::optional<Graphs> graphs_;
  std::vector<Event> events_;    ///< for profiling: before each dispatch, and after the last
  std::vector<uint64_t> blocks_; ///< likewise: what each dispatch launched
};

} // namespace kerf::cuda

#endif
