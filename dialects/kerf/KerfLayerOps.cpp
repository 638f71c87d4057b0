// Layers: parsing, printing, verifying and simplifying the region form.
#include "dialects/kerf/KerfPrograms.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace kerf;

LogicalResult LayerOp::verify() {
  Block &body = getBody().front();
  // C1
  if (body.getArgumentTypes() != getInputs().getTypes())
    return emitOpError("body must take the types of the inputs (")
           << getInputs().getTypes() << "), got (" << body.getArgumentTypes() << ")";
  if (auto yield = dyn_cast<YieldOp>(body.getTerminator()); yield.getValues().getTypes() != getResultTypes()) {
    InFlightDiagnostic diag = emitOpError("results must have the types that the body yields (")
                              << yield.getValues().getTypes() << "), got (" << getResultTypes() << ")";
    diag.attachNote(yield.getLoc()) << "yielded here";
    return diag;
  }
  // C2
  if (getIndex() < 0)
    return emitOpError("index must not be negative, got ") << getIndex();
  return success();
}

void LayerOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getIndex() << " (";
  Block &body = getBody().front();
  llvm::interleaveComma(llvm::zip(body.getArguments(), getInputs()), printer, [&](auto pair) {
    auto [argument, input] = pair;
    printer.printRegionArgument(argument, {}, /*omitType=*/true);
    printer << " = " << input << " : " << input.getType();
  });
  printer << ") -> ";
  llvm::interleaveComma(getResultTypes(), printer);
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false, /*printBlockTerminators=*/true);
  printer.printOptionalAttrDict((*this)->getAttrs(), {getIndexAttrName()});
}

ParseResult LayerOp::parse(OpAsmParser &parser, OperationState &result) {
  IntegerAttr index;
  if (parser.parseAttribute(index, parser.getBuilder().getI64Type(), getIndexAttrName(result.name), result.attributes))
    return failure();
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  auto parseInput = [&]() -> ParseResult {
    OpAsmParser::Argument &argument = arguments.emplace_back();
    return failure(parser.parseArgument(argument) || parser.parseEqual() ||
                   parser.parseOperand(inputs.emplace_back()) || parser.parseColonType(argument.type));
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseInput) || parser.parseArrow() ||
      parser.parseTypeList(result.types))
    return failure();
  for (auto [argument, input] : llvm::zip(arguments, inputs))
    if (parser.resolveOperand(input, argument.type, result.operands))
      return failure();
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, arguments) || parser.parseOptionalAttrDict(result.attributes))
    return failure();
  ensureTerminator(*body, parser.getBuilder(), result.location);
  return success();
}

namespace {

/// A result that the body passes through is the value that it was given.
struct ForwardResults : OpRewritePattern<LayerOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerOp layer, PatternRewriter &rewriter) const override {
    Block &body = layer.getBody().front();
    bool changed = false;
    for (auto [result, yielded] : llvm::zip(layer.getResults(), body.getTerminator()->getOperands())) {
      if (result.use_empty())
        continue;
      Value forwarded;
      if (yielded.getParentRegion() != &layer.getBody())
        forwarded = yielded;
      else if (auto argument = dyn_cast<BlockArgument>(yielded))
        forwarded = layer.getInputs()[argument.getArgNumber()];
      if (!forwarded)
        continue;
      rewriter.replaceAllUsesWith(result, forwarded);
      changed = true;
    }
    return changed ? success() : rewriter.notifyMatchFailure(layer, "body computes every result that is read");
  }
};

/// Inputs that the body ignores and results that nobody reads only keep other values alive.
struct DropUnused : OpRewritePattern<LayerOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerOp layer, PatternRewriter &rewriter) const override {
    Block &body = layer.getBody().front();
    SmallVector<Value> inputs, yielded, kept;
    llvm::BitVector dropped(body.getNumArguments());
    for (auto [argument, input] : llvm::zip(body.getArguments(), layer.getInputs()))
      if (argument.use_empty())
        dropped.set(argument.getArgNumber());
      else
        inputs.push_back(input);
    for (auto [result, value] : llvm::zip(layer.getResults(), body.getTerminator()->getOperands()))
      if (!result.use_empty()) {
        kept.push_back(result);
        yielded.push_back(value);
      }
    if (dropped.none() && kept.size() == layer.getNumResults())
      return rewriter.notifyMatchFailure(layer, "every input and result is used");
    rewriter.modifyOpInPlace(body.getTerminator(), [&] { body.getTerminator()->setOperands(yielded); });
    rewriter.modifyOpInPlace(layer, [&] { body.eraseArguments(dropped); });
    auto smaller = LayerOp::create(rewriter, layer.getLoc(), TypeRange(ValueRange(kept)), layer.getIndexAttr(), inputs);
    smaller->setDiscardableAttrs(layer->getDiscardableAttrDictionary());
    rewriter.inlineRegionBefore(layer.getBody(), smaller.getBody(), smaller.getBody().end());
    for (auto [result, replacement] : llvm::zip(kept, smaller.getResults()))
      rewriter.replaceAllUsesWith(result, replacement);
    rewriter.eraseOp(layer);
    return success();
  }
};

} // namespace

void LayerOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<ForwardResults, DropUnused>(context);
}

bool kerf::isForGpu(ModuleOp module) {
  return llvm::any_of(module.getOps<VariantOp>(),
                      [](VariantOp variant) { return !variant.getOps<GpuKernelOp>().empty(); });
}

bool kerf::isProgram(func::FuncOp function) {
  return !function.isExternal() && llvm::any_of(function.getArgumentTypes(), llvm::IsaPred<BatchType>);
}

void kerf::inlineLayers(func::FuncOp program) {
  SmallVector<LayerOp> layers;
  program.walk<WalkOrder::PostOrder>([&](LayerOp layer) { layers.push_back(layer); });
  IRRewriter rewriter(program.getContext());
  for (LayerOp layer : layers) {
    Operation *yield = layer.getBody().front().getTerminator();
    rewriter.inlineBlockBefore(&layer.getBody().front(), layer, layer.getInputs());
    // Read after inlining: the body may yield its arguments, which are the inputs now.
    SmallVector<Value> results(yield->getOperands());
    rewriter.eraseOp(yield);
    rewriter.replaceOp(layer, results);
  }
}
