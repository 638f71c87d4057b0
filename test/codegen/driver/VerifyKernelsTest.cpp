// A dispatch or a kernel that computes something else than the planned op is named, before it is in any artifact.
#include "codegen/VerifyKernels.h"
#include "codegen/x86/Jit.h"
#include "codegen/x86/Library.h"
#include "codegen/x86/Passes.h"
#include "codegen/x86/Variant.h"
#include "dialects/import/Import.h"
#include "passes/Passes.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace kerf;

namespace {

using Change = std::function<void(mlir::ModuleOp)>;

struct Outcome {
  KernelsReport report;
  std::vector<std::string> errors;
};

/// Compiles a tiny checkpoint, changes the module after the memory and after the kernels phase, and verifies it.
Outcome verify(Change afterMemory, Change afterKernels) {
  const std::string directory = KERF_TEST_DATA "/goldens/models/llama-bf16";
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  Outcome outcome;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    outcome.errors.push_back(diagnostic.str());
    return mlir::success();
  });
  Checkpoint checkpoint = llvm::cantFail(Checkpoint::open(directory));
  std::vector<IgnoredKey> ignored;
  auto module = llvm::cantFail(importCheckpoint(context, checkpoint, {}, ignored));
  auto run = [&](llvm::function_ref<void(mlir::PassManager &)> build) {
    mlir::PassManager pm(&context);
    build(pm);
    EXPECT_TRUE(mlir::succeeded(pm.run(*module)));
  };
  run([](mlir::PassManager &pm) {
    buildOptimizePhase(pm, {});
    buildMemoryPhase(pm);
  });
  if (afterMemory)
    afterMemory(*module);
  mlir::OwningOpRef<mlir::ModuleOp> planned = module->clone();
  run([](mlir::PassManager &pm) {
    x86::KernelsPhaseOptions options;
    for (const x86::Variant &variant : x86::variants())
      if (x86::runsHere(variant))
        options.variants.push_back(variant.name);
    x86::buildKernelsPhase(pm, options);
  });
  if (afterKernels)
    afterKernels(*module);
  run([](mlir::PassManager &pm) { x86::buildLLVMPhase(pm); });
  EXPECT_FALSE(x86::compileVariants(*module, /*threads=*/2));
  CheckpointSource source(checkpoint);
  if (llvm::Error error = verifyKernels(*planned, *module, source, {}, outcome.report))
    outcome.errors.push_back(llvm::toString(std::move(error)));
  return outcome;
}

DispatchOp findDispatch(mlir::ModuleOp module, llvm::StringRef origin) {
  DispatchOp found;
  module.walk([&](DispatchOp dispatch) {
    if (dispatch.getOrigin() == origin)
      found = dispatch;
  });
  EXPECT_TRUE(found) << origin.str();
  return found;
}

class VerifyKernels : public testing::Test {
protected:
  void SetUp() override {
    if (!x86::runsHere(*x86::findVariant("avx2")))
      GTEST_SKIP() << "this CPU lacks what avx2 needs";
  }
};

} // namespace

TEST_F(VerifyKernels, accepts_every_variant) {
  Outcome outcome = verify(nullptr, nullptr);
  EXPECT_FALSE(outcome.report.diverged) << outcome.errors.front();
  EXPECT_TRUE(outcome.errors.empty());
  EXPECT_EQ(outcome.report.variants.front(), "avx2");
  // Three layers of eight dispatches, five around them; each gives a tensor.
  EXPECT_EQ(outcome.report.compared, 29 * outcome.report.variants.size());
}

TEST_F(VerifyKernels, names_the_dispatch_that_reads_an_overwritten_slot) {
  Outcome outcome = verify(
      [](mlir::ModuleOp module) {
        // The sum after attention is written over by the gated linear, and read after it.
        SlotOp kept;
        module.walk([&](mlir::Operation *op) {
          auto style = llvm::dyn_cast<mlir::DestinationStyleOpInterface>(op);
          if (!style)
            return;
          auto slot = style.getDpsInits()[0].getDefiningOp<SlotOp>();
          if (llvm::isa<GatedLinearOp>(op))
            slot.setIndexAttr(kept.getIndexAttr());
          else if (llvm::isa<LinearOp>(op))
            kept = slot;
        });
      },
      nullptr);
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.variant, "avx2");
  EXPECT_EQ(outcome.report.origin, "layers.0.mlp.down+residual");
  EXPECT_GT(outcome.report.error, 1e-4);
}

TEST_F(VerifyKernels, names_the_dispatch_that_is_given_another_weight) {
  Outcome outcome = verify(nullptr, [](mlir::ModuleOp module) {
    DispatchOp good = findDispatch(module, "layers.0.mlp.norm"), bad = findDispatch(module, "layers.1.mlp.norm");
    llvm::SmallVector<mlir::Attribute> operands(bad.getOperands_().getValue());
    operands[1] = good.getOperands_()[1];
    bad.setOperands_Attr(mlir::Builder(module.getContext()).getArrayAttr(operands));
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.origin, "layers.1.mlp.norm");
  ASSERT_EQ(outcome.errors.size(), 1u);
  EXPECT_TRUE(llvm::StringRef(outcome.errors[0]).starts_with("dispatch "));
  EXPECT_TRUE(llvm::StringRef(outcome.errors[0])
                  .contains("of variant 'avx2' must compute what the reference path does, got a relative error of "))
      << outcome.errors[0];
}

// Only the second variant's kernel is wrong: its norm divides by the mean of the squares, not by the root.
TEST_F(VerifyKernels, names_the_variant_whose_kernel_is_wrong) {
  if (!x86::runsHere(*x86::findVariant("avx512")))
    GTEST_SKIP() << "this CPU lacks what avx512 needs";
  Outcome outcome = verify(nullptr, [](mlir::ModuleOp module) {
    for (auto variant : module.getOps<VariantOp>())
      if (variant.getSymName() == "avx512")
        variant.walk([](mlir::LLVM::LLVMFuncOp function) {
          if (!function.getName().starts_with("rms_norm"))
            return;
          function.walk([](mlir::LLVM::SqrtOp root) { root.replaceAllUsesWith(root.getOperand()); });
        });
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.variant, "avx512");
  EXPECT_EQ(outcome.report.origin, "layers.0.attn.norm");
  EXPECT_TRUE(llvm::StringRef(outcome.report.kernel).starts_with("rms_norm_")) << outcome.report.kernel;
}
