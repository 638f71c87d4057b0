//===- Linear.cpp - the kernels of linear and gated linear layers ---------===//
#include "codegen/x86/Kernels.h"
#include "codegen/x86/Product.h"

using namespace kerf::x86;

static KernelInfo emitProduct(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                              const Product &product) {
  KernelBuilder kernel(module, variant, name, product.operands());
  ProductEmitter emitter(kernel, product);
  emitter.emit();
  kernel.finish();
  KernelInfo info = emitter.info();
  info.name = name;
  // Above what was reserved: saved and spilled registers, at most all of them.
  info.stackBytes = kernel.stackBytes() + 4096;
  return info;
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const LinearSpec &spec) {
  return emitProduct(module, variant, name,
                     {.k = spec.k,
                      .n = spec.n,
                      .input = spec.input,
                      .weight = spec.weight,
                      .output = spec.output,
                      .bias = spec.bias,
                      .residual = spec.residual,
                      .residualElement = spec.residualElement,
                      .activation = spec.activation,
                      .gated = false});
}

KernelInfo kerf::x86::emitKernel(mlir::ModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const GatedLinearSpec &spec) {
  return emitProduct(module, variant, name,
                     {.k = spec.k,
                      .n = spec.n,
                      .input = spec.input,
                      .weight = spec.weight,
                      .output = spec.output,
                      .bias = spec.bias,
                      .residual = false,
                      .residualElement = Element::F32,
                      .activation = spec.activation,
                      .gated = true});
}
