// Folds activations, gating, residual sums and appends into linears: the sums stay in registers instead of going
// through memory, and a layer has four dispatches less, or five.
#include "dialects/kerf/KerfDialect.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Passes.h"

namespace kerf {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "passes/Passes.h.inc"
} // namespace kerf

using namespace mlir;
using namespace kerf;

namespace {

/// The linear that alone feeds a reader that sees nothing else of it; null if there is none.
LinearOp getOnlyLinear(Value value) {
  auto linear = value.getDefiningOp<LinearOp>();
  return linear && linear->hasOneUse() && !linear.getResidual() ? linear : nullptr;
}

struct FuseActivation : OpRewritePattern<ActivationOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ActivationOp activation, PatternRewriter &rewriter) const override {
    LinearOp linear = getOnlyLinear(activation.getInput());
    if (!linear)
      return rewriter.notifyMatchFailure(activation, "input is not a linear of its own");
    if (linear.getActivation())
      return rewriter.notifyMatchFailure(activation, "the linear has an activation already");
    Location loc = rewriter.getFusedLoc({linear.getLoc(), activation.getLoc()});
    rewriter.replaceOp(activation, LinearOp::create(rewriter, loc, activation.getInit().getType(), linear.getInput(),
                                                    linear.getWeight(), activation.getInit(), linear.getBias(),
                                                    /*residual=*/Value(), activation.getActivationAttr()));
    return success();
  }
};

struct FuseGate : OpRewritePattern<GateOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GateOp gate, PatternRewriter &rewriter) const override {
    LinearOp lhs = getOnlyLinear(gate.getGate()), rhs = getOnlyLinear(gate.getUp());
    if (!lhs || !rhs || lhs == rhs)
      return rewriter.notifyMatchFailure(gate, "gate and up are not linears of their own");
    if (lhs.getActivation() || rhs.getActivation())
      return rewriter.notifyMatchFailure(gate, "gate or up has an activation of its own");
    if (lhs.getInput() != rhs.getInput())
      return rewriter.notifyMatchFailure(gate, "gate and up have different inputs");
    if (lhs.getWeight().getType() != rhs.getWeight().getType())
      return rewriter.notifyMatchFailure(gate, "gate and up have weights of different types");
    if (!lhs.getBias() != !rhs.getBias())
      return rewriter.notifyMatchFailure(gate, "only one of gate and up has a bias");
    Location loc = rewriter.getFusedLoc({lhs.getLoc(), rhs.getLoc(), gate.getLoc()});
    rewriter.replaceOp(gate, GatedLinearOp::create(rewriter, loc, gate.getInit().getType(), gate.getActivation(),
                                                   lhs.getInput(), lhs.getWeight(), rhs.getWeight(), gate.getInit(),
                                                   lhs.getBias(), rhs.getBias()));
    return success();
  }
};

struct FuseResidual : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddOp add, PatternRewriter &rewriter) const override {
    LinearOp linear = getOnlyLinear(add.getRhs());
    Value residual = add.getLhs();
    if (!linear) {
      linear = getOnlyLinear(add.getLhs());
      residual = add.getRhs();
    }
    if (!linear)
      return rewriter.notifyMatchFailure(add, "neither side is a linear of its own");
    Location loc = rewriter.getFusedLoc({linear.getLoc(), add.getLoc()});
    rewriter.replaceOp(add,
                       LinearOp::create(rewriter, loc, add.getInit().getType(), linear.getInput(), linear.getWeight(),
                                        add.getInit(), linear.getBias(), residual, linear.getActivationAttr()));
    return success();
  }
};

struct FuseAppend : OpRewritePattern<RopeAppendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RopeAppendOp append, PatternRewriter &rewriter) const override {
    if (append.getQueryScale())
      return rewriter.notifyMatchFailure(append, "head norms need whole heads");
    LinearOp linear = getOnlyLinear(append.getInput());
    if (!linear || linear.getActivation())
      return rewriter.notifyMatchFailure(append, "input is not a linear of its own, or has an activation");
    Location loc = rewriter.getFusedLoc({linear.getLoc(), append.getLoc()});
    rewriter.replaceOp(append, LinearRopeAppendOp::create(rewriter, loc, append.getInit().getType(),
                                                          append.getResult().getType(), linear.getInput(),
                                                          linear.getWeight(), append.getBatch(), append.getCache(),
                                                          append.getInit(), linear.getBias(), append.getTable(),
                                                          append.getGroupAttr(), append.getPlaneAttr()));
    return success();
  }
};

struct FuseEpiloguesPass : kerf::impl::FuseEpiloguesBase<FuseEpiloguesPass> {
  using FuseEpiloguesBase::FuseEpiloguesBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseActivation, FuseGate, FuseResidual>(&getContext());
    if (append)
      patterns.add<FuseAppend>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
