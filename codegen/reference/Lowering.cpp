// Walks a program in order and has each op lowered by its family. Memory is given back after the last reader of each
// tensor, so that a long text does not keep the activations of all layers.
#include "codegen/reference/Lowering.h"

#include "codegen/reference/Emitter.h"
#include "dialects/kerf/KerfPrograms.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::reference;

namespace {

bool isKerf(Operation *op) { return isa_and_nonnull<KerfDialect>(op->getDialect()); }
bool isKerf(Type type) { return isa<BatchType, CacheType, WorkListType>(type); }

class Lowerer {
public:
  Lowerer(func::FuncOp program, bool record) : program(program), record(record), builder(program), e(builder) {}

  FailureOr<Lowered> run() {
    if (!program.getBody().hasOneBlock())
      return program.emitOpError("must be straight-line code to be lowered to the reference, got ")
             << program.getBody().getBlocks().size() << " blocks";
    inlineLayers(program);
    if (failed(checkCaches()))
      return failure();
    e.groups = llvm::to_vector(program->getParentOfType<ModuleOp>().getOps<KvGroupOp>());
    builder.setInsertionPointAfter(program);
    lowered.function = func::FuncOp::create(builder, program.getLoc(), program.getName(),
                                            FunctionType::get(program.getContext(), {builder.getI64Type()}, {}));
    entry = lowered.function.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    for (BlockArgument argument : program.getArguments())
      if (failed(addArgument(argument)))
        return failure();
    if (failed(listResults()))
      return failure();
    Block &body = program.getBody().front();
    for (Operation &op : body)
      for (Value operand : op.getOperands())
        lastReader[operand] = &op;
    for (Operation &op : body.without_terminator()) {
      if (failed(lower(&op)))
        return failure();
      release(&op);
    }
    e.loc = body.getTerminator()->getLoc();
    unsigned number = 0;
    for (Value result : body.getTerminator()->getOperands())
      if (!isKerf(result.getType()))
        emit(e.get(result), number++);
    func::ReturnOp::create(builder, e.loc);
    lowered.function.setType(FunctionType::get(program.getContext(), entry->getArgumentTypes(), {}));
    // Nobody may write to what the caller owns.
    for (auto [i, type] : llvm::enumerate(entry->getArgumentTypes()))
      if (isa<TensorType>(type))
        lowered.function.setArgAttr(i, bufferization::BufferizationDialect::kWritableAttrName,
                                    builder.getBoolAttr(false));
    return lowered;
  }

private:
  /// A cache becomes memory that appends change in place, so a value of it must not be read after its append.
  LogicalResult checkCaches() {
    auto check = [&](Operation *append, Value cache) -> LogicalResult {
      for (Operation *reader : cache.getUsers())
        if (reader != append && (reader->getBlock() != append->getBlock() || !reader->isBeforeInBlock(append))) {
          InFlightDiagnostic diag = reader->emitOpError("must read its cache before the append that replaces it");
          diag.attachNote(append->getLoc()) << "the append is here";
          return diag;
        }
      return success();
    };
    WalkResult result = program.walk([&](Operation *op) {
      return llvm::TypeSwitch<Operation *, WalkResult>(op)
          .Case<KvAppendOp, RopeAppendOp, LinearRopeAppendOp>(
              [&](auto append) { return WalkResult(check(op, append.getCache())); })
          .Default(WalkResult::advance());
    });
    return failure(result.wasInterrupted());
  }

  Value addArgument(Argument argument) {
    lowered.arguments.push_back(argument);
    return entry->addArgument(argument.type, program.getLoc());
  }

  LogicalResult addArgument(BlockArgument argument) {
    Type type = argument.getType();
    if (isa<BatchType>(type)) {
      auto array = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
      SmallVector<Value> arrays;
      for (unsigned i = 0; i < BatchArrayCount; ++i)
        arrays.push_back(addArgument({Argument::Batch, i, {}, array}));
      e.setAll(argument, arrays);
      return success();
    }
    if (isa<CacheType>(type)) {
      SmallVector<Value> memrefs;
      for (KvGroupOp group : e.groups) {
        auto memref = MemRefType::get(
            {group.getPlanes(), ShapedType::kDynamic, ShapedType::kDynamic, group.getHeads(), group.getHeadDim()},
            group.getElement());
        for (Argument::Kind kind : {Argument::Keys, Argument::Values})
          memrefs.push_back(addArgument({kind, 0, group.getSymNameAttr(), memref}));
      }
      e.setAll(argument, memrefs);
      return success();
    }
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      return program.emitOpError("arguments must be tensors, batches or caches, got ") << type;
    e.mapping.map(argument, addArgument({Argument::Tensor, argument.getArgNumber(), {}, tensor}));
    return success();
  }

  LogicalResult listResults() {
    for (auto [i, type] : llvm::enumerate(program.getResultTypes())) {
      if (isKerf(type))
        continue;
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (!tensor || !canEmit(tensor))
        return program.emitOpError("results must be caches or tensors of which only the first axis is dynamic, got ")
               << type;
      lowered.outputs.push_back({nullptr, static_cast<unsigned>(i), tensor});
    }
    lowered.resultCount = lowered.outputs.size();
    return success();
  }

  static bool canEmit(RankedTensorType type) {
    return type.getRank() > 0 && llvm::none_of(type.getShape().drop_front(), ShapedType::isDynamic);
  }

