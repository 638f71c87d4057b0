#include "tools/RegisterAll.h"
#include "codegen/nvptx/Lower.h"
#include "codegen/nvptx/Passes.h"
#include "codegen/reference/Passes.h"
#include "codegen/x86/Passes.h"
#include "dialects/analysis/Passes.h"
#include "dialects/kerf/KerfDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/TransformOps/DialectExtension.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/TransformOps/TensorTransformOps.h"
#include "mlir/Dialect/Transform/IR/TransformDialect.h"
#include "mlir/Dialect/Transform/LoopExtension/LoopExtension.h"
#include "mlir/Dialect/Transform/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"

using namespace mlir;

void kerf::registerDialects(DialectRegistry &registry) {
  registry.insert<KerfDialect, affine::AffineDialect, arith::ArithDialect, bufferization::BufferizationDialect,
                  cf::ControlFlowDialect, func::FuncDialect, gpu::GPUDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, NVVM::NVVMDialect, scf::SCFDialect, tensor::TensorDialect,
                  transform::TransformDialect, vector::VectorDialect, x86vector::X86VectorDialect>();
  linalg::registerTransformDialectExtension(registry);
  tensor::registerTransformDialectExtension(registry);
  transform::registerLoopExtension(registry);
  nvptx::registerLowering(registry);
}

void kerf::registerPasses() {
  registerKerfAnalysisPasses();
  registerKerfPasses();
  registerPipelines();
  registerKerfReferencePasses();
  x86::registerKerfX86Passes();
  x86::registerPipelines();
  nvptx::registerKerfNvptxPasses();
  nvptx::registerPipelines();
  mlir::registerTransformsPasses();
  transform::registerTransformPasses();
}
