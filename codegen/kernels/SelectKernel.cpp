//===- SelectKernel.cpp - which kernel computes an op ---------------------===//
#include "codegen/kernels/SelectKernel.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::kernels;

namespace {

Element toElement(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    type = shaped.getElementType();
  if (type.isBF16())
    return Element::BF16;
  return type.isF16() ? Element::F16 : Element::F32;
}

int64_t columnsOf(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(1); }
int64_t lengthOf(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(0); }

/// What counts the rows of a launch.
Extent rowsOf(Operation *op) {
  if (isa<AttentionOp>(op))
    return Extent::WorkItems;
  auto style = dyn_cast<DestinationStyleOpInterface>(op);
  return getRowExtent(style ? style.getDpsInits().front() : op->getOperand(0));
}

kernels::Activation toActivation(kerf::Activation activation) {
  switch (activation) {
  case kerf::Activation::Silu:
    return kernels::Activation::Silu;
  case kerf::Activation::Gelu:
    return kernels::Activation::Gelu;
  case kerf::Activation::GeluTanh:
    return kernels::Activation::GeluTanh;
  case kerf::Activation::Relu:
    return kernels::Activation::Relu;
  }
  llvm_unreachable("every activation has a kernel");
}

kernels::Pooling toPooling(kerf::Pooling pooling) {
  switch (pooling) {
  case kerf::Pooling::Mean:
    return kernels::Pooling::Mean;
  case kerf::Pooling::First:
    return kernels::Pooling::First;
  case kerf::Pooling::Last:
    return kernels::Pooling::Last;
  case kerf::Pooling::Max:
    return kernels::Pooling::Max;
  }
  llvm_unreachable("every pooling has a kernel");
}

/// Collects the operands of one launch; remembers the first value that cannot be one.
class Operands {
public:
  /// `workLists` are those of the program; lists that it does not have yet are added.
  Operands(MLIRContext *context, SmallVectorImpl<Attribute> &workLists) : context(context), workLists(workLists) {}

  /// The memory behind a tensor: a slot, an output, a weight or an array of the step.
  Operands &tensor(Value value) {
    while (auto style = value.getDefiningOp<DestinationStyleOpInterface>())
      value = style.getDpsInits()[cast<OpResult>(value).getResultNumber()];
    Operation *op = value.getDefiningOp();
    Attribute operand =
        llvm::TypeSwitch<Operation *, Attribute>(op)
            .Case([&](SlotOp slot) { return SlotRefAttr::get(context, slot.getIndex()); })
            .Case([&](ResultOp result) { return ResultRefAttr::get(context, result.getIndex()); })
            .Case([&](GetWeightOp get) { return WeightRefAttr::get(context, get.getWeightAttr()); })
            .Case([&](BatchFieldOp field) { return StepRefAttr::get(context, field.getField(), {}, 0); })
            .Default([](Operation *) { return Attribute(); });
    if (!operand && !unplanned)
      unplanned = value;
    list.push_back(operand);
    return *this;
  }
  Operands &step(StepField field, FlatSymbolRefAttr group) {
    list.push_back(StepRefAttr::get(context, field, group, 0));
    return *this;
  }
  /// The items of a work list.
  Operands &items(Value work) {
    auto op = work.getDefiningOp<WorkListOp>();
    if (!op) {
      unplanned = work;
      return *this;
    }
    auto wanted = WorkAttr::get(context, op.getGroupAttr(), op.getMask());
    auto *found = llvm::find(workLists, Attribute(wanted));
    const int64_t index = found - workLists.begin();
    if (found == workLists.end())
      workLists.push_back(wanted);
    list.push_back(StepRefAttr::get(context, StepField::WorkItems, {}, index));
    return *this;
  }
  Operands &cache(FlatSymbolRefAttr group, int64_t plane) {
    list.push_back(CacheRefAttr::get(context, group, plane));
    return *this;
  }
  /// `value` if it is there.
  Operands &optional(Value value) { return value ? tensor(value) : *this; }

  SmallVector<Attribute> list;
  Value unplanned;

private:
  MLIRContext *context;
  SmallVectorImpl<Attribute> &workLists;
};

/// The launch of one op, or nothing where there is no kernel for it.
class Selector {
public:
  Selector(MLIRContext *context, SmallVectorImpl<Attribute> &workLists) : operands(context, workLists) {}

