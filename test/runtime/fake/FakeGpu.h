/// The hand-written library once more, for GPUs, and the functions of its images.
///
/// Variants: "compute_80" (PTX, attention tile 3), "sm_80" (tile 5), "sm_86" (tile 4), "sm_90" (tile 2). The embedding
/// has other functions for up to 3 rows and for more; attention one for work items of one row and one for the others;
/// the projection two, one after the other.
#ifndef KERF_TEST_RUNTIME_FAKE_FAKEGPU_H
#define KERF_TEST_RUNTIME_FAKE_FAKEGPU_H

#include "test/runtime/fake/FakePackage.h"

#include <string_view>

namespace kerf::test {

/// What images hold: this, then a NUL.
inline constexpr char kFakeImage[] = "// for the fake driver";

/// The programs of fakeLibrary() with variants for GPUs; "step" draws tokens.
const kerf_library &fakeGpuLibrary();

/// The same with the kernels of fake_kernels.cu, for a driver that runs PTX: the file that KERF_TEST_PTX names, or that
/// of the build. Variants: "compute_80" (attention tile 3),
/// "wide_80" (tile 5).
const kerf_library &realGpuLibrary();

/// The package made one for such a library.
FakePackage fakeGpuPackage(FakePackage package = FakePackage(), const kerf_library &library = fakeGpuLibrary());

/// A function of the images.
struct FakeFunction {
  const char *name;
  uint32_t operands;
  /// Runs one block; those past the rows do nothing.
  void (*block)(void *const *operands, int64_t rows, int64_t block);
};

/// The function of that name, or NULL.
const FakeFunction *findFakeFunction(std::string_view name);

} // namespace kerf::test

#endif
