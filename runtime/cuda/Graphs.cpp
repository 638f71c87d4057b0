#include "runtime/cuda/Graphs.h"

#include <algorithm>
#include <set>

namespace kerf::cuda {
namespace {

// Powers of two give one for each doubling; a library with more bounds than this is slow and not refused.
constexpr size_t kMostBuckets = 64;

Graph capture(const Gpu &gpu, CUstream stream, const std::function<void(int64_t)> &launch, int64_t rows) {
  const Driver &driver = gpu.driver();
  driver.call(driver.cuStreamBeginCapture, "", stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  CUgraph graph = nullptr;
  try {
    launch(rows);
  } catch (...) { // the stream goes on as it was
    if (driver.cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS && graph)
      driver.cuGraphDestroy(graph);
    throw;
  }
  driver.call(driver.cuStreamEndCapture, "", stream, &graph);
  return {gpu, graph};
}

} // namespace

std::vector<Bucket> bucketsFor(int64_t ceiling, const std::vector<const kerf_gpu_launch *> &tables) {
  std::set<int64_t> first = {1};
  for (int64_t most = 1; most < ceiling; most *= 2)
    first.insert(most + 1);
  for (const kerf_gpu_launch *launch : tables) {
    first.insert(launch->least_rows);
    first.insert(int64_t(launch->most_rows) + 1);
  }
  first.erase(first.begin(), first.find(1));
  first.erase(first.upper_bound(ceiling), first.end());
  std::vector<Bucket> buckets;
  for (auto at = first.begin(); at != first.end() && buckets.size() < kMostBuckets; ++at)
    buckets.push_back({*at, std::next(at) == first.end() ? ceiling : *std::next(at) - 1});
  return buckets;
}

Graphs::Graphs(const Gpu &gpu, CUstream stream, const std::vector<Bucket> &buckets,
               const std::function<void(int64_t rows)> &launch)
    : buckets_(buckets) {
  const Driver &driver = gpu.driver();
  for (const Bucket &bucket : buckets_) {
    const Graph graph = capture(gpu, stream, launch, bucket.most);
    CUgraphExec exec = nullptr;
    driver.call(driver.cuGraphInstantiate, "", &exec, graph.get(), nullptr, nullptr, size_t(0));
    graphs_.emplace_back(gpu, exec);
  }
}

CUgraphExec Graphs::find(int64_t rows) const {
  const auto after =
      std::upper_bound(buckets_.begin(), buckets_.end(), rows, [](int64_t r, const Bucket &b) { return r < b.least; });
  if (after == buckets_.begin() || rows > std::prev(after)->most)
    return nullptr;
  return graphs_[size_t(std::prev(after) - buckets_.begin())].get();
}

} // namespace kerf::cuda