  Launch select(Operation *op) {
    Launch launch = llvm::TypeSwitch<Operation *, Launch>(op)
                        .Case<LinearOp, GatedLinearOp, RmsNormOp, LayerNormOp, ActivationOp, GateOp, AddOp, EmbedOp,
                              SelectOp, PoolOp, RopeTableOp, RopeOp, KvAppendOp, RopeAppendOp, LinearRopeAppendOp,
                              AttentionOp, AttentionMergeOp>([&](auto op) { return make(op); })
                        .Default([](Operation *) { return Launch{{}, LinearSpec{}}; });
    launch.operands = operands.list;
    launch.unplanned = operands.unplanned;
    if (!launch.key.empty())
      launch.rows = rowsOf(op);
    return launch;
  }

private:
  static std::string name(Element element) { return nameOf(element); }

  Launch make(LinearOp op) {
    LinearSpec spec{columnsOf(op.getInput()), lengthOf(op.getWeight()), toElement(op.getInput().getType()),
                    toElement(op.getWeight().getType()), toElement(op.getInit().getType())};
    spec.bias = !!op.getBias();
    std::string residual;
    if (op.getResidual()) {
      spec.residual = true;
      spec.residualElement = toElement(op.getResidual().getType());
      residual = spec.residualElement == Element::F32 ? "_residual" : "_residual_" + name(spec.residualElement);
    }
    std::string activation;
    if (op.getActivation()) {
      spec.activation = toActivation(*op.getActivation());
      activation = ("_" + stringifyActivation(*op.getActivation())).str();
    }
    operands.tensor(op.getInput()).tensor(op.getWeight()).optional(op.getBias()).optional(op.getResidual());
    operands.tensor(op.getInit());
    return {llvm::formatv("linear_{0}_{1}_{2}_k{3}_n{4}{5}{6}{7}", name(spec.input), name(spec.weight),
                          name(spec.output), spec.k, spec.n, spec.bias ? "_bias" : "", activation, residual),
            spec};
  }

  Launch make(GatedLinearOp op) {
    GatedLinearSpec spec{columnsOf(op.getInput()),
                         lengthOf(op.getGate()),
                         toElement(op.getInput().getType()),
                         toElement(op.getGate().getType()),
                         toElement(op.getInit().getType()),
                         toActivation(op.getActivation()),
                         !!op.getGateBias()};
    operands.tensor(op.getInput()).tensor(op.getGate()).tensor(op.getUp());
    operands.optional(op.getGateBias()).optional(op.getUpBias()).tensor(op.getInit());
    return {llvm::formatv("gated_linear_{0}_{1}_{2}_{3}_k{4}_n{5}{6}", stringifyActivation(op.getActivation()),
                          name(spec.input), name(spec.weight), name(spec.output), spec.k, spec.n,
                          spec.bias ? "_bias" : ""),
            spec};
  }

  Launch make(RmsNormOp op) {
    RmsNormSpec spec{columnsOf(op.getInput()), lengthOf(op.getScale()), op.getEpsAttr().getValueAsDouble(),
                     toElement(op.getInput().getType()), toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getScale()).tensor(op.getInit());
    return {llvm::formatv("rms_norm_{0}_{1}_c{2}_run{3}_eps{4}", name(spec.input), name(spec.output), spec.columns,
                          spec.run, spell(spec.eps)),
            spec};
  }

  Launch make(LayerNormOp op) {
    LayerNormSpec spec{columnsOf(op.getInput()), op.getEpsAttr().getValueAsDouble(), toElement(op.getInput().getType()),
                       toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getScale()).tensor(op.getBias()).tensor(op.getInit());
    return {llvm::formatv("layer_norm_{0}_{1}_c{2}_eps{3}", name(spec.input), name(spec.output), spec.columns,
                          spell(spec.eps)),
            spec};
  }

  Launch make(ActivationOp op) {
    ActivationSpec spec{columnsOf(op.getInit()), toActivation(op.getActivation()), toElement(op.getInput().getType()),
                        toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getInit());
    return {llvm::formatv("activation_{0}_{1}_{2}_c{3}", stringifyActivation(op.getActivation()), name(spec.input),
                          name(spec.output), spec.columns),
            spec};
  }

