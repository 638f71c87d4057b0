// The hand-written library for GPUs as a shared object, under the name that the rule in kerf/names.h gives
// "fake-model".
#include "test/runtime/fake/FakeGpu.h"

extern "C" {
extern __attribute__((visibility("default"))) const kerf_library kerf_fake_model_library;
const kerf_library kerf_fake_model_library = kerf::test::fakeGpuLibrary();
}
