//===- Attention.cpp - what the attention kernels share -------------------===//
#include "codegen/nvptx/Attention.h"

#include "codegen/kernels/Functions.h"

#include <limits>
#include <numbers>

using namespace mlir;
using namespace kerf;
using namespace kerf::nvptx;
using Value = mlir::Value;
using Values = KernelBuilder::Values;

bool kerf::nvptx::onTensorCores(const AttentionSpec &spec) {
  return spec.cache != Element::F32 && spec.headDim % 16 == 0 && spec.headDim <= 256;
}

static llvm::SmallVector<OperandInfo> operandsOf(const AttentionSpec &spec, bool scratch) {
  // Queries, work items, two arrays of pages and the cache are read.
  llvm::SmallVector<OperandInfo> operands(5);
  operands.append(1 + spec.logSumExp + scratch, {.written = true});
  return operands;
}

AttentionBuilder::AttentionBuilder(gpu::GPUModuleOp module, llvm::StringRef name, const AttentionSpec &spec,
                                   unsigned threads, unsigned blocks, bool scratch)
    : KernelBuilder(module, name, operandsOf(spec, scratch), threads, blocks), spec(spec),
      layout{spec.kvHeads, spec.headDim, spec.pageSize, spec.cache}, group(spec.queryHeads / spec.kvHeads),
      exponent(spec.scale * std::numbers::log2e) {
  assert(spec.queryHeads % spec.kvHeads == 0 && "query heads must be a multiple of key heads");
  assert(spec.pageSize % 16 == 0 && "pages must be whole runs of 16 positions");
}

void AttentionBuilder::withItem(Value number, LaunchWhen when, llvm::function_ref<void()> body) {
  static_assert(sizeof(kerf_work_item) == 32 && offsetof(kerf_work_item, row_begin) == 0 &&
                    offsetof(kerf_work_item, key_first) == 16,
                "fields are taken by number");
  ifThen(less(number, rows()), [&] {
    item = number;
    Value address = atIndex(operand(items), number, sizeof(kerf_work_item));
    auto head = load16(address), tail = load16(at(address, 16));
    auto take = [&] {
      rowBegin = head[0], rowCount = head[1], position = head[3];
      keyFirst = tail[0], keyEnd = tail[1], behind = tail[2];
      // No row is before position -1, so that this bounds nothing and the sum with a position does not overflow.
      ahead = min(tail[3], keyEnd);
      Value begin = load(b.getI32Type(), atIndex(operand(pageBegin), head[2], 4), 4);
      itemPages = atIndex(operand(pages), begin, 4);
      body();
    };
    if (when == LaunchWhen::Always)
      return take();
    auto kind = when == LaunchWhen::SingleRows ? arith::CmpIPredicate::eq : arith::CmpIPredicate::ne;
    ifThen(compare(kind, head[1], i32(1)), take);
  });
}

Value AttentionBuilder::firstKey(Value position) {
  return spec.behind ? max(sub(add(position, 1), behind), keyFirst) : i32(0);
}

Value AttentionBuilder::endKey(Value position) {
  Value next = add(position, 1);
  return min(spec.ahead ? add(next, ahead) : next, keyEnd);
}

Value AttentionBuilder::pageOf(Value key) {
  return load(b.getI32Type(), atIndex(itemPages, div(key, spec.pageSize), 4), 4);
}

Value AttentionBuilder::keyIn(Value page, Value head, Value key) {
  Value start = atIndex(atIndex(operand(cache), page, layout.pageBytes()), head, layout.headBytes());
  return atIndex(start, rem(key, spec.pageSize), keyBytes());
}

Value AttentionBuilder::rowHead(unsigned index, Value row, Value head) {
  const int64_t bytes = index == logSumExp ? 4 : spec.headDim * bytesOf(index == queries ? spec.queries : spec.output);
  return atIndex(atIndex(operand(index), row, spec.queryHeads * bytes), head, bytes);
}

Values AttentionBuilder::queryPairs(Value address, int64_t count) {
  Values pairs;
  const unsigned bytes = count * bytesOf(spec.queries);
  if (spec.queries == spec.cache) {
    Value bits = load(integers(32, count / 2), address, bytes);
    for (int64_t i = 0; i < count / 2; ++i)
      pairs.push_back(extract(bits, i));
    return pairs;
  }
  const int64_t together = 16 / bytesOf(spec.queries);
  for (int64_t done = 0; done < count; done += together) {
    const int64_t lanes = std::min(together, count - done);
    Value wide = loadF32(spec.queries, at(address, done * bytesOf(spec.queries)), lanes);
    for (int64_t i = 0; i < lanes; i += 2)
      pairs.push_back(pack(spec.cache, extract(wide, i), extract(wide, i + 1)));
  }
  return pairs;
}

void AttentionBuilder::storeLogSumExp(Value row, Value head, Value greatest, Value total) {
  if (!spec.logSumExp)
    return;
  Value blind = compare(arith::CmpFPredicate::OEQ, total, f32(0));
  Value log = logarithm(*this, select(blind, f32(1), total));
  store(fma(greatest, f32(std::numbers::ln2), log), rowHead(logSumExp, row, head), 4);
}

Value AttentionBuilder::greater(Value x, Value y) { return arith::MaxNumFOp::create(b, x, y); }

Value AttentionBuilder::finiteOr0(Value x) {
  Value least = f32(-std::numeric_limits<float>::infinity());
  return select(compare(arith::CmpFPredicate::OEQ, x, least), f32(0), x);
}

Value AttentionBuilder::inverse(Value total) {
  Value blind = compare(arith::CmpFPredicate::OEQ, total, f32(0));
  return select(blind, f32(0), div(f32(1), select(blind, f32(1), total)));
}

AttentionBuilder::Pieces AttentionBuilder::piecesOf() {
  Pieces pieces;
  pieces.first = firstKey(position);
  pieces.end = endKey(position);
  pieces.begin = mul(div(pieces.first, pieceStep), pieceStep);
  Value span = max(sub(pieces.end, pieces.begin), i32(1));
  Value share = div(add(span, mostPieces * pieceStep - 1), mostPieces * pieceStep);
  pieces.keys = max(mul(share, pieceStep), i32(leastPiece));
  pieces.count = div(sub(add(span, pieces.keys), i32(1)), pieces.keys);
  return pieces;
}

Value AttentionBuilder::pieceAt(Value head, Value piece) {
  const int64_t bytes = pieceBytes(spec);
  Value start = atIndex(scratch(), item, spec.queryHeads * mostPieces * bytes);
  return atIndex(start, add(mul(head, mostPieces), piece), bytes);
}

Launches kerf::nvptx::emitKernel(gpu::GPUModuleOp module, const Variant &variant, llvm::StringRef name,
                                 const AttentionSpec &spec) {
  if (!onTensorCores(spec))
    return {emitPlain(module, name, spec)};
  if (variant.invariant)
    return {emitPrefill(module, variant, name, spec)};
  Launches launches = emitDecode(module, name, spec);
  launches.push_back(emitJoin(module, name, spec));
  launches.push_back(emitPrefill(module, variant, name, spec));
  return launches;
}

LinearForm kerf::nvptx::scratchOf(const Spec &spec, bool invariant) {
  auto *attention = std::get_if<AttentionSpec>(&spec);
  if (!attention || !onTensorCores(*attention) || invariant)
    return {};
  return LinearForm::of(attention->queryHeads * mostPieces * pieceBytes(*attention), KERF_EXTENT_WORK_ITEMS);
}