  Launch make(GateOp op) {
    GateSpec spec{columnsOf(op.getInit()), toActivation(op.getActivation()), toElement(op.getGate().getType()),
                  toElement(op.getInit().getType())};
    operands.tensor(op.getGate()).tensor(op.getUp()).tensor(op.getInit());
    return {llvm::formatv("gate_{0}_{1}_{2}_c{3}", stringifyActivation(op.getActivation()), name(spec.gate),
                          name(spec.output), spec.columns),
            spec};
  }

  Launch make(AddOp op) {
    AddSpec spec{columnsOf(op.getInit()), toElement(op.getLhs().getType()), toElement(op.getRhs().getType()),
                 toElement(op.getInit().getType())};
    operands.tensor(op.getLhs()).tensor(op.getRhs()).tensor(op.getInit());
    return {llvm::formatv("add_{0}_{1}_{2}_c{3}", name(spec.lhs), name(spec.rhs), name(spec.output), spec.columns),
            spec};
  }

  Launch make(EmbedOp op) {
    EmbedSpec spec{lengthOf(op.getTable()), columnsOf(op.getInit()), toElement(op.getTable().getType()),
                   toElement(op.getInit().getType())};
    operands.tensor(op.getIds()).tensor(op.getTable()).tensor(op.getInit());
    return {
        llvm::formatv("embed_{0}_{1}_v{2}_c{3}", name(spec.table), name(spec.output), spec.vocabulary, spec.columns),
        spec};
  }

  Launch make(SelectOp op) {
    SelectSpec spec{columnsOf(op.getInit()), toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getRows()).tensor(op.getInit());
    return {llvm::formatv("select_{0}_c{1}", name(spec.element), spec.columns), spec};
  }

  Launch make(PoolOp op) {
    PoolSpec spec{columnsOf(op.getInit()), toPooling(op.getPooling()), toElement(op.getInput().getType()),
                  toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getFirst()).tensor(op.getCount()).tensor(op.getInit());
    return {llvm::formatv("pool_{0}_{1}_{2}_c{3}", stringifyPooling(op.getPooling()), name(spec.input),
                          name(spec.output), spec.columns),
            spec};
  }

  Launch make(RopeTableOp op) {
    RopeTableSpec spec{lengthOf(op.getFrequencies()), op.getFactorAttr().getValueAsDouble()};
    operands.tensor(op.getPositions()).tensor(op.getFrequencies()).tensor(op.getInit());
    return {llvm::formatv("rope_table_f{0}_x{1}", spec.frequencies, spell(spec.factor)), spec};
  }

  Launch make(RopeOp op) {
    RopeSpec spec{columnsOf(op.getInit()), columnsOf(op.getTable()), toElement(op.getInput().getType()),
                  toElement(op.getInit().getType())};
    operands.tensor(op.getInput()).tensor(op.getTable()).tensor(op.getInit());
    return {llvm::formatv("rope_{0}_{1}_c{2}_d{3}", name(spec.input), name(spec.output), spec.columns, spec.headDim),
            spec};
  }

  Launch make(KvAppendOp op) {
    KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
    KvAppendSpec spec{group.getHeads(), group.getHeadDim(), group.getPageSize(), toElement(op.getKeys().getType()),
                      toElement(group.getElement())};
    operands.tensor(op.getKeys()).tensor(op.getValues()).step(StepField::Slots, op.getGroupAttr());
    operands.cache(op.getGroupAttr(), op.getPlane());
    return {llvm::formatv("kv_append_{0}_{1}", name(spec.input), spellGroup(group)), spec};
  }

  Launch make(RopeAppendOp op) {
    KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
    RopeAppendSpec spec{columnsOf(op.getInit()) / group.getHeadDim(),
                        group.getHeads(),
                        group.getHeadDim(),
                        group.getPageSize(),
                        toElement(op.getInput().getType()),
                        toElement(group.getElement()),
                        toElement(op.getInit().getType()),
                        !!op.getTable(),
                        !!op.getQueryScale(),
                        op.getEpsAttr().getValueAsDouble()};
    operands.tensor(op.getInput()).step(StepField::Slots, op.getGroupAttr());
    operands.cache(op.getGroupAttr(), op.getPlane()).optional(op.getTable());
    operands.optional(op.getQueryScale()).optional(op.getKeyScale()).tensor(op.getInit());
    return {llvm::formatv("rope_append_{0}_{1}_q{2}_{3}{4}{5}", name(spec.input), name(spec.output), spec.queryHeads,
                          spellGroup(group), spec.rope ? "" : "_plain", spec.norm ? "_norm" + spell(spec.eps) : ""),
            spec};
  }

