// Tables of a library for GPUs: what is refused.
#include "test/runtime/fake/FakeGpu.h"
#include "test/runtime/fake/Fixture.h"

#include <functional>

using namespace kerf::test;

namespace {

// The library with tables that may be changed.
struct OwnLibrary {
  OwnLibrary() {
    library.gpu_variants = variants.data();
    for (kerf_gpu_variant &variant : variants)
      variant.kernels = kernels.data();
    kernels[0].launches = launches.data();
  }
  kerf_library library = fakeGpuLibrary();
  std::vector<kerf_gpu_variant> variants{library.gpu_variants, library.gpu_variants + library.gpu_variant_count};
  std::vector<kerf_gpu_kernel> kernels{variants[0].kernels, variants[0].kernels + variants[0].kernel_count};
  std::vector<kerf_gpu_launch> launches{kernels[0].launches, kernels[0].launches + kernels[0].launch_count};
};

class GpuLibraryTest : public testing::Test {
protected:
  TempFolder folder;
  kerf_error error = {};

  kerf_code open(const FakePackage &package, const kerf_library &library) {
    package.write(folder.file("fake.kerf"));
    kerf_model *model = nullptr;
    const kerf_code code = kerf_model_open(folder.file("fake.kerf").c_str(), &library, nullptr, &model, &error);
    kerf_model_close(model);
    return code;
  }
  void refused(const std::function<void(OwnLibrary &)> &change, const std::string &message) {
    OwnLibrary own;
    change(own);
    EXPECT_EQ(open(fakeGpuPackage(), own.library), KERF_BAD_ARTIFACT);
    EXPECT_NE(std::string(error.message).find(message), std::string::npos) << error.message;
  }
};

TEST_F(GpuLibraryTest, Variants) {
  refused([](OwnLibrary &l) { l.library.gpu_variant_count = 0; }, "there must be a variant, got none");
  refused([](OwnLibrary &l) { l.library.variants = fakeLibrary().variants, l.library.variant_count = 1; },
          "variants must be for CPUs or for GPUs, got 1 and 4");
  refused([](OwnLibrary &l) { l.library.gpu_variant_count = 3; }, "variant count must be the package's 4, got 3");
  refused([](OwnLibrary &l) { l.library.gpu_variants = nullptr; }, "table of GPU variants must be there");
  refused([](OwnLibrary &l) { l.library.gpu_variant_size = 8; }, "table of GPU variants must be there");
  refused([](OwnLibrary &l) { l.variants[1].name = "sm_70"; }, "variant 1 must be 'sm_80', got 'sm_70'");
  refused([](OwnLibrary &l) { l.variants[1].name = nullptr; }, "variant 1 must be 'sm_80', got ''");
  refused([](OwnLibrary &l) { l.variants[1].attention_tile = 0; }, "attention tile of variant 'sm_80' must be above 0");
  refused([](OwnLibrary &l) { l.variants[2].kernel_count = 4; }, "kernel count of variant 'sm_86' must be");
  refused([](OwnLibrary &l) { l.variants[2].kernels = nullptr; }, "table of kernels of variant 'sm_86' must be there");
  refused([](OwnLibrary &l) { l.variants[0].image = nullptr; }, "GPU variant 'compute_80' must have an image");
  refused([](OwnLibrary &l) { l.variants[0].image_bytes = 0; }, "GPU variant 'compute_80' must have an image");
  refused([](OwnLibrary &l) { l.variants[0].image_kind = 2; }, "of kind 2 for 80");
  refused([](OwnLibrary &l) { l.variants[0].architecture = 0; }, "and an architecture, got");
  refused([](OwnLibrary &l) { --l.variants[0].image_bytes; }, "PTX of GPU variant 'compute_80' must end in a zero");
}

TEST_F(GpuLibraryTest, Kernels) {
  refused([](OwnLibrary &l) { l.kernels[3].name = nullptr; }, "kernel 3 of variant 'compute_80' must have a name");
  refused([](OwnLibrary &l) { l.kernels[3].launch_count = 0; }, "must have a name and launches");
  refused([](OwnLibrary &l) { l.kernels[3].launches = nullptr; }, "table of launches of kernel 3 of variant");
  refused([](OwnLibrary &l) { l.launches[1].function = nullptr; }, "launches of kernel 0 of variant 'compute_80' must");
  refused([](OwnLibrary &l) { l.launches[1].tile = 0; }, "must have a function, tile and columns above 0");
  refused([](OwnLibrary &l) { l.launches[1].columns = 0; }, "must have a function, tile and columns above 0");
  refused([](OwnLibrary &l) { l.launches[1].most_rows = 3; }, "rows 4 to 3");
  refused([](OwnLibrary &l) { l.launches[1].when = 3; }, "condition 3");
  refused([](OwnLibrary &l) { l.launches[1].reserved = 1; }, "reserved 1");
  for (uint32_t threads : {0u, 31u, 1056u})
    refused([&](OwnLibrary &l) { l.launches[1].threads = threads; },
            "must have a multiple of 32 threads, at most 1024, got " + std::to_string(threads));
  refused([](OwnLibrary &l) { l.launches[1].shared_bytes = 227 * 1024 + 1; },
          "must have at most 232448 bytes of shared memory, got 232449");
}

// The package says what the library is for.
TEST_F(GpuLibraryTest, Target) {
  FakePackage package = fakeGpuPackage();
  package.manifest.target = "x86-64";
  EXPECT_EQ(open(package, fakeGpuLibrary()), KERF_BAD_ARTIFACT);
  EXPECT_NE(std::string(error.message).find("the package's target 'x86-64', got those for GPUs"), std::string::npos)
      << error.message;
  package = FakePackage();
  package.manifest.target = "nvptx64";
  EXPECT_EQ(open(package, fakeLibrary()), KERF_BAD_ARTIFACT);
  EXPECT_NE(std::string(error.message).find("the package's target 'nvptx64', got those for CPUs"), std::string::npos)
      << error.message;
}

// A library made before there were GPUs ends before their fields, whatever lies there.
TEST_F(GpuLibraryTest, OlderLibraries) {
  kerf_library older = fakeLibrary();
  older.struct_size = offsetof(kerf_library, gpu_variant_count);
  older.gpu_variant_count = 7;
  older.gpu_variants = reinterpret_cast<const kerf_gpu_variant *>(uintptr_t(1));
  EXPECT_EQ(open(FakePackage(), older), KERF_OK) << error.message;
}

} // namespace
