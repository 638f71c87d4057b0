#include "runtime/cuda/CudaProgram.h"

#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace kerf::cuda {
namespace {

uint64_t blocksOf(const kerf_gpu_launch &launch, int64_t rows) {
  return (uint64_t(rows) + launch.tile - 1) / launch.tile * launch.columns;
}

bool takesPlace(const kerf_gpu_launch &launch, int64_t rows, bool singleRows, bool severalRows) {
  return rows > 0 && rows >= launch.least_rows && rows <= launch.most_rows &&
         (launch.when == KERF_GPU_ALWAYS || (launch.when == KERF_GPU_SINGLE_ROWS ? singleRows : severalRows));
}

} // namespace

CudaProgram::CudaProgram(const CudaDevice &device, CUstream stream, const rt::Preparation &preparation)
    : Executable(rt::Profile(preparation.program, [&](uint32_t kernel) { return device.kernelName(kernel); })),
      gpu_(device.gpu()), driver_(gpu_.driver()), stream_(stream) {
  size_t parameters = 0;
  for (const kerf_dispatch &dispatch : rt::dispatchesOf(preparation.program))
    parameters += size_t(dispatch.operand_count) + 1;
  addresses_.reserve(parameters);
  parameters_.reserve(parameters);
  calls_.reserve(preparation.program.dispatch_count);
  for (const kerf_dispatch &dispatch : rt::dispatchesOf(preparation.program)) {
    for (const Launch &launch : device.launches(dispatch.kernel))
      if (const uint64_t blocks = blocksOf(*launch.table, preparation.largest[dispatch.extent]); blocks > INT32_MAX)
        rt::fail(KERF_BAD_ARGUMENT, "kernel '", device.kernelName(dispatch.kernel), "' must have at most ", INT32_MAX,
                 " blocks, got ", blocks, "; lower the plan's ceilings");
    void **first = parameters_.data() + parameters_.size();
    const auto add = [&](uint64_t address) {
      addresses_.push_back(address);
      parameters_.push_back(&addresses_.back());
    };
    for (const kerf_operand &operand : rt::operandsOf(dispatch))
      add(preparation.resolve(operand));
    add(preparation.extents + dispatch.extent * sizeof(int32_t));
    calls_.push_back({device.launches(dispatch.kernel), first, &dispatch, rt::workListOf(dispatch)});
  }
  for (const kerf_result &result : rt::resultsOf(preparation.program))
    givesLogits_ |= result.kind == KERF_RESULT_LOGITS;
  bool seesAhead = false;
  for (const kerf_work_list &list : rt::workListsOf(preparation.program))
    seesAhead |= list.ahead != 0;
  // A text of one token is too rare to be worth a graph.
  if (!seesAhead)
    captureGraphs(preparation.largest);
}

// Whether every count of the step is the same, so that one number says which graph is right.
bool CudaProgram::isUniform(const rt::Extents &extents) const {
  const int64_t rows = extents[KERF_EXTENT_TOKENS];
  return extents[KERF_EXTENT_SEQUENCES] == rows && extents[KERF_EXTENT_WORK_ITEMS] == rows &&
         extents[KERF_EXTENT_LOGIT_ROWS] == (givesLogits_ ? rows : 0);
}

void CudaProgram::captureGraphs(const rt::Extents &largest) {
  std::vector<const kerf_gpu_launch *> tables;
  for (const Call &call : calls_)
    for (const Launch &launch : call.launches)
      if (call.dispatch->extent != KERF_EXTENT_ONE)
        tables.push_back(launch.table);
  int64_t ceiling = largest[KERF_EXTENT_SEQUENCES];
  if (givesLogits_)
    ceiling = std::min(ceiling, largest[KERF_EXTENT_LOGIT_ROWS]);
  graphs_.emplace(gpu_, stream_, bucketsFor(ceiling, tables), [&](int64_t rows) {
    for (const Call &call : calls_)
      if (call.dispatch->extent != KERF_EXTENT_LOGIT_ROWS || givesLogits_)
        launch(call, call.dispatch->extent == KERF_EXTENT_ONE ? 1 : rows, true, false);
  });
}

// Returns the number of blocks.
uint64_t CudaProgram::launch(const Call &call, int64_t rows, bool singleRows, bool severalRows) const {
  uint64_t blocks = 0;
  for (const auto &[table, function] : call.launches) {
    if (!takesPlace(*table, rows, singleRows, severalRows))
      continue;
    const uint64_t grid = blocksOf(*table, rows);
    if (const CUresult result = driver_.cuLaunchKernel(function, unsigned(grid), 1, 1, table->threads, 1, 1,
                                                       table->shared_bytes, stream_, call.parameters, nullptr);
        result != CUDA_SUCCESS)
      driver_.refuse(driver_.cuLaunchKernel.name,
                     std::string(table->function) + " for " + (call.dispatch->origin ? call.dispatch->origin : "?"),
                     result);
    blocks += grid;
  }
  return blocks;
}

bool CudaProgram::run(const rt::StepSizes &sizes, const std::atomic<bool> &cancel) {
  Gpu::Current scope(gpu_);
  if (profile_.enabled())
    return runTimed(sizes, cancel);
  if (cancel.load(std::memory_order_relaxed))
    return false;
  const rt::Extents &extents = sizes.byWorkList.front();
  if (const CUgraphExec graph = graphs_ && isUniform(extents) ? graphs_->find(extents[KERF_EXTENT_TOKENS]) : nullptr) {
    driver_.call(driver_.cuGraphLaunch, "", graph, stream_);
    return true;
  }
  for (const Call &call : calls_) {
    if (cancel.load(std::memory_order_relaxed))
      return false;
    launch(call, sizes.byWorkList[call.workList][call.dispatch->extent], sizes.singleRows, sizes.severalRows);
  }
  return true;
}

bool CudaProgram::runTimed(const rt::StepSizes &sizes, const std::atomic<bool> &cancel) {
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (cancel.load(std::memory_order_relaxed))
      return false;
    driver_.call(driver_.cuEventRecord, "", events_[i].get(), stream_);
    const Call &call = calls_[i];
    blocks_[i] =
        launch(call, sizes.byWorkList[call.workList][call.dispatch->extent], sizes.singleRows, sizes.severalRows);
  }
  driver_.call(driver_.cuEventRecord, "", events_.back().get(), stream_);
  driver_.call(driver_.cuStreamSynchronize, "", stream_);
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (!blocks_[i])
      continue;
    float milliseconds = 0;
    driver_.call(driver_.cuEventElapsedTime, "", &milliseconds, events_[i].get(), events_[i + 1].get());
    profile_.add(uint32_t(i), uint64_t(std::max(0.0, double(milliseconds) * 1e6)), blocks_[i],
                 sizes.byWorkList[calls_[i].workList]);
  }
  return true;
}

void CudaProgram::setProfiling(bool enable) {
  Executable::setProfiling(false);
  Gpu::Current scope(gpu_);
  while (enable && events_.size() <= calls_.size())
    events_.push_back(makeEvent(gpu_, true));
  blocks_.resize(calls_.size());
  Executable::setProfiling(enable);
}

} // namespace kerf::cuda
