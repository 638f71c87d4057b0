/// Steps of one row for each sequence as CUDA graphs: one call of the driver in place of one for each launch.
#ifndef KERF_RUNTIME_CUDA_GRAPHS_H
#define KERF_RUNTIME_CUDA_GRAPHS_H

#include "runtime/cuda/CudaDevice.h"

#include <functional>
#include <vector>

namespace kerf::cuda {

/// The numbers of rows from `least` to `most` take the same launches, with the blocks for `most`.
struct Bucket {
  int64_t least, most;
};

/// Buckets for 1 to `ceiling` rows: 1, 2, 3 and 4, 5 to 8 and so on, each cut where a launch of `tables` begins or
/// ends. Of those past the 64th there are none.
std::vector<Bucket> bucketsFor(int64_t ceiling, const std::vector<const kerf_gpu_launch *> &tables);

/// A graph for each bucket.
class Graphs {
public:
  /// Captures what `launch(rows)` launches into `stream` for the largest rows of each bucket. Needs the context to be
  /// current; throws KERF_OUT_OF_MEMORY or KERF_DEVICE_FAILED.
  Graphs(const Gpu &gpu, CUstream stream, const std::vector<Bucket> &buckets,
         const std::function<void(int64_t rows)> &launch);
  /// The graph for so many rows, or NULL. Allocates nothing.
  CUgraphExec find(int64_t rows) const;

private:
  std::vector<Bucket> buckets_;
  std::vector<GraphExec> graphs_;
};

} // namespace kerf::cuda

#endif
