//===- Shipped.h - GPU kernels as models have them --------------*- C++ -*-===//
//
// A fixed list of every kind of kernel in codegen/kernels/Specs.h, at shapes of published models: what its figures are
// kept of.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_TEST_CODEGEN_NVPTX_SHIPPED_H
#define KERF_TEST_CODEGEN_NVPTX_SHIPPED_H

#include "codegen/nvptx/Kernels.h"

#include <functional>
#include <string>
#include <vector>

namespace kerf::test {

/// A kernel; its functions' names begin with `name`.
struct Shipped {
  template <typename Spec>
  Shipped(const char *name, const Spec &spec)
      : name(name),
        emit([name, spec](auto module, const auto &variant) { return emitKernel(module, variant, name, spec); }) {}

  std::string name;
  /// Writes it into a module.
  std::function<nvptx::Launches(mlir::gpu::GPUModuleOp, const nvptx::Variant &)> emit;
};

/// All of them, in the order of Spec.
std::vector<Shipped> shippedKernels();

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_NVPTX_SHIPPED_H
