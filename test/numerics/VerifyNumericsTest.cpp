// A pass that changes what the model computes is named, with the first op that it broke.
#include "codegen/VerifyNumerics.h"
#include "codegen/reference/ReferenceEvaluator.h"
#include "passes/Passes.h"
#include "test/numerics/SmallModel.h"

#include "mlir/Pass/PassManager.h"

using namespace kerf;
using namespace kerf::test;

namespace {

/// Runs `change` on every op of a module.
class ChangePass : public mlir::PassWrapper<ChangePass, mlir::OperationPass<mlir::ModuleOp>> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ChangePass)
  using Change = std::function<void(mlir::Operation *)>;
  explicit ChangePass(Change change) : change(std::move(change)) {}
  llvm::StringRef getArgument() const override { return "test-change"; }
  void runOnOperation() override {
    getOperation()->walk([&](mlir::Operation *op) { change(op); });
  }

private:
  Change change;
};

bool isNamed(mlir::Operation *op, llvm::StringRef name) {
  auto names = getLocationNames(op->getLoc());
  return !names.empty() && names.back() == name;
}

/// Lets the op named `writer` write the slot of the result of the one named `kept`.
std::unique_ptr<ChangePass> shareSlot(llvm::StringRef kept, llvm::StringRef writer) {
  auto slot = std::make_shared<int64_t>(-1);
  return std::make_unique<ChangePass>([=](mlir::Operation *op) {
    auto style = llvm::dyn_cast<mlir::DestinationStyleOpInterface>(op);
    if (!style || style.getNumDpsInits() == 0)
      return;
    auto init = style.getDpsInits()[0].getDefiningOp<SlotOp>();
    if (init && isNamed(op, kept))
      *slot = init.getIndex();
    if (init && isNamed(op, writer))
      init.setIndexAttr(mlir::Builder(op).getI64IntegerAttr(*slot));
  });
}

struct Outcome {
  NumericsReport report;
  std::vector<std::string> errors;
};

/// Compiles a small model with `build`'s passes under the check.
Outcome verify(Element stored, llvm::function_ref<void(mlir::PassManager &)> build) {
  SmallModel small(stored);
  Module module(small.program());
  ReferenceEvaluator evaluator(small.source);
  Outcome outcome;
  mlir::MLIRContext *context = module.get().getContext();
  context->disableMultithreading();
  mlir::ScopedDiagnosticHandler handler(context, [&](mlir::Diagnostic &diagnostic) {
    outcome.errors.push_back(diagnostic.str());
    return mlir::success();
  });
  mlir::PassManager pm(context);
  build(pm);
  pm.addInstrumentation(std::make_unique<VerifyNumerics>(evaluator, VerifyNumericsOptions(), outcome.report));
  EXPECT_TRUE(mlir::succeeded(pm.run(module.get())));
  return outcome;
}

} // namespace

TEST(VerifyNumerics, accepts_the_optimize_phase) {
  for (Element stored : allElements) {
    Outcome outcome = verify(stored, [](mlir::PassManager &pm) { buildOptimizePhase(pm, {}); });
    EXPECT_FALSE(outcome.report.diverged) << outcome.errors.front();
    EXPECT_FALSE(outcome.report.failed);
    // Both fusions changed something.
    EXPECT_GE(outcome.report.verified, 2u);
    EXPECT_TRUE(outcome.errors.empty());
  }
}

