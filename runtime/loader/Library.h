/// libMODEL.so: found beside its package, and checked against it.
#ifndef KERF_RUNTIME_LOADER_LIBRARY_H
#define KERF_RUNTIME_LOADER_LIBRARY_H

#include "kerf/abi.h"
#include "runtime/loader/Package.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace kerf::rt {

/// Target that a package states whose kernels are for GPUs.
inline constexpr const char *kGpuTarget = "nvptx64";

/// A loaded shared library; unloaded with the last copy.
using LoadedLibrary = std::shared_ptr<void>;

/// Loads the sibling of a package, DIR/libSTEM.so of DIR/STEM.kerf, and finds its kerf_library. Nothing inside the
/// package decides which file is loaded. Throws KERF_IO or KERF_BAD_ARTIFACT.
LoadedLibrary loadSibling(const Package &package, const kerf_library *&library);

/// Throws KERF_BAD_ARTIFACT unless `library` speaks this ABI, is consistent in itself and agrees with the package.
void checkLibrary(const Package &package, const kerf_library &library);

/// Index of the program of that name, or nothing.
std::optional<uint32_t> findProgram(const kerf_library &library, std::string_view name);

} // namespace kerf::rt

#endif
