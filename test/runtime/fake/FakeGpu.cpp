#include "test/runtime/fake/FakeGpu.h"

#include "runtime/generate/Sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

namespace kerf::test {
namespace {

const kerf_kernel &hostKernel(uint32_t index) { return fakeLibrary().variants[0].kernels[index]; }

// A block of a GPU kernel does what one task of the CPU's does.
template <uint32_t Kernel> void sameAsHost(void *const *operands, int64_t rows, int64_t block) {
  const kerf_kernel &kernel = hostKernel(Kernel);
  if (block < (rows + kernel.tile - 1) / kernel.tile * kernel.columns)
    kernel.run(operands, rows, block);
}

template <bool Single> void attendSome(void *const *operands, int64_t rows, int64_t block) {
  if (block < rows && (static_cast<kerf_work_item *>(operands[0])[block].row_count == 1) == Single)
    hostKernel(2).run(operands, rows, block);
}

// Ruins a row of the result, which the launch after it has to make good.
void projectFirst(void *const *operands, int64_t rows, int64_t block) {
  if (block < rows)
    std::fill_n(static_cast<float *>(operands[5]) + block * kVocabulary, kVocabulary, NAN);
}

// operands: logits, samplings, tokens
void sample(void *const *operands, int64_t rows, int64_t block) {
  if (block >= rows)
    return;
  thread_local std::array<rt::Candidate, kVocabulary> scratch;
  const float *logits = static_cast<float *>(operands[0]) + block * kVocabulary;
  const kerf_sampling &sampling = static_cast<kerf_sampling *>(operands[1])[block];
  static_cast<int32_t *>(operands[2])[block] =
      sampling.temperature < 0 ? -1 : rt::drawToken(sampling, logits, kVocabulary, scratch.data());
}

const FakeFunction kFunctions[] = {{"embed_few", 4, sameAsHost<0>},
                                   {"embed_many", 4, sameAsHost<0>},
                                   {"append", 6, sameAsHost<1>},
                                   {"attend_single", 9, attendSome<true>},
                                   {"attend_several", 9, attendSome<false>},
                                   {"project_first", 8, projectFirst},
                                   {"project", 8, sameAsHost<3>},
                                   {"last", 3, sameAsHost<4>},
                                   {"sample", 3, sample}};

constexpr uint32_t kAny = UINT32_MAX;
const kerf_gpu_launch kEmbed[] = {{"embed_few", 1, 3, KERF_GPU_ALWAYS, 3, 1, 32, 0, 0},
                                  {"embed_many", 4, kAny, KERF_GPU_ALWAYS, 3, 1, 128, 64 * 1024, 0}};
const kerf_gpu_launch kAppend[] = {{"append", 0, kAny, KERF_GPU_ALWAYS, 3, 1, 64, 1024, 0}};
const kerf_gpu_launch kAttend[] = {{"attend_single", 0, kAny, KERF_GPU_SINGLE_ROWS, 1, 1, 32, 0, 0},
                                   {"attend_several", 0, kAny, KERF_GPU_SEVERAL_ROWS, 1, 1, 256, 0, 0}};
const kerf_gpu_launch kProject[] = {{"project_first", 0, kAny, KERF_GPU_ALWAYS, 1, 1, 32, 0, 0},
                                    {"project", 0, kAny, KERF_GPU_ALWAYS, 1, 2, 32, 0, 0}};
const kerf_gpu_launch kLast[] = {{"last", 0, kAny, KERF_GPU_ALWAYS, 1, 1, 32, 0, 0}};
const kerf_gpu_launch kSample[] = {{"sample", 0, kAny, KERF_GPU_ALWAYS, 1, 1, 32, 0, 0}};

constexpr uint32_t kLaunchSize = sizeof(kerf_gpu_launch), kKernelSize = sizeof(kerf_gpu_kernel);
const kerf_gpu_kernel kKernels[] = {{"embed", 2, kLaunchSize, kEmbed},   {"append", 1, kLaunchSize, kAppend},
                                    {"attend", 2, kLaunchSize, kAttend}, {"project", 2, kLaunchSize, kProject},
                                    {"last", 1, kLaunchSize, kLast},     {"sample", 1, kLaunchSize, kSample}};
constexpr uint32_t kKernelCount = sizeof kKernels / sizeof *kKernels;
constexpr kerf_gpu_variant variant(const char *name, uint32_t architecture, kerf_gpu_image kind, uint32_t tile) {
  return {name,         architecture, uint32_t(kind), kFakeImage, sizeof kFakeImage,
          kKernelCount, kKernelSize,  tile,           0,          kKernels};
}
const kerf_gpu_variant kVariants[] = {variant("compute_80", 80, KERF_GPU_PTX, 3),
                                      variant("sm_80", 80, KERF_GPU_CUBIN, 5), variant("sm_86", 86, KERF_GPU_CUBIN, 4),
                                      variant("sm_90", 90, KERF_GPU_CUBIN, 2)};

// The program "step" ends in the drawing of tokens.
const kerf_program *gpuPrograms() {
  static const kerf_operand operands[] = {
      {KERF_OPERAND_RESULT, 0, 0, 0}, {KERF_OPERAND_STEP, KERF_STEP_SAMPLING, 0, 0}, {KERF_OPERAND_RESULT, 1, 0, 0}};
  static const std::array<kerf_program, 2> programs = [] {
    std::array<kerf_program, 2> made;
    std::copy_n(fakeLibrary().programs, made.size(), made.begin());
    static std::vector<kerf_dispatch> dispatches(made[0].dispatches, made[0].dispatches + made[0].dispatch_count);
    dispatches.push_back({5, KERF_EXTENT_LOGIT_ROWS, 3, sizeof(kerf_operand), operands, "sample", {}, {}});
    static const kerf_result results[] = {made[0].results[0],
                                          {KERF_RESULT_TOKENS, KERF_EXTENT_LOGIT_ROWS, 1, KERF_ELEMENT_I32}};
    made[0].dispatches = dispatches.data();
    made[0].dispatch_count = uint32_t(dispatches.size());
    made[0].results = results;
    made[0].result_count = 2;
    return made;
  }();
  return programs.data();
}

} // namespace

const kerf_library &fakeGpuLibrary() {
  static const kerf_library library = [] {
    kerf_library made = fakeLibrary();
    made.programs = gpuPrograms();
    made.variant_count = 0;
    made.variants = nullptr;
    made.gpu_variant_count = 4;
    made.gpu_variant_size = sizeof(kerf_gpu_variant);
    made.gpu_variants = kVariants;
    return made;
  }();
  return library;
}

const kerf_library &realGpuLibrary() {
  const char *named = std::getenv("KERF_TEST_PTX");
  static const std::string image = readFile(named ? named : KERF_FAKE_PTX);
  static const kerf_gpu_variant variants[] = {
      {"compute_80", 80, KERF_GPU_PTX, image.c_str(), image.size() + 1, kKernelCount, kKernelSize, 3, 0, kKernels},
      {"wide_80", 80, KERF_GPU_PTX, image.c_str(), image.size() + 1, kKernelCount, kKernelSize, 5, 0, kKernels}};
  static const kerf_library library = [] {
    kerf_library made = fakeGpuLibrary();
    made.gpu_variant_count = 2;
    made.gpu_variants = variants;
    return made;
  }();
  return library;
}

FakePackage fakeGpuPackage(FakePackage package, const kerf_library &library) {
  package.manifest.target = "nvptx64";
  package.manifest.variants.clear();
  for (uint32_t i = 0; i < library.gpu_variant_count; ++i)
    package.manifest.variants.push_back(library.gpu_variants[i].name);
  package.manifest.attention_tile = 5;
  package.manifest.stack_bytes = 0;
  schema::ProgramT &step = *package.manifest.programs[0];
  ++step.dispatches;
  auto tokens = std::make_unique<schema::ResultT>();
  tokens->kind = schema::ResultKind::Tokens;
  tokens->columns = 1;
  tokens->element = schema::ElementType::I32;
  step.results.push_back(std::move(tokens));
  return package;
}

const FakeFunction *findFakeFunction(std::string_view name) {
  for (const FakeFunction &function : kFunctions)
    if (function.name == name)
      return &function;
  return nullptr;
}

} // namespace kerf::test