TEST(VerifyNumerics, names_the_op_that_a_pass_broke) {
  Outcome outcome = verify(Element::F32, [](mlir::PassManager &pm) {
    pm.addPass(std::make_unique<ChangePass>([](mlir::Operation *op) {
      auto attention = llvm::dyn_cast<AttentionOp>(op);
      if (attention && isNamed(op, "layers.1.attn.attention"))
        attention.setScaleAttr(mlir::Builder(op).getF64FloatAttr(0.75));
    }));
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.pass, "test-change");
  EXPECT_EQ(outcome.report.op, "layers.1.attn.attention");
  EXPECT_GT(outcome.report.error, 1e-4);
  ASSERT_EQ(outcome.errors.size(), 1u);
  EXPECT_NE(outcome.errors[0].find("pass 'test-change' must keep what the model computes, got a relative error of "),
            std::string::npos)
      << outcome.errors[0];
  EXPECT_NE(outcome.errors[0].find("in 'layers.1.attn.attention'"), std::string::npos) << outcome.errors[0];
}

TEST(VerifyNumerics, names_a_fused_op_by_the_sum_it_stands_for) {
  Outcome outcome = verify(Element::F32, [](mlir::PassManager &pm) {
    buildOptimizePhase(pm, {});
    pm.addPass(std::make_unique<ChangePass>([](mlir::Operation *op) {
      // The product of the wrong residual: the value that goes into the layer, not that after attention.
      auto linear = llvm::dyn_cast<LinearOp>(op);
      if (!linear || !isNamed(op, "layers.0.mlp.add"))
        return;
      for (mlir::Operation &other : *op->getBlock())
        if (auto earlier = llvm::dyn_cast<LinearOp>(other); earlier && isNamed(earlier, "layers.0.attn.add"))
          linear.getResidualMutable().assign(earlier.getResidual());
    }));
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.pass, "test-change");
  EXPECT_EQ(outcome.report.op, "layers.0.mlp.add");
}

TEST(VerifyNumerics, stops_at_the_first_pass_that_diverges) {
  auto scaleNorm = [](llvm::StringRef name) {
    return std::make_unique<ChangePass>([name](mlir::Operation *op) {
      if (auto norm = llvm::dyn_cast<RmsNormOp>(op); norm && isNamed(op, name))
        norm.setEpsAttr(mlir::Builder(op).getF64FloatAttr(2.0));
    });
  };
  Outcome outcome = verify(Element::F32, [&](mlir::PassManager &pm) {
    pm.addPass(scaleNorm("layers.1.mlp.norm"));
    pm.addPass(scaleNorm("layers.0.mlp.norm"));
  });
  EXPECT_EQ(outcome.report.op, "layers.1.mlp.norm");
  EXPECT_EQ(outcome.report.verified, 1u);
  EXPECT_EQ(outcome.errors.size(), 1u);
}

TEST(VerifyNumerics, accepts_planned_memory) {
  for (Element stored : allElements) {
    Outcome outcome = verify(stored, [](mlir::PassManager &pm) {
      buildOptimizePhase(pm, {});
      buildMemoryPhase(pm);
    });
    EXPECT_FALSE(outcome.report.diverged) << outcome.errors.front();
    EXPECT_FALSE(outcome.report.failed);
    EXPECT_GE(outcome.report.verified, 3u);
    EXPECT_TRUE(outcome.errors.empty());
  }
}

// Values are as they were, since the IR's values are not the slots: only running the plan shows it.
TEST(VerifyNumerics, names_the_op_that_reads_an_overwritten_slot) {
  // The sum after attention is read again after the norm behind it.
  Outcome outcome = verify(Element::F32, [](mlir::PassManager &pm) {
    buildOptimizePhase(pm, {});
    buildMemoryPhase(pm);
    pm.addPass(shareSlot("layers.0.attn.add", "layers.0.mlp.act"));
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.pass, "test-change");
  EXPECT_EQ(outcome.report.op, "layers.0.mlp.add");
  ASSERT_EQ(outcome.errors.size(), 1u);
}

TEST(VerifyNumerics, names_the_op_that_overwrites_what_it_reads) {
  Outcome outcome = verify(Element::F32, [](mlir::PassManager &pm) {
    buildOptimizePhase(pm, {});
    buildMemoryPhase(pm);
    pm.addPass(shareSlot("layers.1.mlp.norm", "layers.1.mlp.act"));
  });
  EXPECT_TRUE(outcome.report.diverged);
  EXPECT_EQ(outcome.report.op, "layers.1.mlp.act");
}

TEST(VerifyNumerics, says_when_the_model_cannot_run) {
  Outcome outcome = verify(Element::F32, [](mlir::PassManager &pm) {
    pm.addPass(std::make_unique<ChangePass>([](mlir::Operation *op) {
      if (auto weight = llvm::dyn_cast<WeightOp>(op); weight && weight.getSymName() == "head") {
        auto take = llvm::cast<TakeAttr>(mlir::Attribute(weight.getSource()));
        mlir::Attribute lost = TakeAttr::get(op->getContext(), "lost", take.getType());
        weight.setSourceAttr(llvm::cast<SourceAttrInterface>(lost));
      }
    }));
  });
  EXPECT_TRUE(outcome.report.failed);
  EXPECT_FALSE(outcome.report.diverged);
  ASSERT_EQ(outcome.errors.size(), 1u);
  EXPECT_EQ(outcome.errors[0], "the model could not be run after pass 'test-change': no tensor 'lost' of this type");
}
