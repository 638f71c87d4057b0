/// The kernels of the library beside a package.
#ifndef KERF_TOOLS_KERFINSPECT_KERNELS_H
#define KERF_TOOLS_KERFINSPECT_KERNELS_H

#include "runtime/loader/Library.h"
#include "tools/runtime-support/Json.h"

namespace kerf::tools {

/// A library that was found, loaded and checked; none of its kernels runs.
class Kernels {
public:
  /// Throws Error.
  explicit Kernels(const rt::Package &package);
  /// A table for each variant.
  void print() const;
  /// The array "kernels".
  void write(JsonWriter &json) const;

private:
  const kerf_library *library_ = nullptr;
  rt::LoadedLibrary loaded_;
};

} // namespace kerf::tools

#endif
