// Layers: parsing, printing and verifying the region form.
#include "dialects/kerf/KerfDialect.h"

using namespace mlir;
using namespace kerf;

LogicalResult LayerOp::verify() {
  Block &body = getBody().front();
  // C1
  if (body.getArgumentTypes() != getInputs().getTypes())
    return emitOpError("body must take the types of the inputs (") << getInputs().getTypes() << "), got ("
                                                                   << body.getArgumentTypes() << ")";
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
    return failure(parser.parseArgument(argument) || parser.parseEqual() || parser.parseOperand(inputs.emplace_back()) ||
                   parser.parseColonType(argument.type));
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
