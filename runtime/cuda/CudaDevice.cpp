#include "runtime/cuda/CudaDevice.h"

#include "runtime/cuda/CudaEngine.h"
#include "runtime/cuda/Variant.h"
#include "runtime/loader/Certificate.h"
#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"
#include "runtime/support/Memory.h"

#include <algorithm>
#include <cstring>

namespace kerf::cuda {
namespace {

using rt::fail;
using rt::formatBytes;

// Dynamic shared memory that a block may have without asking ("CUDA C++ Programming Guide", compute capabilities).
constexpr uint32_t kPlainShared = 48 * 1024;
// Weights go through two pieces of page-locked memory, so that the host fills one while the other is on its way.
constexpr uint64_t kStagingBytes = 8 * 1024 * 1024;
constexpr size_t kLogBytes = 8 * 1024;

} // namespace

CudaDevice::CudaDevice(const rt::Package &package, const kerf_library &library, const kerf_model_options &options)
    : library_(library), gpu_(Driver::open(options.driver), options.device), weightOffsets_(rt::placeWeights(package)) {
  Gpu::Current scope(gpu_);
  load(package.path(), chooseVariants(library, options.variant, gpu_));
  findFunctions(package.path());
  upload(package, options);
}

bool CudaDevice::runs(uint32_t index) const { return runsOn(rt::gpuVariantsOf(library_)[index], gpu_.architecture()); }

std::optional<uint64_t> CudaDevice::availableMemory() const { return gpu_.freeMemory() + weightOffsets_.back(); }

std::unique_ptr<rt::Engine> CudaDevice::makeEngine(uint32_t) const { return std::make_unique<CudaEngine>(*this); }

const char *CudaDevice::kernelName(uint32_t kernel) const { return rt::kernelsOf(*variant_)[kernel].name; }

// A driver may refuse machine code that the numbers say it runs, as one that runs only PTX does: then the next is
// tried.
void CudaDevice::load(const std::string &path, const std::vector<uint32_t> &choice) {
  const Driver &driver = gpu_.driver();
  for (const uint32_t index : choice) {
    variant_ = &rt::gpuVariantsOf(library_)[index];
    std::vector<char> log(kLogBytes, '\0');
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log.data(), reinterpret_cast<void *>(uintptr_t(log.size() - 1))};
    CUmodule module = nullptr;
    const CUresult result = driver.cuModuleLoadDataEx(&module, variant_->image, 2, options, values);
    if (result == CUDA_SUCCESS) {
      module_ = Module(gpu_, module);
      return;
    }
    if (result == CUDA_ERROR_NO_BINARY_FOR_GPU && index != choice.back())
      continue;
    std::string about = "variant '" + std::string(variant_->name) + "' of '" + path + "'";
    if (log[0])
      about += ", says: " + std::string(log.data(), strnlen(log.data(), 300));
    driver.refuse(driver.cuModuleLoadDataEx.name, about, result);
  }
}

void CudaDevice::findFunctions(const std::string &path) {
  const Driver &driver = gpu_.driver();
  std::map<std::string, std::pair<CUfunction, uint32_t>> functions; // with the most shared memory of any launch
  for (const kerf_gpu_kernel &kernel : rt::kernelsOf(*variant_)) {
    std::vector<Launch> launches;
    for (const kerf_gpu_launch &launch : rt::launchesOf(kernel)) {
      if (launch.shared_bytes > gpu_.sharedBytes())
        fail(KERF_DEVICE_FAILED, "kernel '", kernel.name, "' of '", path, "' needs ", formatBytes(launch.shared_bytes),
             " of shared memory, but blocks of '", gpu_.name(), "' have at most ", formatBytes(gpu_.sharedBytes()),
             "; compile the model for this GPU");
      auto [at, isNew] = functions.try_emplace(launch.function);
      auto &[function, shared] = at->second;
      if (isNew)
        driver.call(driver.cuModuleGetFunction, at->first, &function, module_.get(), launch.function);
      if (launch.shared_bytes > std::max(shared, kPlainShared))
        driver.call(driver.cuFuncSetAttribute, at->first, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    int(launch.shared_bytes));
      shared = std::max(shared, launch.shared_bytes);
      launches.push_back({&launch, function});
    }
    kernels_.push_back(std::move(launches));
  }
}

void CudaDevice::upload(const rt::Package &package, const kerf_model_options &options) {
  const Driver &driver = gpu_.driver();
  const uint64_t needed = weightOffsets_.back(), total = package.weightBytes();
  if (const uint64_t free = gpu_.freeMemory(); needed > free)
    fail(KERF_OUT_OF_MEMORY, "the weights of '", package.path(), "' need ", formatBytes(needed), ", but '", gpu_.name(),
         "' has only ", formatBytes(free), " free; end what else uses it, or take a smaller model");
  weights_ = allocateDevice(gpu_, needed, "the weights");
  const Stream stream = makeStream(gpu_);
  struct Staging {
    PinnedBlock memory;
    Event sent;
    bool used;
  } staging[2];
  for (Staging &piece : staging)
    piece = {allocatePinned(gpu_, std::min(kStagingBytes, std::max<uint64_t>(needed, 1)), "the upload of weights"),
             makeEvent(gpu_, false), false};

  uint64_t done = 0;
  uint32_t turn = 0;
  for (uint32_t index = 0; index + 1 < weightOffsets_.size(); ++index) {
    const uint64_t bytes = package.manifest().weights()->Get(index)->size();
    for (uint64_t at = 0; at < bytes; at += kStagingBytes) {
      Staging &piece = staging[turn++ % 2];
      if (piece.used)
        driver.call(driver.cuEventSynchronize, "the upload of weights", piece.sent.get());
      const uint64_t count = std::min(kStagingBytes, bytes - at);
      std::memcpy(piece.memory.get(), package.weight(index) + at, count);
      driver.call(driver.cuMemcpyHtoDAsync, "the upload of weights", weight(index) + at, piece.memory.get(), count,
                  stream.get());
      driver.call(driver.cuEventRecord, "the upload of weights", piece.sent.get(), stream.get());
      piece.used = true;
      done += count;
      if (options.on_progress && options.on_progress(options.user, done, total)) {
        driver.cuStreamSynchronize(stream.get()); // the pieces are still being read
        fail(KERF_CANCELLED, "the upload of weights was cancelled");
      }
    }
    package.release(index); // so that the host never holds them all
  }
  driver.call(driver.cuStreamSynchronize, "the upload of weights", stream.get());
}

std::unique_ptr<rt::Device> makeCudaDevice(const rt::Package &package, const kerf_library &library,
                                           const kerf_model_options &options) {
  return std::make_unique<CudaDevice>(package, library, options);
}

} // namespace kerf::cuda
