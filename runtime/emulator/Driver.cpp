// The driver's functions: initialization, devices, contexts, modules and functions.
#include "runtime/emulator/Driver.h"

#include "runtime/emulator/Decode.h"

#include <algorithm>
#include <cstring>

namespace kerf::cuda {

using namespace emulator;

CUresult cuInit(unsigned flags) {
  return call("cuInit", Needs::Nothing, [&](Device &d) {
    if (flags)
      return CUDA_ERROR_INVALID_VALUE;
    if (!d.limits.devices)
      return CUDA_ERROR_NO_DEVICE;
    d.isReady = true;
    return CUDA_SUCCESS;
  });
}

CUresult cuDriverGetVersion(int *version) {
  return call("cuDriverGetVersion", Needs::Nothing, [&](Device &d) {
    if (!version)
      return CUDA_ERROR_INVALID_VALUE;
    *version = d.limits.driver;
    return CUDA_SUCCESS;
  });
}

CUresult cuGetErrorName(CUresult error, const char **text) {
  *text = errorName(error);
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
  *text = errorText(error);
  return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count) {
  return call("cuDeviceGetCount", Needs::Init, [&](Device &d) {
    *count = d.limits.devices;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGet(CUdevice *result, int ordinal) {
  return call("cuDeviceGet", Needs::Init, [&](Device &d) {
    if (ordinal < 0 || ordinal >= d.limits.devices)
      return CUDA_ERROR_INVALID_DEVICE;
    *result = ordinal;
    return CUDA_SUCCESS;
  });
}

static bool isDevice(const Device &d, CUdevice device) { return device >= 0 && device < d.limits.devices; }

CUresult cuDeviceGetName(char *name, int length, CUdevice ordinal) {
  return call("cuDeviceGetName", Needs::Init, [&](Device &d) {
    if (!isDevice(d, ordinal))
      return CUDA_ERROR_INVALID_DEVICE;
    if (length <= 0)
      return CUDA_ERROR_INVALID_VALUE;
    std::string text = "Kerf emulator (sm_" + std::to_string(d.limits.major * 10 + d.limits.minor) + ")";
    std::strncpy(name, text.c_str(), static_cast<size_t>(length) - 1);
    name[length - 1] = '\0';
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice ordinal) {
  return call("cuDeviceGetAttribute", Needs::Init, [&](Device &d) {
    if (!isDevice(d, ordinal))
      return CUDA_ERROR_INVALID_DEVICE;
    switch (static_cast<int>(attribute)) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = 1024;
      break;
    case 8: // shared memory of a block without asking for more
      *value = 48 << 10;
      break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *value = kLanes;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = d.limits.multiprocessors;
      break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      *value = 40 << 20;
      break;
    case 39: // threads of a multiprocessor
      *value = d.limits.threadsOfMultiprocessor;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = d.limits.major;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = d.limits.minor;
      break;
    case 81: // shared memory of a multiprocessor
      *value = d.limits.sharedOfMultiprocessor;
      break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *value = d.limits.sharedOfBlock;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice ordinal) {
  return call("cuDeviceTotalMem_v2", Needs::Init, [&](Device &d) {
    if (!isDevice(d, ordinal))
      return CUDA_ERROR_INVALID_DEVICE;
    *bytes = d.limits.memory;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice ordinal) {
  return call("cuDevicePrimaryCtxRetain", Needs::Init, [&](Device &d) {
    if (!isDevice(d, ordinal))
      return CUDA_ERROR_INVALID_DEVICE;
    if (!d.memory) {
      d.memory.emplace(d.limits.memory);
      d.shadow.emplace(*d.memory);
    }
    ++d.retained;
    *context = &d.context;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice ordinal) {
  return call("cuDevicePrimaryCtxRelease_v2", Needs::Init, [&](Device &d) {
    if (!isDevice(d, ordinal))
      return CUDA_ERROR_INVALID_DEVICE;
    if (!d.retained)
      return CUDA_ERROR_INVALID_CONTEXT;
    if (--d.retained)
      return CUDA_SUCCESS;
    // All that the context held goes with it, its fault too.
    d.finish();
    d.fault = CUDA_SUCCESS;
    d.executables.clear();
    d.graphs.clear();
    d.events.clear();
    d.streams.clear();
    d.modules.clear();
    d.shadow.reset();
    d.memory.reset();
    d.defaultStream = {};
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent(CUcontext context) {
  return call("cuCtxPushCurrent_v2", Needs::Init, [&](Device &d) {
    if (context != &d.context || !d.retained)
      return CUDA_ERROR_INVALID_CONTEXT;
    contextStack().push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent(CUcontext *context) {
  return call("cuCtxPopCurrent_v2", Needs::Init, [&](Device &) {
    if (contextStack().empty())
      return CUDA_ERROR_INVALID_CONTEXT;
    if (context)
      *context = contextStack().back();
    contextStack().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values) {
  return call("cuModuleLoadDataEx", Needs::Context, [&](Device &d) {
    char *log = nullptr;
    size_t logBytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
        log = static_cast<char *>(values[i]);
      else if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
        logBytes = reinterpret_cast<size_t>(values[i]);
      else if (options[i] == CU_JIT_INFO_LOG_BUFFER && values[i])
        *static_cast<char *>(values[i]) = '\0';
    }
    auto refuse = [&](CUresult error, const std::string &text) {
      if (log && logBytes) {
        std::strncpy(log, text.c_str(), logBytes - 1);
        log[logBytes - 1] = '\0';
      }
      return error;
    };
    if (log && logBytes)
      *log = '\0';
    if (!module || !image)
      return refuse(CUDA_ERROR_INVALID_VALUE, "no image");
    const char *bytes = static_cast<const char *>(image);
    if (std::memcmp(bytes,
                    "\x7f"
                    "ELF",
                    4) == 0 ||
        std::memcmp(bytes, "\x50\xed\x55\xba", 4) == 0)
      return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, "the emulator runs PTX text, got machine code");
    auto loaded = std::make_unique<CUmod_st>();
    loaded->text = bytes;
    int capability = d.limits.major * 10 + d.limits.minor;
    try {
      loaded->ptx = parsePtx(loaded->text);
      if (loaded->ptx.major > 9)
        return refuse(CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                      "PTX version must be 9 or less, got " + std::to_string(loaded->ptx.major));
      if (loaded->ptx.target > static_cast<unsigned>(capability))
        return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, "the PTX text is for sm_" + std::to_string(loaded->ptx.target) +
                                                        ", the device is sm_" + std::to_string(capability));
      Addresses addresses;
      for (const PtxVariable &v : loaded->ptx.variables) {
        if (v.space != PtxVariable::Global && v.space != PtxVariable::Constant)
          continue;
        uint64_t at = d.memory->allocate(std::max<uint64_t>(v.bytes, 1));
        if (!at)
          return CUDA_ERROR_OUT_OF_MEMORY;
        loaded->variables.push_back(at);
        addresses[v.name] = at;
      }
      for (const PtxVariable &v : loaded->ptx.variables) {
        auto found = addresses.find(v.name);
        if (found == addresses.end())
          continue;
        // Variables without a value are zero.
        auto *to = reinterpret_cast<uint8_t *>(found->second);
        std::memset(to, 0, v.bytes);
        std::copy(v.initial.begin(), v.initial.end(), to);
        for (auto &[offset, name] : v.references) {
          auto target = addresses.find(name);
          if (target == addresses.end())
            return refuse(CUDA_ERROR_INVALID_PTX, "'" + std::string(name) + "' is not declared");
          uint64_t address;
          std::memcpy(&address, to + offset, 8);
          address += target->second;
          std::memcpy(to + offset, &address, 8);
        }
        d.memory->write(found->second, v.bytes);
      }
      for (const PtxKernel &kernel : loaded->ptx.kernels) {
        auto function = std::make_unique<CUfunc_st>();
        function->kernel = decode(loaded->ptx, kernel, addresses);
        if (function->kernel.staticShared > 48 << 10)
          return refuse(CUDA_ERROR_INVALID_PTX, "kernel '" + function->kernel.name + "' has " +
                                                    std::to_string(function->kernel.staticShared) +
                                                    " bytes of static shared memory; 49152 are allowed");
        function->maximumDynamicShared = static_cast<unsigned>((48 << 10) - function->kernel.staticShared);
        loaded->functions[function->kernel.name] = std::move(function);
      }
    } catch (const PtxError &e) {
      return refuse(CUDA_ERROR_INVALID_PTX, e.what());
    }
    *module = loaded.get();
    d.modules.insert(std::move(loaded));
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return call("cuModuleUnload", Needs::Context, [&](Device &d) {
    for (auto it = d.modules.begin(); it != d.modules.end(); ++it)
      if (it->get() == module) {
        CUresult result = d.finish();
        for (uint64_t variable : module->variables)
          d.memory->release(variable);
        d.modules.erase(it);
        return result;
      }
    return CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  return call("cuModuleGetFunction", Needs::Context, [&](Device &) {
    if (!module || !name || !function)
      return CUDA_ERROR_INVALID_VALUE;
    auto found = module->functions.find(name);
    if (found == module->functions.end())
      return CUDA_ERROR_NOT_FOUND;
    *function = found->second.get();
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
  return call("cuFuncGetAttribute", Needs::Context, [&](Device &) {
    if (!function || !value)
      return CUDA_ERROR_INVALID_VALUE;
    const Kernel &kernel = function->kernel;
    switch (static_cast<int>(attribute)) {
    case 0: // threads of a block
      *value = static_cast<int>(kernel.maximumThreads ? kernel.maximumThreads : 1024);
      break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = static_cast<int>(kernel.staticShared);
      break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *value = static_cast<int>(kernel.localBytes);
      break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = static_cast<int>(kernel.registerEstimate);
      break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = static_cast<int>(function->maximumDynamicShared);
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return call("cuFuncSetAttribute", Needs::Context, [&](Device &d) {
    if (!function || attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
        static_cast<uint64_t>(value) + function->kernel.staticShared > static_cast<uint64_t>(d.limits.sharedOfBlock))
      return CUDA_ERROR_INVALID_VALUE;
    function->maximumDynamicShared = static_cast<unsigned>(value);
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads,
                                                     size_t sharedBytes) {
  return call("cuOccupancyMaxActiveBlocksPerMultiprocessor", Needs::Context, [&](Device &d) {
    if (!blocks || !function || threads < 1 || threads > 1024)
      return CUDA_ERROR_INVALID_VALUE;
    // 1 KiB of shared memory belongs to the system for each block; 65536 registers, given out to warps.
    uint64_t shared = function->kernel.staticShared + sharedBytes + 1024;
    unsigned whole = (static_cast<unsigned>(threads) + kLanes - 1) / kLanes * kLanes;
    uint64_t most = std::min<uint64_t>(static_cast<unsigned>(d.limits.threadsOfMultiprocessor) / whole,
                                       static_cast<uint64_t>(d.limits.sharedOfMultiprocessor) / shared);
    most = std::min<uint64_t>(most, 65536 / (std::max(function->kernel.registerEstimate, 16u) * whole));
    *blocks = static_cast<int>(std::min<uint64_t>(most, 32));
    return CUDA_SUCCESS;
  });
}

} // namespace kerf::cuda