  Launch make(LinearRopeAppendOp op) {
    KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
    LinearRopeAppendSpec spec{columnsOf(op.getInput()),
                              columnsOf(op.getInit()) / group.getHeadDim(),
                              group.getHeads(),
                              group.getHeadDim(),
                              group.getPageSize(),
                              toElement(op.getInput().getType()),
                              toElement(op.getWeight().getType()),
                              toElement(group.getElement()),
                              toElement(op.getInit().getType()),
                              !!op.getBias(),
                              !!op.getTable()};
    operands.tensor(op.getInput()).tensor(op.getWeight()).optional(op.getBias());
    operands.step(StepField::Slots, op.getGroupAttr()).cache(op.getGroupAttr(), op.getPlane());
    operands.optional(op.getTable()).tensor(op.getInit());
    return {llvm::formatv("linear_rope_append_{0}_{1}_{2}_k{3}_q{4}_{5}{6}{7}", name(spec.input), name(spec.weight),
                          name(spec.output), spec.k, spec.queryHeads, spellGroup(group), spec.bias ? "_bias" : "",
                          spec.rope ? "" : "_plain"),
            spec};
  }

  Launch make(AttentionOp op) {
    KvGroupOp group = lookupKvGroup(op, op.getGroupAttr());
    AttentionSpec spec{columnsOf(op.getInit()) / group.getHeadDim(),
                       group.getHeads(),
                       group.getHeadDim(),
                       group.getPageSize(),
                       toElement(op.getQueries().getType()),
                       toElement(group.getElement()),
                       toElement(op.getInit().getType()),
                       op.getScaleAttr().getValueAsDouble(),
                       !!op.getLseInit()};
    if (auto list = op.getWork().getDefiningOp<WorkListOp>()) {
      MaskRange range = cast<MaskAttrInterface>(list.getMask()).getRange();
      spec.behind = range.behind.has_value();
      spec.ahead = range.ahead != 0;
    }
    operands.tensor(op.getQueries()).items(op.getWork()).step(StepField::PageBegin, op.getGroupAttr());
    operands.step(StepField::Pages, op.getGroupAttr()).cache(op.getGroupAttr(), op.getPlane());
    operands.tensor(op.getInit()).optional(op.getLseInit());
    return {llvm::formatv("attention_{0}_{1}_q{2}_{3}_x{4}{5}{6}{7}", name(spec.queries), name(spec.output),
                          spec.queryHeads, spellGroup(group), spell(spec.scale), spec.logSumExp ? "_lse" : "",
                          spec.behind ? "_behind" : "", spec.ahead ? "_ahead" : ""),
            spec};
  }

  Launch make(AttentionMergeOp op) {
    AttentionMergeSpec spec{columnsOf(op.getInit()), columnsOf(op.getLseInit()), toElement(op.getInit().getType()),
                            toElement(op.getInit().getType())};
    operands.tensor(op.getLhs()).tensor(op.getLhsLse()).tensor(op.getRhs()).tensor(op.getRhsLse());
    operands.tensor(op.getInit()).tensor(op.getLseInit());
    return {llvm::formatv("attention_merge_{0}_c{1}_h{2}", name(spec.element), spec.columns, spec.heads), spec};
  }

  /// A number as part of a symbol: all of its bits.
  static std::string spell(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return llvm::utohexstr(bits, /*LowerCase=*/true);
  }

  static std::string spellGroup(KvGroupOp group) {
    return llvm::formatv("{0}_h{1}_d{2}_p{3}", name(toElement(group.getElement())), group.getHeads(),
                         group.getHeadDim(), group.getPageSize());
  }

  Operands operands;
};

} // namespace

Launch kerf::kernels::selectKernel(Operation *op, SmallVectorImpl<Attribute> &workLists) {
  return Selector(op->getContext(), workLists).select(op);
}