  LogicalResult lower(Operation *op) {
    e.loc = op->getLoc();
    if (auto reference = dyn_cast<GetWeightOp>(op))
      return getWeight(reference);
    // Planned memory is only memory.
    if (isa<SlotOp, ResultOp>(op)) {
      SmallVector<Value> sizes;
      for (Value size : op->getOperands())
        sizes.push_back(e.get(size));
      e.mapping.map(op->getResult(0), tensor::EmptyOp::create(builder, e.loc, op->getResult(0).getType(), sizes));
      return success();
    }
    if (!isKerf(op))
      return copy(op);
    if (failed(lowerBatchOp(op, e)) && failed(lowerElementwiseOp(op, e)) && failed(lowerLinearOp(op, e)) &&
        failed(lowerAttentionOp(op, e)))
      return op->emitOpError("has no reference lowering");
    if (record && op->getBlock() == &program.getBody().front() && !isa<BatchFieldOp>(op))
      for (OpResult result : op->getResults())
        if (auto type = dyn_cast<RankedTensorType>(result.getType()); type && canEmit(type)) {
          emit(e.get(result), lowered.outputs.size());
          lowered.outputs.push_back({op, result.getResultNumber(), type});
        }
    return success();
  }

  LogicalResult getWeight(GetWeightOp op) {
    Value &argument = weights[op.getWeightAttr().getAttr()];
    if (!argument) {
      auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(op, op.getWeightAttr());
      if (weight.getFormat().getDenseElementType() != weight.getTensorType().getElementType())
        return op.emitOpError("weight must be stored as it is to be read by the reference, got ") << weight.getFormat();
      argument = addArgument({Argument::Weight, 0, op.getWeightAttr().getAttr(), weight.getTensorType()});
    }
    e.mapping.map(op.getResult(), argument);
    return success();
  }

  /// An upstream op stays, around what is lowered inside it.
  LogicalResult copy(Operation *op) {
    for (Type type : op->getResultTypes())
      if (isKerf(type))
        return op->emitOpError("must not pass a batch, a work list or a cache on, to be lowered to the reference");
    Operation *copied = builder.cloneWithoutRegions(*op, e.mapping);
    for (auto [from, to] : llvm::zip(op->getRegions(), copied->getRegions()))
      for (Block &block : from) {
        OpBuilder::InsertionGuard guard(builder);
        Block *target = builder.createBlock(&to, to.end(), block.getArgumentTypes(),
                                            SmallVector<Location>(block.getNumArguments(), op->getLoc()));
        e.mapping.map(block.getArguments(), target->getArguments());
        for (Operation &inner : block)
          if (failed(lower(&inner)))
            return failure();
      }
    return success();
  }

  void emit(Value tensor, unsigned number) {
    auto type = cast<RankedTensorType>(tensor.getType());
    auto module = program->getParentOfType<ModuleOp>();
    if (!module.lookupSymbol(emitFunction)) {
      OpBuilder atEnd = OpBuilder::atBlockEnd(module.getBody());
      Type i64 = builder.getI64Type(), index = builder.getIndexType();
      func::FuncOp::create(atEnd, program.getLoc(), emitFunction,
                           FunctionType::get(program.getContext(), {i64, i64, index, index}, {}))
          .setPrivate();
    }
    Value memref = bufferization::ToBufferOp::create(
        builder, e.loc, MemRefType::get(type.getShape(), type.getElementType()), tensor, /*read_only=*/true);
    Value address = memref::ExtractAlignedPointerAsIndexOp::create(builder, e.loc, memref);
    Value which = arith::ConstantOp::create(builder, e.loc, builder.getI64IntegerAttr(number));
    func::CallOp::create(builder, e.loc, emitFunction, TypeRange(),
                         ValueRange{entry->getArgument(0), which, address, e.dim(tensor, 0)});
  }

  /// Gives back what `op` was the last to read, or computed for nobody. Only what kerf ops alone read: others alias.
  void release(Operation *op) {
    llvm::SmallSetVector<Value, 4> values(op->operand_begin(), op->operand_end());
    values.insert(op->result_begin(), op->result_end());
    for (Value value : values) {
      Operation *owner = value.getDefiningOp();
      if (!owner || !isKerf(owner) || isa<GetWeightOp, BatchFieldOp, SlotOp, ResultOp>(owner) ||
          !isa<RankedTensorType>(value.getType()))
        continue;
      if (!value.use_empty() && lastReader.lookup(value) != op)
        continue;
      if (llvm::all_of(value.getUsers(),
                       [&](Operation *user) { return isKerf(user) && user->getBlock() == owner->getBlock(); }))
        bufferization::DeallocTensorOp::create(builder, e.loc, e.get(value));
    }
  }

  func::FuncOp program;
  bool record;
  OpBuilder builder;
  Emitter e;
  Lowered lowered;
  Block *entry = nullptr;
  DenseMap<StringAttr, Value> weights;
  DenseMap<Value, Operation *> lastReader;
};

} // namespace

FailureOr<Lowered> reference::lowerProgram(func::FuncOp program, bool record) { return Lowerer(program, record).run(); }

bool reference::needsLowering(func::FuncOp function) {
  if (function.isExternal())
    return false;
  if (llvm::any_of(function.getArgumentTypes(), [](Type type) { return isKerf(type); }))
    return true;
  return function.walk([](Operation *op) { return isKerf(op) ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}
